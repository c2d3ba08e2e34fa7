"""Configs and secrets: from what a file declares to their content, and to the files of a container.

`StackFiles` gathers those that some service uses while the services are built. Content is looked for in
the project folder only.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from bayplan.compose import typed
from bayplan.compose.fields import Placed
from bayplan.compose.mounts import parse_target
from bayplan.compose.project import PathKind, ProjectFiles, locate
from bayplan.compose.report import FormError, Report, invalid, shown
from bayplan.errors import ProblemError
from bayplan.limits import FILE_BYTES_MAX, STACK_FILES_BYTES_MAX
from bayplan.model import FileKind, FileMount, StackFile
from bayplan.nearest import did_you_mean
from bayplan.units import format_bytes

#: Where a secret lies whose target is not an absolute path; a config lies in the root folder.
_FOLDER = {FileKind.SECRET: "/run/secrets", FileKind.CONFIG: "/"}

Declared = Mapping[str, Placed[typed.Content]]


FileMounts = tuple[Placed[FileMount], ...]


class Folder(NamedTuple):
    """The project folder; `path` is absolute."""

    path: Path
    files: ProjectFiles

    def within(self, written: str) -> Path | None:
        """The path that a file means, or None when it lies outside the folder."""
        path = self.absolute(written)
        return Path(path) if PurePosixPath(path).is_relative_to(self.path) else None

    def absolute(self, written: str) -> str:
        """The path that a file means, wherever that is."""
        return posixpath.normpath(self.path / written)

    def read(self, path: Path, what: str, place: str) -> bytes:
        """A file's content. Raises ProblemError about `what`, when it cannot be had or is too large."""
        try:
            size = self.files.stat(path).size_bytes
            data = self.files.read(path, FILE_BYTES_MAX)
        except OSError as error:
            problem = f"{what} cannot be read: {error.strerror or error}"
            raise invalid(place, problem, f"it was looked for at {path}") from error
        if len(data) > FILE_BYTES_MAX:
            raise too_large(what, max(size, len(data)), place)
        return data


def too_large(what: str, size_bytes: int, place: str) -> ProblemError:
    """The error about content that does not travel."""
    size, most = format_bytes(size_bytes), format_bytes(FILE_BYTES_MAX)
    hint = "keep it in a named volume, at an absolute path that each node has, or build it into the image"
    return invalid(place, f"{what} has {size}, more than the {most} that travel with a stack", hint=hint)


class StackFiles:
    """The configs and secrets that the services of one stack use, each once."""

    def __init__(
        self,
        stack: str,
        folder: Folder,
        environment: Mapping[str, str],
        declared: Mapping[FileKind, Declared],
        report: Report,
    ) -> None:
        self.stack = stack
        self.folder = folder
        self.report = report
        self._environment = environment
        self._declared = declared
        #: By kind and full name.
        self._files: dict[tuple[FileKind, str], StackFile] = {}
        #: Full names of what was asked for, by kind and key.
        self._names: dict[tuple[FileKind, str], str] = {}
        self._bytes = 0

    def all(self) -> tuple[StackFile, ...]:
        """What was used, by kind and name."""
        return tuple(self._files[key] for key in sorted(self._files))

    def mounts(self, service: str, kind: FileKind, uses: tuple[Placed[typed.FileUse], ...]) -> FileMounts:
        """The files that a service asks for by name, with their places; errors go to the report."""
        mounts: list[Placed[FileMount]] = []
        for placed in uses:
            with self.report.collect():
                name = self._use(service, kind, placed)
                mounts.append(Placed(placed.place, _mount(kind, name, placed)))
        return tuple(mounts)

    def add(self, file: StackFile) -> None:
        """Takes a file in. Raises ProblemError for another one of that name, and for too much in all."""
        known = self._files.setdefault((file.kind, file.name), file)
        if known is file:
            self._bytes += len(file.content)
            if self._bytes - len(file.content) <= STACK_FILES_BYTES_MAX < self._bytes:
                most = format_bytes(STACK_FILES_BYTES_MAX)
                problem = f"the configs and secrets of the stack are larger than {most} together"
                raise invalid(
                    file.place, problem, hint="keep some of them in named volumes, or build them into images"
                )
        elif (known.content, known.external, known.labels) != (file.content, file.external, file.labels):
            raise invalid(
                file.place,
                f"two {file.kind}s have the full name {file.name}, and they differ",
                f"the other one is at {known.place}",
                hint="give them different names",
            )

    def _use(self, service: str, kind: FileKind, placed: Placed[typed.FileUse]) -> str:
        """The full name of a declared file, which is taken in."""
        key, declared = placed.value.source, self._declared[kind]
        content = declared.get(key)
        if content is None:
            hint = did_you_mean(key, declared, f"add it to the top-level `{kind}s:`")
            problem = f"services.{service} uses the {kind} {shown(key)}, which is not in the file's {kind}s"
            raise invalid(placed.place, problem, hint=hint)
        if (kind, key) not in self._names:
            self._names[kind, key] = name = _full_name(self.stack, key, content.value)
            self.add(self._file(kind, key, name, content))
        return self._names[kind, key]

    def _file(self, kind: FileKind, key: str, name: str, placed: Placed[typed.Content]) -> StackFile:
        content = placed.value
        if content.external is not None:
            return StackFile(kind=kind, name=name, external=True, place=placed.place)
        data = self._content(f"{kind}s.{key}", content)
        return StackFile(kind=kind, name=name, content=data, labels=content.labels, place=placed.place)

    def _content(self, path: str, content: typed.Content) -> bytes:
        if "file" in content.places:
            return self._read(path, content)
        if "environment" in content.places:
            place, text = content.places["environment"], self._environment.get(content.environment)
            if text is None:
                problem = (
                    f"{path} is the content of the variable {shown(content.environment)}, which is not set"
                )
                raise invalid(place, problem, hint="set it in the environment or in an env file")
        else:
            place, text = content.places["content"], content.content
        data = text.encode()
        if len(data) > FILE_BYTES_MAX:
            raise too_large(path, len(data), place)
        return data

    def _read(self, path: str, content: typed.Content) -> bytes:
        place, what = content.places["file"], f"{path}: the file {shown(content.file)}"
        folder = self.folder.path
        found = locate(folder, folder, content.file, f"{path}: the file", place)
        kind = self.folder.files.kind(found)
        if kind is not PathKind.FILE:
            problem = "does not exist" if kind is PathKind.MISSING else "is not a regular file"
            hint = "make that file; its path starts in the project folder"
            raise invalid(place, f"{what} {problem}", f"it was looked for at {found}", hint=hint)
        return self.folder.read(found, what, place)


def _full_name(stack: str, key: str, content: typed.Content) -> str:
    if content.external is not None:
        return content.name or content.external or key
    return content.name or f"{stack}_{key}"


def _mount(kind: FileKind, name: str, placed: Placed[typed.FileUse]) -> FileMount:
    use = placed.value
    try:
        target = parse_target(posixpath.join(_FOLDER[kind], use.target or use.source))
    except FormError as error:
        problem = f"the target of the {kind} {shown(use.source)} is wrong: {error}"
        raise invalid(placed.place, problem, hint=error.hint) from error
    return FileMount(kind=kind, source=name, target=target, uid=use.uid, gid=use.gid, mode=use.mode)
