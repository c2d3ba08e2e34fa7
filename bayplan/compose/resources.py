"""Limits, reservations and replicas of a service, from version 2's keys or from `deploy`."""

from __future__ import annotations

from bayplan.compose import typed
from bayplan.compose.report import Report, invalid
from bayplan.model import Resources
from bayplan.units import format_bytes, format_cpus


def resources(report: Report, name: str, service: typed.Service) -> tuple[Resources, Resources]:
    limits, reservations = service.deploy.resources.limits, service.deploy.resources.reservations
    given = (
        ("mem_limit", service.mem_limit, "deploy.resources.limits.memory", limits.memory),
        ("cpus", service.cpus, "deploy.resources.limits.cpus", limits.cpus),
        (
            "mem_reservation",
            service.mem_reservation,
            "deploy.resources.reservations.memory",
            reservations.memory,
        ),
    )
    memory, cpus, reserved = (_one_of(report, name, service, *pair) or 0 for pair in given)
    limit = Resources(cpu_millis=cpus, memory_bytes=memory)
    reservation = Resources(cpu_millis=reservations.cpus or 0, memory_bytes=reserved)
    place = resources_place(service)
    for what, most, least, show in (
        ("CPU", limit.cpu_millis, reservation.cpu_millis, format_cpus),
        ("memory", limit.memory_bytes, reservation.memory_bytes, format_bytes),
    ):
        if 0 < most < least:
            problem = f"services.{name} reserves more {what} than its limit: {show(least)} of {show(most)}"
            report.add(invalid(place, problem, hint="lower the reservation or raise the limit"))
    return limit, reservation


def resources_place(service: typed.Service) -> str:
    older = (service.places.get(key, "") for key in ("mem_limit", "cpus", "mem_reservation"))
    return service.deploy.places.get("resources", "") or next(filter(None, older), "")


def replicas(report: Report, name: str, service: typed.Service) -> int:
    replicas = _one_of(
        report, name, service, "scale", service.scale, "deploy.replicas", service.deploy.replicas
    )
    return 1 if replicas is None else replicas


def _one_of(
    report: Report,
    name: str,
    service: typed.Service,
    old: str,
    older: int | None,
    new: str,
    newer: int | None,
) -> int | None:
    """The value of a key that has an older form beside it; both may be given only if they are equal."""
    if older is not None and newer is not None and older != newer:
        hint = f"remove {old}"
        report.add(
            invalid(
                service.places[old], f"services.{name} has both {old} and {new}, and they differ", hint=hint
            )
        )
    return older if newer is None else newer
