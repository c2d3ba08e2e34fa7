"""Configs and secrets: the digest that names a content, and what a deploy does to a stack's files.

Pure. A digest is keyed, so that a spec that shows it does not give a weak secret away to guessing.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import msgspec

from bayplan.errors import Problem, ProblemKind
from bayplan.limits import FILE_BYTES_MAX
from bayplan.model import FileKind, FileMount, ServiceSpec, StackFile, StackSpec
from bayplan.units import format_bytes
from bayplan.views import FileChange, ServiceAction
from controller.records import File

#: Longest name of a config or secret: a stack's name, `_`, and one of its own.
NAME_CHARS_MAX = 127
#: All labels of a config or secret together, in bytes.
LABELS_BYTES_MAX = 2 * 1024

NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9_.-]{{0,{NAME_CHARS_MAX - 1}}}")


class Change(NamedTuple):
    """What happens to one file of a stack; `stack_file` is None when it goes."""

    action: ServiceAction
    kind: FileKind
    name: str
    digest: str = ""
    stack_file: StackFile | None = None

    def shown(self) -> FileChange:
        """The change as users see it."""
        return FileChange(kind=self.kind, name=self.name, action=self.action)


def key_of(kind: FileKind, name: str) -> str:
    """The key of a file's record."""
    return f"{kind.value}/{name}"


def digest(file_key: bytes, kind: FileKind, content: bytes) -> str:
    """HMAC-SHA256 over kind and content, in hex."""
    return hmac.digest(file_key, kind.value.encode() + b"\0" + content, hashlib.sha256).hex()


def compare(
    stack: StackSpec, present: Mapping[str, File], used: frozenset[str], file_key: bytes
) -> tuple[Change, ...]:
    """What happens to the files that a stack brings; those that left it and that nobody mounts go.

    `present` are all files by key; `used` are the keys that services outside of this change mount.
    """
    changes = [_compare(file, present, file_key) for file in stack.files if not file.external]
    brought = {key_of(file.kind, file.name) for file in stack.files}
    for key, file in sorted(present.items()):
        if file.stack == stack.name and key not in brought and key not in used:
            changes.append(Change(ServiceAction.REMOVE, file.kind, file.name))
    return tuple(changes)


def _compare(file: StackFile, present: Mapping[str, File], file_key: bytes) -> Change:
    now = digest(file_key, file.kind, file.content)
    before = present.get(key_of(file.kind, file.name))
    if before is None:
        action = ServiceAction.CREATE
    elif before.digest == now and before.labels == file.labels:
        action = ServiceAction.SAME
    else:
        action = ServiceAction.UPDATE
    return Change(action, file.kind, file.name, now, file)


def resolve(spec: ServiceSpec, digests: Mapping[str, str]) -> ServiceSpec:
    """The spec with the digest of each mounted file, by its key; what a client wrote there does not count."""
    if not spec.container.files:
        return spec
    files = tuple(_resolve(mount, digests) for mount in spec.container.files)
    return msgspec.structs.replace(spec, container=msgspec.structs.replace(spec.container, files=files))


def _resolve(mount: FileMount, digests: Mapping[str, str]) -> FileMount:
    found = digests.get(key_of(mount.kind, mount.source), "")
    return msgspec.structs.replace(mount, digest=found)


def faults(stack: StackSpec, present: Mapping[str, File], known: Mapping[str, str]) -> Iterable[Problem]:
    """Files that are missing, or that are somebody else's. `known` are the digests by key."""
    for file in stack.files:
        key = key_of(file.kind, file.name)
        kind = file.kind.value
        owner = present.get(key)
        if file.external and key not in known:
            yield Problem(
                kind=ProblemKind.INVALID,
                summary=f"there is no {kind} {file.name} in the cluster",
                hint=f"make it with `bayplan {kind} create {file.name} FILE`, then deploy again",
                place=file.place,
            )
        elif not file.external and owner is not None and owner.stack != stack.name:
            whose = f"of stack {owner.stack}" if owner.stack else "made by name"
            yield Problem(
                kind=ProblemKind.REFUSED,
                summary=f"the {kind} {file.name} is there already, {whose}",
                hint=f"use it with `external: true`, or give this one another `name`; `bayplan {kind} ls`",
                place=file.place,
            )


def unfit(kind: FileKind, name: str, content: bytes, labels: Mapping[str, str]) -> Iterator[str]:
    """What is wrong with a file, whoever brings it."""
    if not NAME.fullmatch(name):
        yield (
            f"{kind.value} name {name[:80]!r} must be letters, digits, '.', '-' and '_', "
            f"at most {NAME_CHARS_MAX}, and begin with a letter or digit"
        )
    if len(content) > FILE_BYTES_MAX:
        size, most = format_bytes(len(content)), format_bytes(FILE_BYTES_MAX)
        yield f"{kind.value} {name[:80]} has {size}; at most {most}"
    labels_bytes = len(msgspec.msgpack.encode(labels))
    if labels_bytes > LABELS_BYTES_MAX:
        yield f"the labels of {kind.value} {name[:80]} have {labels_bytes} bytes; at most {LABELS_BYTES_MAX}"
