"""What the services of a file have to do with each other: dependencies, circles, published ports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bayplan.compose import typed
from bayplan.compose.fields import Placed
from bayplan.compose.order import check_circles
from bayplan.compose.report import Report, invalid, shown
from bayplan.model import PortSpec, Protocol
from bayplan.nearest import did_you_mean

#: Most names in one warning.
UNUSED_MAX = 8


def check_file(file: typed.File, written: frozenset[str], report: Report) -> None:
    """Puts into the report what does not fit together. `written` has all services' names."""
    for name, service in file.services.items():
        _check_dependencies(name, service.value, written, report)
    check_circles(file.services, report)
    _check_ports(file, report)
    if written == file.services.keys():  # what else is left out may use the rest
        _check_uses(file, report)


def _check_dependencies(name: str, service: typed.Service, written: frozenset[str], report: Report) -> None:
    for other, dependency in service.depends_on.items():
        if other == name:
            report.add(invalid(dependency.place, f"services.{name} depends on itself", hint="remove that"))
        elif other not in written and dependency.value.required:
            hint = did_you_mean(other, written, "add that service, or remove the dependency")
            problem = f"services.{name} depends on {shown(other)}, which is not in the file"
            report.add(invalid(dependency.place, problem, hint=hint))


def _check_uses(file: typed.File, report: Report) -> None:
    """Warns of what the file declares and no service uses, once for each kind."""
    services = [placed.value for placed in file.services.values()]
    in_none = {"default"} if any(not each.networks and not each.network_mode for each in services) else set()
    declared: tuple[tuple[str, Mapping[str, Placed[Any]], set[str]], ...] = (
        ("networks", file.networks, in_none.union(*(each.networks for each in services))),
        ("volumes", file.volumes, {mount.value.source for each in services for mount in each.volumes}),
        ("configs", file.configs, {use.value.source for each in services for use in each.configs}),
        ("secrets", file.secrets, {use.value.source for each in services for use in each.secrets}),
    )
    for kind, placed, used in declared:
        unused = [name for name in placed if name not in used]
        if unused:
            more = f" and {len(unused) - UNUSED_MAX} more" if len(unused) > UNUSED_MAX else ""
            names = ", ".join(unused[:UNUSED_MAX])
            report.warn(placed[unused[0]].place, f"no service uses the {kind} {names}{more}: left out")


def _check_ports(file: typed.File, report: Report) -> None:
    taken: dict[tuple[int, Protocol], dict[str, tuple[str, str]]] = {}
    for name, service in file.services.items():
        for port in service.value.ports:
            if port.value.published and not report.full:
                holders = taken.setdefault((port.value.published, port.value.protocol), {})
                _claim(holders, name, port, report)


def _claim(holders: dict[str, tuple[str, str]], name: str, port: Placed[PortSpec], report: Report) -> None:
    """Notes who holds the port, by address: none is all of them, 0.0.0.0 and :: are all of a version."""
    address = port.value.host_ip
    every = "::" if ":" in address else "0.0.0.0"
    if not address:
        other = next(iter(holders.values()), None)
    else:
        clashing = (address, every, "", *([f"some of {every}"] if address == every else []))
        other = next((holders[held] for held in clashing if held in holders), None)
    if other is None:
        holders[address] = (name, port.place)
        if address:
            holders.setdefault(f"some of {every}", (name, port.place))
        return
    other_name, other_place = other
    whom = "by this service" if other_name == name else f"by services.{other_name}"
    report.add(
        invalid(
            port.place,
            f"services.{name} publishes port {port.value.published}/{port.value.protocol}, "
            f"which is published {whom} too",
            f"the first time at {other_place}",
            hint="publish another port",
        )
    )
