"""The environment of a service: its env files, one over the other, and its own variables over them."""

from __future__ import annotations

import posixpath
from pathlib import Path, PurePosixPath

from bayplan.compose import typed
from bayplan.compose.dotenv import ENV_FILE_BYTES_MAX, parse_env
from bayplan.compose.fields import Placed
from bayplan.compose.nodes import Source
from bayplan.compose.report import invalid, shown
from bayplan.compose.scope import Project

#: Most env files of one service.
ENV_FILES_MAX = 32


def environment(project: Project, service: typed.Service) -> tuple[str, ...]:
    """NAME=value sorted by name, or NAME alone for a variable that nothing gives a value."""
    values: dict[str, str | None] = {}
    if len(service.env_file) > ENV_FILES_MAX:
        place = service.places["env_file"]
        project.report.add(invalid(place, f"env_file names more than {ENV_FILES_MAX} files"))
    for file in service.env_file[:ENV_FILES_MAX]:
        with project.report.collect():
            source = _read_env_file(project, file)
            values.update(parse_env(source, project.environment, project.report))
    for name, value in service.environment.items():
        values[name] = project.environment.get(name, values.get(name)) if value is None else value
    return tuple(sorted(name if value is None else f"{name}={value}" for name, value in values.items()))


def _read_env_file(project: Project, file: Placed[str]) -> Source:
    path = PurePosixPath(posixpath.normpath(project.folder / file.value))
    if not path.is_relative_to(project.folder):
        hint = "files that a compose file names must be in its folder or below"
        raise invalid(file.place, f"env_file {shown(file.value)} is outside the project folder", hint=hint)
    try:
        return Source(file.value, project.files.read(Path(path), ENV_FILE_BYTES_MAX))
    except OSError as error:
        reason = error.strerror or str(error)
        raise invalid(
            file.place, f"env_file {shown(file.value)} cannot be read: {reason} ({path})"
        ) from error
