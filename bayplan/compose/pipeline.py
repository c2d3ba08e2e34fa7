"""The loader: parse, put variables in, read what it says, build the stack. Pure.

Bytes and an environment come in; a stack with its warnings, or one error with every problem, goes out.
Files that the compose file names come through a function.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from bayplan.compose import schema, typed
from bayplan.compose.build import build_service
from bayplan.compose.check import check_file
from bayplan.compose.fields import Field
from bayplan.compose.files import Folder, StackFiles
from bayplan.compose.interpolate import Variables, interpolate
from bayplan.compose.names import parse_stack_name
from bayplan.compose.nodes import Map, Source, describe, is_null
from bayplan.compose.parse import parse
from bayplan.compose.project import NO_FILES, ProjectFiles
from bayplan.compose.report import FormError, Report, invalid
from bayplan.compose.scope import Project
from bayplan.model import FileKind, Model, StackSpec


class Loaded(Model, frozen=True, kw_only=True):
    """A stack, and what the user should know about it, each beginning with file:line."""

    stack: StackSpec
    warnings: tuple[str, ...] = ()


def load(
    stack_name: str,
    files: Sequence[Source],
    environment: Mapping[str, str],
    project_dir: Path,
    *,
    project: ProjectFiles = NO_FILES,
    profiles: Sequence[str] = (),
    looked_for: str = "",
) -> Loaded:
    """The stack that a compose file describes.

    An empty `stack_name` lets the file's `name` count. `project_dir` is absolute; relative paths start
    there. `looked_for` is a sentence on the env file, for the error about a missing variable.
    Raises ProblemError with one problem for each error, all INVALID and with file:line.
    """
    report = Report()
    if len(files) != 1:
        raise invalid("", f"{len(files)} compose files were given; merging several is not supported yet")
    tree = _tree(files[0], report)
    usable = {name: value for name, value in environment.items() if _is_text(name + value)}
    usable.setdefault("COMPOSE_PROJECT_NAME", stack_name)
    tree = interpolate(tree, Variables(usable, looked_for), report)
    _check_services(tree, report)
    file = schema.file(Field(tree, "", tree.place, report))
    stack = _stack_name(stack_name, file, report)
    declared = {FileKind.CONFIG: file.configs, FileKind.SECRET: file.secrets}
    contents = StackFiles(stack, Folder(project_dir, project), usable, declared, report)
    around = Project(stack, project_dir, usable, project, file.networks, file.volumes, contents, report)
    services = tuple(build_service(around, name, service) for name, service in file.services.items())
    check_file(file, _service_names(tree), report)
    report.finish()
    return Loaded(
        stack=StackSpec(name=stack, services=services, files=contents.all()), warnings=report.warnings
    )


def _tree(source: Source, report: Report) -> Map:
    """The file's mapping without the keys that are the user's own (`x-`). Raises ProblemError."""
    tree = parse(source, report)
    if not isinstance(tree, Map):
        raise invalid(
            tree.place, f"a compose file is a mapping, not {describe(tree)}", hint="begin it with `services:`"
        )
    entries = {name: entry for name, entry in tree.entries.items() if not name.startswith("x-")}
    return Map(tree.path, tree.line, entries)


def _service_names(tree: Map) -> frozenset[str]:
    """The services' names as written, those that could not be read included."""
    entry = tree.entries.get("services")
    return (
        frozenset(entry.value.entries) if entry is not None and isinstance(entry.value, Map) else frozenset()
    )


def _stack_name(given: str, file: typed.File, report: Report) -> str:
    name = given or file.name
    with report.collect():
        if not name and "name" not in file.places:
            raise invalid("", "the stack has no name", hint="give one, or write `name:` in the file")
        try:
            return parse_stack_name(name)
        except FormError as error:
            raise invalid("" if given else file.places["name"], str(error), hint=error.hint) from error
    return name


def _check_services(tree: Map, report: Report) -> None:
    entry = tree.entries.get("services")
    if entry is None or is_null(entry.value) or (isinstance(entry.value, Map) and not entry.value.entries):
        place = tree.place if entry is None else entry.key.place
        report.add(invalid(place, "the file has no services", hint="add them under `services:`"))


def _is_text(value: str) -> bool:
    """Whether it can be sent: Python hands over undecodable bytes of an environment as surrogates."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in value
