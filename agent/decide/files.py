"""What a container's configs and secrets stand in the way of, in the user's words. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from bayplan.model import ContainerSpec, FileKind, FileMount

#: Digests become file names, so they are of these characters only.
_DIGEST = re.compile(r"[0-9A-Za-z_-]{1,128}")
#: Owners and groups of files: the highest number means "leave it as it is" to chown.
_OWNER_MAX = 2**32 - 2
#: A message names so many files, and counts the rest.
_NAMES_IN_MESSAGE_MAX = 3


def file_fault(spec: ContainerSpec, refused: Mapping[FileKind, str]) -> str:
    """Why the files that a container mounts can never be had on this node; "" if they can."""
    for mount in spec.files:
        if mount.kind in refused:
            return f"{mount.kind} {mount.source}: {refused[mount.kind]}"
        if not _DIGEST.fullmatch(mount.digest):
            return f"{mount.kind} {mount.source}: the controller named no version of its content"
        if not (0 <= mount.uid <= _OWNER_MAX and 0 <= mount.gid <= _OWNER_MAX):
            return f"{mount.kind} {mount.source}: its uid and gid must lie between 0 and {_OWNER_MAX}"
    return ""


def waits_message(missing: Iterable[FileMount]) -> str:
    """What a task says while contents are on their way."""
    names = sorted({f"{mount.kind} {mount.source}" for mount in missing})
    shown, rest = names[:_NAMES_IN_MESSAGE_MAX], len(names) - _NAMES_IN_MESSAGE_MAX
    return f"waits for {', '.join(shown)}" + (f" and {rest} more" if rest > 0 else "")
