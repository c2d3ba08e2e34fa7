"""Files that are there whole or not at all, also after a power cut.

For the few small files that a daemon cannot do without: keys, certificates, identities. Knows
nothing about what is in them.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

#: Modes: secrets are the owner's alone, the rest may be read by everybody.
SECRET_MODE = 0o600
PUBLIC_MODE = 0o644
#: Mode of the folders that hold secrets.
SECRET_FOLDER_MODE = 0o700


def write_whole(
    path: Path, data: bytes, mode: int = SECRET_MODE, owner: tuple[int, int] | None = None
) -> None:
    """Write or replace a file durably; a crash leaves the old or the new one. Raises OSError.

    `owner` is its user and group number; None is whoever writes.
    """
    # mkstemp creates with 0600, so a secret is at no moment readable by others.
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), mode)
            if owner is not None and owner != (os.geteuid(), os.getegid()):
                os.fchown(file.fileno(), *owner)
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    sync_folder(path.parent)


def make_secret_folder(path: Path) -> None:
    """Make a folder that only its owner may enter; one that exists keeps its mode. Raises OSError."""
    if not path.is_dir():
        path.mkdir(mode=SECRET_FOLDER_MODE, parents=True)
        sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable. Raises OSError."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
