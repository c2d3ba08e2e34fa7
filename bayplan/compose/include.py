"""One model out of compose files: merged, with what they `include`, each service with what it extends.

An included model is loaded by itself, with a folder and an env file of its own, then its services,
networks and so on are taken over. Circles are refused with their path.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from bayplan.compose.extends import with_extended
from bayplan.compose.interpolate import Variables
from bayplan.compose.merge import FILE, merged, settled
from bayplan.compose.nodes import (
    Entry,
    List,
    Map,
    Node,
    Override,
    Reset,
    Scalar,
    describe,
    is_null,
    same,
    without,
)
from bayplan.compose.opening import Opening, Scope
from bayplan.compose.report import invalid, shown
from bayplan.nearest import did_you_mean

#: Deepest nesting of files that include files.
INCLUDE_DEPTH_MAX = 16

_KEYS = ("path", "project_directory", "env_file")
_SECTIONS = ("services", "networks", "volumes", "configs", "secrets", "models")


class _Include(NamedTuple):
    """One entry of `include`."""

    node: Node
    paths: tuple[Scalar, ...]
    project_directory: Scalar | None = None
    env_files: tuple[Scalar, ...] = ()


def model(files: Sequence[Map], scope: Scope, opening: Opening) -> Map:
    """The parsed files as one, the later over the earlier. Raises ProblemError when it cannot go on."""
    whole: Map | None = None
    for parsed in files:
        tree = opening.filled(parsed, scope)
        tree = _with_included(tree, scope, opening)
        tree = with_extended(tree, whole, scope, opening)
        together = tree if whole is None else merged(whole, tree, FILE)
        assert isinstance(together, Map)
        whole = together
    assert whole is not None
    done = settled(whole) if opening.marked else whole
    assert isinstance(done, Map)
    return done


def _with_included(tree: Map, scope: Scope, opening: Opening) -> Map:
    entry = tree.entries.get("include")
    if entry is None:
        return tree
    tree = without(tree, "include")
    trail = (*scope.trail, opening.path_of(tree))
    for include in _includes(entry, opening):
        with opening.report.collect():
            included = _included(include, scope._replace(trail=trail), opening)
            tree = _taken_over(tree, included, include, opening)
    return tree


def _includes(entry: Entry, opening: Opening) -> list[_Include]:
    """What is to be included; what is malformed goes to the report."""
    node = entry.value
    if is_null(node):
        return []
    found: list[_Include] = []
    if not isinstance(node, List):
        hint = "write a list of files, or of mappings with `path`"
        opening.report.add(
            invalid(entry.key.place, f"include shall be a list, not {describe(node)}", hint=hint)
        )
        return []
    for item in node.items:
        with opening.report.collect():
            found.append(_read(item))
    return found


def _read(item: Node) -> _Include:
    if isinstance(item, Scalar) and not is_null(item):
        return _Include(item, (item,))
    if not isinstance(item, Map):
        hint = "write a file, or a mapping with `path`"
        raise invalid(item.place, f"include shall have files, not {describe(item)}", hint=hint)
    values: dict[str, tuple[Scalar, ...]] = {}
    for name, entry in item.entries.items():
        if name.startswith("x-"):
            continue
        if name not in _KEYS:
            hint = did_you_mean(name, _KEYS, "remove it")
            raise invalid(entry.key.place, f"include.{shown(name)} is not a key of include", hint=hint)
        values[name] = _texts(entry, name)
    if not values.get("path"):
        raise invalid(item.place, "include has an entry without a path", hint="add `path: FILE`")
    directory = values.get("project_directory", ())
    if len(directory) > 1:
        problem = "include.project_directory shall be one folder"
        raise invalid(item.place, problem, hint="name one folder")
    return _Include(item, values["path"], next(iter(directory), None), values.get("env_file", ()))


def _texts(entry: Entry, name: str) -> tuple[Scalar, ...]:
    node = entry.value
    items = node.items if isinstance(node, List) else () if is_null(node) else (node,)
    texts = tuple(item for item in items if isinstance(item, Scalar))
    if len(texts) < len(items):
        problem = f"include.{name} shall be a single value or a list of such"
        raise invalid(entry.key.place, problem, hint=f"write `{name}: FILE`")
    return texts


def _included(include: _Include, scope: Scope, opening: Opening) -> Map:
    """The model of what is included."""
    paths = [opening.locate(path, scope.folder, "the included file") for path in include.paths]
    _check_trail(include, paths[0], scope.trail, opening)
    folder = paths[0].parent
    if include.project_directory is not None:
        folder = opening.locate(include.project_directory, scope.folder, "include.project_directory")
    sources = [
        opening.source(path, written, "the included file")
        for path, written in zip(paths, include.paths, strict=True)
    ]
    variables = _variables(include, folder, scope, opening)
    return model(
        [opening.parsed(source) for source in sources], Scope(folder, variables, scope.trail), opening
    )


def _check_trail(include: _Include, path: Path, trail: tuple[Path, ...], opening: Opening) -> None:
    if path in trail:
        circle = (*trail[trail.index(path) :], path)
        steps = " -> ".join(opening.shown(step) for step in circle)
        raise invalid(include.node.place, "include goes in a circle", steps, hint="remove one of them")
    if len(trail) > INCLUDE_DEPTH_MAX:
        problem = f"files include one another more than {INCLUDE_DEPTH_MAX} deep"
        raise invalid(include.node.place, problem, hint="include them from the first file")


def _variables(include: _Include, folder: Path, scope: Scope, opening: Opening) -> Variables:
    """The includer's variables, and below them those of the included project's own env files."""
    outer = scope.variables
    if not include.env_files:
        found = opening.env_file_beside(folder, outer.values)
        where = opening.shown(folder / ".env")
        what = (
            f".env was looked for at {where}: there is none" if found is None else f".env was read at {where}"
        )
        return Variables({**(found or {}), **outer.values}, what)
    values: dict[str, str] = {}
    for written in include.env_files:
        path = opening.locate(written, scope.folder, "the env file")
        values |= opening.env_file(path, written, outer.values, values)
    where = ", ".join(written.text for written in include.env_files)
    return Variables({**values, **outer.values}, f"the env file of the include was read: {where}")


def _taken_over(tree: Map, included: Map, include: _Include, opening: Opening) -> Map:
    """The file with what the included model has, which may be there only if it says the same."""
    sections = dict(tree.entries)
    for section in _SECTIONS:
        theirs = included.entries.get(section)
        if theirs is None or not isinstance(theirs.value, Map):
            continue
        ours = sections.get(section)
        if ours is None or not isinstance(ours.value, Map):
            sections[section] = theirs
            continue
        entries = dict(ours.value.entries)
        for name, entry in theirs.value.entries.items():
            with opening.report.collect():
                entries[name] = _one_of(f"{section}.{name}", entries.get(name), entry, include)
        together = Map(ours.value.path, ours.value.line, entries)
        sections[section] = Entry(ours.key, together)
    return Map(tree.path, tree.line, sections)


def _one_of(path: str, ours: Entry | None, theirs: Entry, include: _Include) -> Entry:
    if ours is None:
        return theirs
    if isinstance(ours.value, Reset | Override) or same(settled(ours.value), theirs.value):
        return ours
    raise invalid(
        ours.key.place,
        f"{path} is in an included file too, and says something else there",
        f"included at {include.node.place}, written there at {theirs.key.place}",
        hint="rename one, or change it in a further file: under include's `path`, or with -c",
    )
