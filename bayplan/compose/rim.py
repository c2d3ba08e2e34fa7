"""The loader's only contact with the machine: compose files, env files, the project folder."""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec.structs import replace

from bayplan.compose.dotenv import ENV_FILE_BYTES_MAX, parse_env
from bayplan.compose.nodes import Source
from bayplan.compose.parse import SOURCE_BYTES_MAX
from bayplan.compose.pipeline import Loaded, load
from bayplan.compose.project import FileStat, PathKind, ProjectFiles
from bayplan.compose.report import Report, invalid

#: Stands for standard input among the paths.
STDIN = "-"
#: The env file that is looked for in the project folder.
ENV_FILE = ".env"


class Disk(ProjectFiles):
    """The files of a project folder on the disk. What a symbolic link leads out of it is not read."""

    def __init__(self, folder: Path) -> None:
        self._folder = os.path.realpath(folder)

    def kind(self, path: Path) -> PathKind:
        try:
            mode = os.stat(path).st_mode
        except (OSError, ValueError):
            return PathKind.MISSING
        if stat.S_ISREG(mode):
            return PathKind.FILE
        return PathKind.FOLDER if stat.S_ISDIR(mode) else PathKind.OTHER

    def read(self, path: Path, bytes_max: int) -> bytes:
        self._check_inside(path)
        if self.kind(path) is PathKind.OTHER:  # to open a pipe would wait for its writer
            raise OSError(errno.EINVAL, "it is not a file", str(path))
        return _read_at_most(path, bytes_max)

    def walk(self, folder: Path, files_max: int) -> list[Path]:
        self._check_inside(folder)
        found: list[Path] = []
        for parent, folders, names in os.walk(folder, onerror=_raise):
            folders.sort()
            found += [Path(parent, name) for name in names]
            if len(found) > files_max:
                break
        return sorted(found)[: files_max + 1]

    def stat(self, path: Path) -> FileStat:
        self._check_inside(path)
        status = os.stat(path)
        return FileStat(status.st_size, bool(status.st_mode & stat.S_IXUSR))

    def _check_inside(self, path: Path) -> None:
        if not Path(os.path.realpath(path)).is_relative_to(self._folder):
            raise PermissionError(errno.EPERM, "a symbolic link leads out of the project folder", str(path))


def read(
    stack_name: str,
    paths: Sequence[str | Path],
    env_files: Sequence[str | Path] = (),
    profiles: Sequence[str] = (),
    project_directory: str | Path | None = None,
    environ: Mapping[str, str] = os.environ,
    build: bool = False,
) -> Loaded:
    """The stack that compose files describe; `-` is standard input.

    The project folder is `project_directory`, or else the folder of the first file (for standard input the
    working directory); relative paths start there. Variables come from `environ`, then from the env files,
    the last first, or else from `.env` in the project folder where there is one. `build` as in `load`.
    Raises ProblemError.
    """
    folder = _project_folder(paths, project_directory)
    report = Report()
    values, looked_for = _variables(folder, env_files, environ, report)
    report.finish()
    sources = [_source(path) for path in paths]
    loaded = load(
        stack_name,
        sources,
        values,
        folder,
        project=Disk(folder),
        profiles=profiles,
        looked_for=looked_for,
        shown_dir=str(project_directory or os.path.dirname(paths[0])) if paths else "",
        build=build,
    )
    return replace(loaded, warnings=(*report.warnings, *loaded.warnings))


def _project_folder(paths: Sequence[str | Path], given: str | Path | None) -> Path:
    if given is not None:
        folder = Path(os.path.abspath(given))
        if not folder.is_dir():
            raise invalid(str(given), "the project folder is not a folder", hint="name another one")
        return folder
    return Path.cwd() if not paths or str(paths[0]) == STDIN else Path(os.path.abspath(paths[0])).parent


def _variables(
    folder: Path, env_files: Sequence[str | Path], environ: Mapping[str, str], report: Report
) -> tuple[dict[str, str], str]:
    """All variables, and a sentence on the env files for the error about a missing one."""
    if not env_files:
        path = folder / ENV_FILE
        found = _env_file(path, os.path.relpath(path), environ, {}, report)
        if found is None:
            return dict(environ), f"{ENV_FILE} was looked for at {path}: there is none"
        return {**found, **environ}, f"{ENV_FILE} was read at {path}"
    values: dict[str, str] = {}
    for each in env_files:
        found = _env_file(Path(each), str(each), environ, values, report)
        if found is None:
            hint = "name another one with --env-file"
            raise invalid(str(each), "the env file does not exist", hint=hint)
        values |= found
    where = ", ".join(os.path.abspath(each) for each in env_files)
    return {**values, **environ}, f"instead of {ENV_FILE}, {where} was read"


def _env_file(
    path: Path, shown: str, environ: Mapping[str, str], earlier: Mapping[str, str], report: Report
) -> dict[str, str] | None:
    """The variables of an env file; None when there is no such file."""
    try:
        source = Source(shown, _read_at_most(path, ENV_FILE_BYTES_MAX))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise invalid(shown, f"the env file cannot be read: {error.strerror}") from error
    values = parse_env(source, environ, report, earlier)
    return {name: value for name, value in values.items() if value is not None}


def _source(path: str | Path) -> Source:
    if str(path) == STDIN:
        return Source("<stdin>", sys.stdin.buffer.read(SOURCE_BYTES_MAX + 1))
    try:
        return Source(str(path), _read_at_most(Path(path), SOURCE_BYTES_MAX))
    except OSError as error:
        hint = "name the file with -c FILE" if isinstance(error, FileNotFoundError) else ""
        raise invalid(str(path), f"the compose file cannot be read: {error.strerror}", hint=hint) from error


def _read_at_most(path: Path, bytes_max: int) -> bytes:
    """The file's bytes, one more than the limit at most: enough to see that it is too large."""
    with path.open("rb") as file:
        return file.read(bytes_max + 1)


def _raise(error: OSError) -> None:
    raise error
