"""`extends`: a service that begins as a copy of another one, in the same file or in another.

The service's own keys are merged over the copy by the rules of several files. Circles are refused with
their path, chains and copies are limited.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from bayplan.compose.merge import SERVICE, merged
from bayplan.compose.nodes import Entry, Map, Node, Scalar, describe, get, is_null, without
from bayplan.compose.opening import Opening, Scope
from bayplan.compose.report import invalid, shown
from bayplan.errors import ProblemError
from bayplan.nearest import did_you_mean

#: Longest chain of services that extend one another.
EXTENDS_DEPTH_MAX = 32

_KEYS = ("service", "file")


#: A service by its file and name.
_Key = tuple[Path, str]


class _File(NamedTuple):
    """Services that can be extended, and the file in which they are written."""

    path: Path
    folder: Path
    services: Mapping[str, Entry]


class _Target(NamedTuple):
    service: Scalar
    file: Scalar | None


def with_extended(tree: Map, earlier: Map | None, scope: Scope, opening: Opening) -> Map:
    """The file with every `extends` of its services done.

    A service that the file itself has not may be one of the `earlier` files' that were given before it.
    """
    services = tree.entries.get("services")
    if services is None or not isinstance(services.value, Map):
        return tree
    before = get(earlier, "services") if earlier is not None else None
    known = (before.entries if isinstance(before, Map) else {}) | services.value.entries
    file = _File(opening.path_of(tree), scope.folder, known)
    extension = _Extension(scope, opening)
    entries = {
        name: Entry(entry.key, extension.of(file, name)) for name, entry in services.value.entries.items()
    }
    done = Map(services.value.path, services.value.line, entries)
    return Map(tree.path, tree.line, {**tree.entries, "services": Entry(services.key, done)})


class _Extension:
    """Does each service once; a service of another file may be asked for many times."""

    def __init__(self, scope: Scope, opening: Opening) -> None:
        self._scope = scope
        self._opening = opening
        self._done: dict[_Key, Node] = {}
        self._depth: dict[_Key, int] = {}
        self._files: dict[Path, _File] = {}

    def of(self, file: _File, name: str, chain: tuple[_Key, ...] = ()) -> Node:
        """The service with what it extends; an error goes to the report and leaves the service's own keys."""
        service = file.services[name].value
        if not isinstance(service, Map) or "extends" not in service.entries:
            return service
        key = (file.path, name)
        if key not in self._done:
            own = without(service, "extends")
            # Until it is done, what leads back here finds the service's own keys: one error for a circle.
            with self._opening.report.collect():
                self._check_chain(service.entries["extends"], key, chain)
                self._done[key] = self._extended(file, name, own, service.entries["extends"], (*chain, key))
            self._done.setdefault(key, own)
        return self._done[key]

    def _extended(self, file: _File, name: str, own: Map, written: Entry, chain: tuple[_Key, ...]) -> Node:
        target = _target(written, f"services.{name}.extends")
        if target is None:
            return own
        there = file if target.file is None else self._open(file, target.file)
        if target.service.text not in there.services:
            where = f" in {self._opening.shown(there.path)}" if target.file is not None else ""
            problem = f"services.{name} extends {shown(target.service.text)}, which is not a service{where}"
            hint = did_you_mean(target.service.text, there.services, "name one of its services")
            raise invalid(target.service.place, problem, hint=hint)
        base = self.of(there, target.service.text, chain)
        self._depth[file.path, name] = self._depth.get((there.path, target.service.text), 0) + 1
        self._check_depth(written, self._depth[file.path, name])
        self._opening.budget.add_copy(base, written.key)
        return merged(base, own, SERVICE, f"services.{name}")

    def _check_chain(self, written: Entry, key: _Key, chain: tuple[_Key, ...]) -> None:
        if key in chain:
            circle = (*chain[chain.index(key) :], key)
            raise invalid(
                written.key.place,
                f"services.{key[1]}.extends goes in a circle",
                " -> ".join(self._named(step, circle) for step in circle),
                hint="remove one of them",
            )
        self._check_depth(written, len(chain) + 1)

    def _check_depth(self, written: Entry, depth: int) -> None:
        if depth > EXTENDS_DEPTH_MAX:
            problem = f"more than {EXTENDS_DEPTH_MAX} services extend one another in a chain"
            raise invalid(written.key.place, problem, hint="let them extend the first one")

    def _named(self, step: _Key, circle: tuple[_Key, ...]) -> str:
        path, name = step
        several = len({path for path, _ in circle}) > 1
        return f"{name} ({self._opening.shown(path)})" if several else name

    def _open(self, file: _File, written: Scalar) -> _File:
        path = self._opening.locate(written, file.folder, "the extended file")
        if path not in self._files:
            source = self._opening.source(path, written, "the extended file")
            scope = Scope(path.parent, self._scope.variables)
            tree = self._opening.filled(self._opening.parsed(source), scope)
            services = get(tree, "services")
            known = services.entries if isinstance(services, Map) else {}
            self._files[path] = _File(path, path.parent, known)
        return self._files[path]


def _target(written: Entry, path: str) -> _Target | None:
    """What is extended; None when nothing is written. Raises ProblemError."""
    node = written.value
    if is_null(node):
        return None
    if isinstance(node, Scalar):
        return _Target(node, None)
    if not isinstance(node, Map):
        raise _refuse(written, f"{path} shall be a service's name or a mapping, not {describe(node)}")
    for name, entry in node.entries.items():
        if name not in _KEYS and not name.startswith("x-"):
            hint = did_you_mean(name, _KEYS, "remove it")
            raise invalid(entry.key.place, f"{path}.{shown(name)} is not a key of extends", hint=hint)
    service, file = get(node, "service"), get(node, "file")
    if service is None:
        raise _refuse(written, f"{path} names no service", "add `service: NAME`")
    if not isinstance(service, Scalar) or not isinstance(file, Scalar | None):
        raise _refuse(written, f"{path}: service and file shall each be a single value")
    return _Target(service, file)


def _refuse(written: Entry, problem: str, hint: str = "write `extends: {service: NAME}`") -> ProblemError:
    return invalid(written.key.place, problem, hint=hint)
