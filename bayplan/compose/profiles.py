"""Profiles: leaves out the services whose profiles are not enabled.

What needs a service that is left out is an error that names the profile. Other parts of the file are not
touched.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from bayplan.compose.nodes import Entry, List, Map, Node, Scalar, describe, get, is_null, without
from bayplan.compose.report import Report, invalid, shown
from bayplan.nearest import did_you_mean

#: Enables every profile.
ALL = "*"
#: Where profiles are named, comma separated, when none are given.
VARIABLE = "COMPOSE_PROFILES"

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")
_NAMESPACES = ("network_mode", "ipc", "pid", "uts")


def enabled(given: Sequence[str], environment: Mapping[str, str]) -> frozenset[str]:
    """The enabled profiles: those given, or else those of the variable COMPOSE_PROFILES."""
    names = given or environment.get(VARIABLE, "").split(",")
    return frozenset(name.strip() for name in names if name.strip())


def with_active_services(tree: Map, wanted: frozenset[str], report: Report) -> Map:
    """The file without the services that no wanted profile enables, and without their profiles."""
    entry = tree.entries.get("services")
    if entry is None or not isinstance(entry.value, Map):
        return tree
    services = entry.value
    profiles = {name: _profiles(name, each.value, report) for name, each in services.entries.items()}
    _check_wanted(tree, wanted, profiles.values(), report)
    inactive = {
        name: names
        for name, names in profiles.items()
        if names and ALL not in wanted and wanted.isdisjoint(names)
    }
    if services.entries and len(inactive) == len(services.entries):
        hint = f"enable one with --profile or {VARIABLE}: {_listed(*profiles.values())}"
        report.add(invalid(entry.key.place, "all services have profiles, and none is enabled", hint=hint))
    active = {
        name: Entry(each.key, _without_inactive(name, each.value, inactive, report))
        for name, each in services.entries.items()
        if name not in inactive
    }
    kept = Map(services.path, services.line, active)
    return Map(tree.path, tree.line, {**tree.entries, "services": Entry(entry.key, kept)})


def _profiles(name: str, service: Node, report: Report) -> tuple[str, ...]:
    written = get(service, "profiles")
    if written is None:
        return ()
    names: list[str] = []
    if not isinstance(written, List):
        problem = f"services.{name}.profiles shall be a list, not {describe(written)}"
        report.add(invalid(written.place, problem, hint="write `profiles: [NAME]`"))
        return ()
    for item in written.items:
        if not isinstance(item, Scalar) or is_null(item) or _NAME.fullmatch(item.text) is None:
            text = shown(item.text) if isinstance(item, Scalar) else describe(item)
            hint = "write letters, digits, '_', '.' and '-', a letter or digit first"
            report.add(invalid(item.place, f"services.{name}.profiles has no name: {text}", hint=hint))
        else:
            names.append(item.text)
    return tuple(names)


def _check_wanted(
    tree: Map, wanted: frozenset[str], known: Iterable[tuple[str, ...]], report: Report
) -> None:
    names = frozenset(name for names in known for name in names)
    for name in sorted(wanted - names - {ALL}) if names else ():
        hint = did_you_mean(name, names, f"there are: {_listed(tuple(names))}")
        report.warn(tree.path, f"no service has the profile {shown(name)}; {hint}")


def _without_inactive(
    name: str, service: Node, inactive: Mapping[str, tuple[str, ...]], report: Report
) -> Node:
    """The service without its profiles and without optional dependencies that are left out."""
    if not isinstance(service, Map):
        return service
    for other, node in _needs(service) if inactive else ():
        if other in inactive:
            problem = f"services.{name} needs {shown(other)}, which no enabled profile has"
            hint = f"enable one of its profiles with --profile or {VARIABLE}: {_listed(inactive[other])}"
            report.add(invalid(node.place, problem, hint=hint))
    service = without(service, "profiles") if "profiles" in service.entries else service
    depends = service.entries.get("depends_on")
    if not inactive or depends is None or not isinstance(depends.value, Map):
        return service
    kept = without(depends.value, *inactive)
    return Map(service.path, service.line, {**service.entries, "depends_on": Entry(depends.key, kept)})


def _needs(service: Map) -> Iterator[tuple[str, Node]]:
    """The services that this one cannot be without, with the places that say so."""
    depends = get(service, "depends_on")
    match depends:
        case List(items=items):
            yield from ((item.text, item) for item in items if isinstance(item, Scalar))
        case Map(entries=entries):
            yield from ((name, each.key) for name, each in entries.items() if not _is_optional(each.value))
    for key in ("links", "volumes_from"):
        listed = get(service, key)
        for item in listed.items if isinstance(listed, List) else ():
            if isinstance(item, Scalar) and not item.text.startswith("container:"):
                yield item.text.partition(":")[0], item
    for key in _NAMESPACES:
        namespace = get(service, key)
        if isinstance(namespace, Scalar) and namespace.text.startswith("service:"):
            yield namespace.text.removeprefix("service:"), namespace


def _is_optional(dependency: Node) -> bool:
    required = get(dependency, "required")
    return isinstance(required, Scalar) and required.text.lower() in ("false", "no", "off", "n", "0", "f")


def _listed(*names: tuple[str, ...]) -> str:
    return ", ".join(sorted({name for each in names for name in each}))
