"""The environment and the labels of a service: its files, one over the other, and its own ones over them."""

from __future__ import annotations

from pathlib import Path

from bayplan.compose import typed
from bayplan.compose.dotenv import ENV_FILE_BYTES_MAX, parse_env, parse_raw_env
from bayplan.compose.fields import Placed
from bayplan.compose.nodes import Source
from bayplan.compose.project import PathKind, locate
from bayplan.compose.report import invalid, shown
from bayplan.compose.scope import Project

#: Most env files, or label files, of one service.
ENV_FILES_MAX = 32

Variables = dict[str, str | None]

_HINTS = {"env_file": "make that file, or write it as `- {path: PATH, required: false}`"}


def environment(project: Project, service: typed.Service) -> tuple[str, ...]:
    """NAME=value sorted by name, or NAME alone for a variable that nothing gives a value."""
    values: Variables = {}
    _check_number(project, service, "env_file", len(service.env_file))
    for file in service.env_file[:ENV_FILES_MAX]:
        with project.report.collect():
            values.update(_env_file(project, file, values))
    return variables(project, service.environment, values)


def variables(project: Project, own: Variables, below: Variables | None = None) -> tuple[str, ...]:
    """NAME=value sorted by name; a name without a value takes the environment's, or the one `below`."""
    values = dict(below or {})
    for name, value in own.items():
        values[name] = project.environment.get(name, values.get(name)) if value is None else value
    return tuple(sorted(name if value is None else f"{name}={value}" for name, value in values.items()))


def labels(project: Project, service: typed.Service) -> dict[str, str]:
    """The labels of the container: those of the label files, then the service's own."""
    found: dict[str, str] = {}
    _check_number(project, service, "label_file", len(service.label_file))
    for file in service.label_file[:ENV_FILES_MAX]:
        with project.report.collect():
            source = read_source(project, "label_file", file)
            values = parse_env(source, project.environment, project.report)
            found.update({name: value or "" for name, value in values.items()})
    return {**found, **service.labels}


def read_source(project: Project, key: str, file: Placed[str]) -> Source:
    """A text file of the project folder that `key` names. Raises ProblemError."""
    path = _within(project, key, file)
    try:
        return Source(file.value, project.files.read(path, ENV_FILE_BYTES_MAX))
    except OSError as error:
        reason = error.strerror or str(error)
        problem = f"{key} {shown(file.value)} cannot be read: {reason}"
        raise invalid(
            file.place, problem, f"it was looked for at {path}", hint=_HINTS.get(key, "make that file")
        ) from error


def _env_file(project: Project, file: Placed[typed.EnvFile], earlier: Variables) -> Variables:
    named = Placed(file.place, file.value.path)
    path = _within(project, "env_file", named)
    if not file.value.required and project.files.kind(path) is PathKind.MISSING:
        return {}
    source = read_source(project, "env_file", named)
    if file.value.format == "raw":
        return parse_raw_env(source, project.environment)
    known = {name: value for name, value in earlier.items() if value is not None}
    return parse_env(source, project.environment, project.report, known)


def _within(project: Project, key: str, file: Placed[str]) -> Path:
    return locate(project.folder, project.folder, file.value, key, file.place)


def _check_number(project: Project, service: typed.Service, key: str, number: int) -> None:
    if number > ENV_FILES_MAX:
        project.report.add(invalid(service.places[key], f"{key} names more than {ENV_FILES_MAX} files"))
