"""Contents of configs and secrets as files of this node, ready to be mounted into containers.

    <data dir>/configs/<digest>.<uid>.<gid>.<mode>             survives a reboot
    <run dir>/<node id>/secrets/<digest>.<uid>.<gid>.<mode>    in memory only

A name tells all that there is to know of a file: what is held is found again by listing.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import structlog

from agent.commands import FileCommand, WriteFile
from agent.events import FileEvent, FileNotWritten, FileRemoved, FilesListed, FileWritten, StoredFile
from agent.runtime.resolving import ResolverFiles
from bayplan.files import make_secret_folder, write_whole
from bayplan.model import FileKind, FileMount

#: File systems whose files lie in memory. (tmpfs may be swapped out: encrypt the swap or have none.)
MEMORY_FILE_SYSTEMS = frozenset({"tmpfs", "ramfs"})

#: Files being written or removed at once; others wait.
FILES_IN_FLIGHT_MAX = 4

_MOUNTS = Path("/proc/self/mountinfo")
_NAME = re.compile(r"([0-9A-Za-z_-]{1,128})\.(\d{1,10})\.(\d{1,10})\.([0-7]{1,4})")
_log = structlog.get_logger(__name__)


class FileStore:
    """The two folders. All methods block; call `open` first. Secrets of `node_id` are its alone."""

    def __init__(self, data_dir: Path, run_dir: Path, node_id: str) -> None:
        self._folders = {
            FileKind.CONFIG: data_dir / "configs",
            FileKind.SECRET: run_dir / node_id / "secrets",
        }
        self._refused: dict[FileKind, str] = {}
        self.resolvers = ResolverFiles(data_dir)

    def open(self) -> FilesListed:
        """As `look`; what writes that were killed have left behind is removed. Never raises."""
        listed = self.look()
        for kind, folder in self._folders.items():
            for entry in folder.glob(".*") if kind not in self._refused else ():
                with contextlib.suppress(OSError):
                    entry.unlink()
        return listed

    def look(self) -> FilesListed:
        """Make the folders where they are missing, and say what they hold. Never raises."""
        self._refused = {kind: why for kind, folder in self._folders.items() if (why := _fault(kind, folder))}
        kinds = [kind for kind in self._folders if kind not in self._refused]
        files = sorted(file for kind in kinds for file in self._list(kind))
        return FilesListed(files=tuple(files), refused=dict(self._refused))

    def write(self, file: StoredFile, content: bytes) -> None:
        """Make the file be there, whole, with its owner and mode. Raises OSError."""
        if file.kind in self._refused:
            raise OSError(self._refused[file.kind])
        path = self.path(file)
        if not path.exists():
            write_whole(path, content, file.mode, (file.uid, file.gid))

    def remove(self, file: StoredFile) -> None:
        """Make the file be gone; containers that mount it keep what they have. Raises OSError."""
        self.path(file).unlink(missing_ok=True)

    def path(self, file: StoredFile) -> Path:
        """Where a file is or would be. Raises OSError for what could lead out of the folder."""
        name = f"{file.digest}.{file.uid}.{file.gid}.{file.mode:o}"
        if not _NAME.fullmatch(name):
            raise OSError(f"no file can have the name {name!r}")
        return self._folders[file.kind] / name

    def holds(self, mounts: Iterable[FileMount]) -> bool:
        """Whether all the files are there."""
        return all(self.path(StoredFile.of(mount)).exists() for mount in mounts)

    def mounts(self, mounts: Iterable[FileMount]) -> list[dict[str, Any]]:
        """The files as read-only mounts of the engine's create request."""
        return [
            {
                "Type": "bind",
                "Source": str(self.path(StoredFile.of(mount))),
                "Target": mount.target,
                "ReadOnly": True,
            }
            for mount in mounts
        ]

    def _list(self, kind: FileKind) -> Iterator[StoredFile]:
        for entry in self._folders[kind].iterdir():
            if matched := _NAME.fullmatch(entry.name):
                digest, uid, gid, mode = matched.groups()
                yield StoredFile(kind=kind, digest=digest, uid=int(uid), gid=int(gid), mode=int(mode, 8))


class FileHands:
    """Performs the commands of a store, in threads. Tasks belong to the daemon's group."""

    def __init__(self, store: FileStore, post: Callable[[FileEvent], None], group: asyncio.TaskGroup) -> None:
        self._store = store
        self._post = post
        self._group = group
        self._slots = asyncio.Semaphore(FILES_IN_FLIGHT_MAX)

    async def list(self) -> None:
        """Post what the store holds."""
        self._post(await asyncio.to_thread(self._store.open))

    def perform(self, command: FileCommand) -> None:
        """Start a command; its outcome is posted."""
        self._group.create_task(self._perform(command))

    async def _perform(self, command: FileCommand) -> None:
        async with self._slots:
            if isinstance(command, WriteFile):
                self._post(await self._write(command.file, command.content))
            else:
                self._post(await self._remove(command.file))

    async def _write(self, file: StoredFile, content: bytes) -> FileEvent:
        try:
            await asyncio.to_thread(self._store.write, file, content)
        except OSError as error:
            return FileNotWritten(file=file, reason=error.strerror or str(error))
        return FileWritten(file=file)

    async def _remove(self, file: StoredFile) -> FileEvent:
        try:
            await asyncio.to_thread(self._store.remove, file)
        except OSError as error:
            _log.warning("a file could not be removed", file=str(file), cause=str(error))
        return FileRemoved(file=file)


def _fault(kind: FileKind, folder: Path) -> str:
    """Why files of a kind cannot be kept in a folder, and the way out; "" if they can."""
    option = "--data-dir" if kind is FileKind.CONFIG else "--run-dir"
    try:
        make_secret_folder(folder)
        os.listdir(folder)
        in_memory = file_system(folder, _MOUNTS.read_text()) in MEMORY_FILE_SYSTEMS
    except OSError as error:
        return f"{folder} cannot be used ({error.strerror}): start the agent with another {option}"
    if kind is FileKind.SECRET and not in_memory:
        _log.warning("secrets are refused: the run directory is not in memory", folder=str(folder))
        return f"{folder} is not in memory: start the agent with a --run-dir on a tmpfs"
    return ""


def file_system(path: Path, mountinfo: str) -> str:
    """The type of the file system on which a path lies, by /proc/self/mountinfo (proc(5)); "" if unknown.

    Raises OSError.
    """
    device = os.stat(path).st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    for line in mountinfo.splitlines():
        fields = line.split(" ")
        if fields[2] == wanted:
            return fields[fields.index("-") + 1]
    return ""
