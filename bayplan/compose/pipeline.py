"""The loader: one tree out of all files, then what it says, then the stack. Pure.

Bytes and an environment come in; a stack with its warnings, or one error with every problem, goes out.
Files that the compose files name come from the project folder, whatever stands behind that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from bayplan.compose import profiles as profile
from bayplan.compose import schema, typed
from bayplan.compose.build import build_services
from bayplan.compose.check import check_file
from bayplan.compose.fields import Field
from bayplan.compose.files import Folder, StackFiles
from bayplan.compose.images import Build, builds
from bayplan.compose.include import model
from bayplan.compose.interpolate import Variables, expand
from bayplan.compose.names import parse_stack_name
from bayplan.compose.nodes import Map, Scalar, Source, get, is_null
from bayplan.compose.opening import Opening, Scope
from bayplan.compose.project import NO_FILES, ProjectFiles
from bayplan.compose.report import FormError, Report, invalid
from bayplan.compose.scope import Project
from bayplan.compose.unused import warn_of_unused
from bayplan.errors import ProblemError
from bayplan.model import FileKind, Model, StackSpec

_PROJECT_NAME = "COMPOSE_PROJECT_NAME"
_OF_A_SERVICE = ("image", "build")


class Loaded(Model, frozen=True, kw_only=True):
    """A stack, and what the user should know about it, each beginning with file:line.

    `builds` has the services with `build`, for `--build`.
    """

    stack: StackSpec
    warnings: tuple[str, ...] = ()
    builds: tuple[Build, ...] = ()


def load(
    stack_name: str,
    files: Sequence[Source],
    environment: Mapping[str, str],
    project_dir: Path,
    *,
    project: ProjectFiles = NO_FILES,
    profiles: Sequence[str] = (),
    looked_for: str = "",
    shown_dir: str = "",
    build: bool = False,
) -> Loaded:
    """The stack that compose files describe, the later merged over the earlier.

    An empty `stack_name` lets COMPOSE_PROJECT_NAME count, then the files' `name`. `project_dir` is
    absolute; relative paths start there, and what the files name must lie there. Without `profiles`,
    COMPOSE_PROFILES enables them. `looked_for` is a sentence on the env file, for the error about a missing
    variable; `shown_dir` is how places show the project folder, by default not at all.
    With `build` a service that has `build` and no image gets the image `<stack>-<service>:latest`, which
    whoever asked for it builds from `Loaded.builds`; otherwise that is an error.
    Raises ProblemError with one problem for each error, all INVALID and with file:line.
    """
    report = Report()
    usable = {name: value for name, value in environment.items() if _is_text(name + value)}
    if stack_name:
        usable[_PROJECT_NAME] = stack_name
    opening = Opening(project, project_dir, shown_dir, report)
    try:
        tree = _tree(files, usable, looked_for, project_dir, opening)
    except ProblemError as error:
        report.add(error)
        report.finish()
        raise
    written = _service_names(tree)
    warn_of_unused(tree, report)
    tree = profile.with_active_services(tree, profile.enabled(profiles, usable), report)
    file = schema.file(Field(tree, "", tree.place, report))
    stack = _stack_name(stack_name or usable.get(_PROJECT_NAME, ""), file, report)
    declared = {FileKind.CONFIG: file.configs, FileKind.SECRET: file.secrets}
    contents = StackFiles(stack, Folder(project_dir, project), usable, declared, report)
    around = Project(
        stack,
        project_dir,
        usable,
        project,
        file.services,
        file.networks,
        file.volumes,
        contents,
        report,
        build,
    )
    services = build_services(around)
    check_file(file, written, report)
    report.finish()
    spec = StackSpec(name=stack, services=services, files=contents.all())
    return Loaded(stack=spec, warnings=report.warnings, builds=builds(around))


def _tree(
    files: Sequence[Source], usable: dict[str, str], looked_for: str, project_dir: Path, opening: Opening
) -> Map:
    """The tree of all files. Raises ProblemError when it cannot be had."""
    if not files:
        raise invalid("", "no compose file was given", hint="name one with -c FILE")
    parsed = [opening.parsed(source) for source in files]
    if not usable.get(_PROJECT_NAME):
        usable[_PROJECT_NAME] = _written_name(parsed, usable)
    tree = model(parsed, Scope(project_dir, Variables(usable, looked_for)), opening)
    _check_services(tree, opening.report)
    return tree


def _written_name(parsed: Sequence[Map], usable: Mapping[str, str]) -> str:
    """The last `name` of the files; it is a variable in all of them."""
    names = [name.text for tree in parsed if isinstance(name := get(tree, "name"), Scalar)]
    try:
        return expand(names[-1], usable, lambda name: None) if names else ""
    except ValueError:
        return ""  # told when the file's variables are put in


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
    """Reports a file without services. Raises ProblemError for one of version 1."""
    entry = tree.entries.get("services")
    if entry is None and any(get(each.value, key) for each in tree.entries.values() for key in _OF_A_SERVICE):
        hint = "write `services:` in its first line, and indent all that follows"
        raise invalid(tree.place, "the file is of version 1, which has no `services`", hint=hint)
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
