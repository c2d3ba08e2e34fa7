"""What the services of a file have to do with each other: dependencies, circles, published ports."""

from __future__ import annotations

from bayplan.compose import typed
from bayplan.compose.fields import Placed
from bayplan.compose.order import check_circles
from bayplan.compose.report import Report, invalid, shown
from bayplan.model import PortSpec, Protocol
from bayplan.nearest import did_you_mean


def check_file(file: typed.File, written: frozenset[str], report: Report) -> None:
    """Puts into the report what does not fit together. `written` has all services' names."""
    for name, service in file.services.items():
        _check_dependencies(name, service.value, written, report)
        _check_affinities(name, service.value, written, report)
    check_circles(file.services, report)
    _check_ports(file, report)


def _check_dependencies(name: str, service: typed.Service, written: frozenset[str], report: Report) -> None:
    for other, dependency in service.depends_on.items():
        if other == name:
            report.add(invalid(dependency.place, f"services.{name} depends on itself", hint="remove that"))
        elif other not in written and dependency.value.required:
            hint = did_you_mean(other, written, "add that service, or remove the dependency")
            problem = f"services.{name} depends on {shown(other)}, which is not in the file"
            report.add(invalid(dependency.place, problem, hint=hint))


def _check_affinities(name: str, service: typed.Service, written: frozenset[str], report: Report) -> None:
    """A name without `_` can be no full name: it must be in the file."""
    own = service.bayplan
    for each in (*own.affinity, *own.anti_affinity):
        other = each.value.service
        if other not in written and "_" not in other:
            hint = did_you_mean(
                other, written, "name a service of the file, or another one in full: STACK_NAME"
            )
            problem = f"services.{name} has an affinity to {shown(other)}, which is not in the file"
            report.add(invalid(each.place, problem, hint=hint))


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
