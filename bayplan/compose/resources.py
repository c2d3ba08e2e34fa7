"""What a service may use and what is kept for it, from version 2's keys or from `deploy`; its replicas.

Only what was asked for by name: what follows from a limit is the controller's to derive.
"""

from __future__ import annotations

from bayplan.compose import typed
from bayplan.compose.devices import GPU, gpu_count
from bayplan.compose.report import Report, invalid
from bayplan.model import CpuTuning, DeviceRequest, MemoryTuning, Resources, ServiceMode
from bayplan.units import format_bytes, format_cpus

_GLOBAL = (ServiceMode.GLOBAL, ServiceMode.GLOBAL_JOB)


def resources(report: Report, name: str, service: typed.Service) -> tuple[Resources, Resources]:
    """Limits and reservations; one above the other goes to the report."""
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
    own = service.bayplan.reservations
    reservation = Resources(
        cpu_millis=reservations.cpus or 0, memory_bytes=reserved, disk_bytes=own.disk, pids=own.pids
    )
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
    """Where amounts are written: in the newer form, the older, or our own."""
    older = (service.places.get(key, "") for key in ("mem_limit", "cpus", "mem_reservation"))
    written = (service.deploy.places.get("resources", ""), *older)
    return next(filter(None, written), service.bayplan.places.get("reservations", ""))


def pids_limit(report: Report, name: str, service: typed.Service) -> int:
    """The most processes; -1 is without limit, 0 the node's default."""
    newer = service.deploy.resources.limits.pids
    key = "deploy.resources.limits.pids"
    return _one_of(report, name, service, "pids_limit", service.pids_limit, key, newer) or 0


def cpu_tuning(report: Report, name: str, service: typed.Service, limit: Resources) -> CpuTuning:
    """The scheduler's knobs; an engine takes a quota or a number of CPUs, not both."""
    if limit.cpu_millis and (service.cpu_quota or service.cpu_period):
        key = "cpu_quota" if service.cpu_quota else "cpu_period"
        problem = f"services.{name} has both {key} and a limit of CPUs"
        report.add(invalid(service.places[key], problem, hint=f"remove {key}"))
    return CpuTuning(
        shares=service.cpu_shares,
        quota_us=service.cpu_quota,
        period_us=service.cpu_period,
        realtime_runtime_us=service.cpu_rt_runtime,
        realtime_period_us=service.cpu_rt_period,
        set=service.cpuset,
    )


def memory_tuning(report: Report, name: str, service: typed.Service, limit: Resources) -> MemoryTuning:
    """The engine's knobs of memory; memory and swap together are never less than the memory."""
    swap, memory = service.memswap_limit, limit.memory_bytes
    if swap > 0 and not memory:
        problem = f"services.{name} has memswap_limit, but no limit of memory"
        report.add(invalid(service.places["memswap_limit"], problem, hint="add mem_limit"))
    elif 0 < swap < memory:
        both = f"{format_bytes(swap)} of {format_bytes(memory)}"
        problem = f"services.{name} has less memory and swap together than memory: {both}"
        hint = "memswap_limit is the sum of both: raise it, or write -1 for swap without limit"
        report.add(invalid(service.places["memswap_limit"], problem, hint=hint))
    return MemoryTuning(
        swap_bytes=swap,
        swappiness=service.mem_swappiness,
        oom_kill_disabled=service.oom_kill_disable,
        oom_score_adjustment=service.oom_score_adj,
        shm_bytes=service.shm_size,
    )


def device_requests(service: typed.Service) -> tuple[DeviceRequest, ...]:
    """Devices that a driver hands out, from either form."""
    requests = (*service.gpus, *service.deploy.resources.reservations.devices)
    return tuple(each for index, each in enumerate(requests) if each not in requests[:index])


def generic(service: typed.Service) -> dict[str, int]:
    """Countable goods of a node: those asked for by kind, and GPUs by number (of "all" at least one)."""
    goods = dict(service.deploy.resources.reservations.generic_resources)
    goods[GPU] = goods.get(GPU, 0) + gpu_count(device_requests(service))
    return {kind: number for kind, number in goods.items() if number}


def replicas(report: Report, name: str, service: typed.Service) -> int:
    """How many tasks; a service of a global mode is not told how many."""
    newer = service.deploy.replicas
    given = _one_of(report, name, service, "scale", service.scale, "deploy.replicas", newer)
    mode = service.deploy.mode
    if given is None or mode not in _GLOBAL:
        return 1 if given is None else given
    if given != 1:
        place = service.deploy.places.get("replicas") or service.places["scale"]
        problem = f"services.{name} has {given} replicas, but one task on each node: its mode is global"
        report.add(invalid(place, problem, hint="remove replicas, or write `mode: replicated`"))
    return 1


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
