"""The loader's only contact with the machine: reads compose files, env files and standard input."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from bayplan.compose.dotenv import ENV_FILE_BYTES_MAX, parse_env
from bayplan.compose.nodes import Source
from bayplan.compose.parse import SOURCE_BYTES_MAX
from bayplan.compose.pipeline import Loaded, load
from bayplan.compose.report import Report, invalid

#: Stands for standard input among the paths.
STDIN = "-"
#: The env file that is looked for beside the first compose file.
ENV_FILE = ".env"


def read(
    stack_name: str,
    paths: Sequence[str | Path],
    env_file: str | Path | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Loaded:
    """The stack that compose files describe; `-` is standard input.

    Variables come from `environ`, then from `env_file`, or else from `.env` beside the first file (for
    standard input: of the working directory) where there is one. Relative paths start in that folder too.
    Raises ProblemError.
    """
    folder = Path.cwd() if not paths or str(paths[0]) == STDIN else Path(os.path.abspath(paths[0])).parent
    report = Report()
    values, looked_for = _variables(folder, env_file, environ, report)
    report.finish()
    sources = [_source(path) for path in paths]
    loaded = load(
        stack_name,
        sources,
        values,
        folder,
        read_file=lambda path: _beside(folder, path),
        looked_for=looked_for,
    )
    return Loaded(stack=loaded.stack, warnings=(*report.warnings, *loaded.warnings))


def _variables(
    folder: Path, env_file: str | Path | None, environ: Mapping[str, str], report: Report
) -> tuple[dict[str, str], str]:
    path = folder / ENV_FILE if env_file is None else Path(env_file)
    shown = str(path if env_file is not None else os.path.relpath(path))
    try:
        source = Source(shown, _read_at_most(path, ENV_FILE_BYTES_MAX))
    except FileNotFoundError as error:
        if env_file is None:
            return dict(environ), f"{ENV_FILE} was looked for at {path}: there is none"
        raise invalid(shown, "the env file does not exist") from error
    except OSError as error:
        raise invalid(shown, f"the env file cannot be read: {error.strerror}") from error
    found = parse_env(source, environ, report)
    values = {name: value for name, value in found.items() if value is not None}
    return {**values, **environ}, f"{ENV_FILE if env_file is None else 'the env file'} was read at {path}"


def _source(path: str | Path) -> Source:
    if str(path) == STDIN:
        return Source("<stdin>", sys.stdin.buffer.read(SOURCE_BYTES_MAX + 1))
    try:
        return Source(str(path), _read_at_most(Path(path), SOURCE_BYTES_MAX))
    except OSError as error:
        hint = "name the file with -c FILE" if isinstance(error, FileNotFoundError) else ""
        raise invalid(str(path), f"the compose file cannot be read: {error.strerror}", hint=hint) from error


def _beside(folder: Path, path: Path) -> bytes:
    """The content of a file in the project folder, also by way of symbolic links."""
    if not path.resolve().is_relative_to(folder.resolve()):
        raise PermissionError(1, "a symbolic link leads out of the project folder", str(path))
    return _read_at_most(path, ENV_FILE_BYTES_MAX)


def _read_at_most(path: Path, bytes_max: int) -> bytes:
    """The file's bytes, one more than the limit at most: enough to see that it is too large."""
    with path.open("rb") as file:
        return file.read(bytes_max + 1)
