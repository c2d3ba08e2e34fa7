"""What a task sets aside on its node: CPU and memory as asked for, else their limit, else a default; disk and
processes only as asked for."""

from __future__ import annotations

from bayplan.model import Resources, ServiceSpec
from bayplan.views import Origin, Reservation

#: Set aside for a service that declares nothing (81 % of those found in public repositories): small
#: enough for a stack of 20 such services on a laptop (1 CPU, 1.25 GiB), and still not nothing, so that
#: the emptier of two nodes is the one that has fewer of them.
DEFAULT_RESERVATION = Resources(cpu_millis=50, memory_bytes=64 << 20)


def reserve(spec: ServiceSpec, defaults: Resources) -> Reservation:
    """The reservation of each task of a service, with the origin of each amount."""
    asked, limits = spec.reservations, spec.container.limits
    cpu, cpu_origin = _first(asked.cpu_millis, limits.cpu_millis, defaults.cpu_millis)
    memory, memory_origin = _first(asked.memory_bytes, limits.memory_bytes, defaults.memory_bytes)
    return Reservation(
        resources=Resources(
            cpu_millis=cpu, memory_bytes=memory, disk_bytes=asked.disk_bytes, pids=asked.pids
        ),
        cpu_origin=cpu_origin,
        memory_origin=memory_origin,
    )


def _first(asked: int, limit: int, default: int) -> tuple[int, Origin]:
    if asked:
        return asked, Origin.EXPLICIT
    if limit:
        return limit, Origin.LIMIT
    return default, Origin.DEFAULT if default else Origin.NONE
