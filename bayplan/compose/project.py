"""The project folder as the loader sees it: what lies at a path, and its bytes.

Two kinds: the disk (`rim`) and files that came with a message (`Sent`). Whether a path may be looked at
at all is the loader's to decide; here it is only looked.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple, Protocol

from bayplan.compose.report import invalid, shown


class PathKind(StrEnum):
    FILE = "file"
    FOLDER = "folder"
    OTHER = "other"  # a socket, a device, a pipe: never read
    MISSING = "missing"


class FileStat(NamedTuple):
    """What is known of a file without its content; `executable` by its owner."""

    size_bytes: int
    executable: bool


class ProjectFiles(Protocol):
    """Read access to the files beside the compose files. Paths are absolute."""

    def kind(self, path: Path) -> PathKind:
        """What is there, symbolic links followed; what cannot be looked at is MISSING."""

    def read(self, path: Path, bytes_max: int) -> bytes:
        """The file's bytes, one more than the limit at most: enough to see that it is too large.

        Raises OSError.
        """

    def walk(self, folder: Path, files_max: int) -> list[Path]:
        """The files below a folder, sorted; one more than the limit at most. Raises OSError."""

    def stat(self, path: Path) -> FileStat:
        """How large a file is and whether it is a program. Raises OSError."""


class Sent(ProjectFiles):
    """Files that came with a message, by absolute path."""

    def __init__(self, files: Mapping[Path, bytes] | None = None) -> None:
        self._files = dict(files or {})

    def kind(self, path: Path) -> PathKind:
        if path in self._files:
            return PathKind.FILE
        below = any(path in each.parents for each in self._files)
        return PathKind.FOLDER if below else PathKind.MISSING

    def read(self, path: Path, bytes_max: int) -> bytes:
        if path not in self._files:
            raise FileNotFoundError(2, "it was not sent with the compose files", str(path))
        return self._files[path][: bytes_max + 1]

    def walk(self, folder: Path, files_max: int) -> list[Path]:
        return sorted(path for path in self._files if folder in path.parents)[: files_max + 1]

    def stat(self, path: Path) -> FileStat:
        # A message carries no modes: what names its own interpreter is a program.
        return FileStat(len(self._files.get(path, b"")), self.read(path, 2).startswith(b"#!"))


NO_FILES = Sent()


def locate(project_dir: Path, base: Path, written: str, what: str, place: str) -> Path:
    """The absolute path of a file or folder that a compose file names, relative to `base`.

    `what` names the key in the error. Raises ProblemError when the path leads out of the project folder.
    """
    path = Path(posixpath.normpath(base / written))
    if "\0" in written or not path.is_relative_to(project_dir):
        raise invalid(
            place,
            f"{what} {shown(written)} is outside the project folder",
            f"the project folder is {project_dir}",
            hint="move it there, or widen it with --project-directory: relative paths start there",
        )
    return path
