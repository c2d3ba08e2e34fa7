"""What to ask nodes before a deploy, so that one that cannot work changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set

from bayplan.errors import Problem, ProblemKind
from bayplan.model import Mount, MountKind, PortCheck, PreflightFault, ServiceSpec
from bayplan.session import Preflight
from controller.decide.filters import PortKey, port_keys


def questions(
    ticket: str,
    placed: Mapping[str, Sequence[ServiceSpec]],
    running: Mapping[str, Set[str]],
    ours: Mapping[str, frozenset[PortKey]],
) -> dict[str, Preflight]:
    """By node id, what to ask. `placed` are the specs of new tasks, `running` images that run already
    (only what they mean is asked); ports that our own tasks hold are not asked."""
    return {
        node: _question(ticket, placed.get(node, ()), running.get(node, set()), ours.get(node, frozenset()))
        for node in {*placed, *running}
    }


def _question(
    ticket: str, specs: Sequence[ServiceSpec], running: Set[str], ours: frozenset[PortKey]
) -> Preflight:
    containers = [spec.container for spec in specs]
    held = {(number, protocol) for number, protocol, _ in ours}
    ports = {key for each in containers for key in port_keys(each.ports) if key[:2] not in held}
    paths = {mount.source for each in containers for mount in each.mounts if _must_exist(mount)}
    return Preflight(
        ticket=ticket,
        images=tuple(sorted({each.image for each in containers} | running)),
        ports=tuple(PortCheck(port=port, protocol=proto, host_ip=ip) for port, proto, ip in sorted(ports)),
        paths=tuple(sorted(paths)),
    )


def _must_exist(mount: Mount) -> bool:
    return mount.kind is MountKind.BIND and not mount.create_source


def concerns(fault: PreflightFault, specs: Sequence[ServiceSpec], running: Set[str]) -> bool:
    """Whether a fault is about new tasks of these specs, and not about an image that only runs already."""
    needed = {spec.container.image for spec in specs}
    return bool(specs) and (fault.subject in needed or fault.subject not in running)


def problem(node: str, faults: tuple[PreflightFault, ...], specs: Iterable[ServiceSpec]) -> Problem:
    """The first fault of a node as the user's problem, with the place in the user's file."""
    fault = faults[0]
    return Problem(
        kind=ProblemKind.REFUSED,
        summary=f"{node} cannot start it: {fault.reason}",
        details=tuple(f"{node}: {other.reason}" for other in faults[1:]),
        hint="nothing was changed; correct it and deploy again",
        place=_place(fault.subject, specs),
    )


def _place(subject: str, specs: Iterable[ServiceSpec]) -> str:
    for spec in specs:
        container = spec.container
        if container.image == subject:
            return spec.places.get("image", "")
        if any(f"{port.published}/{port.protocol.value}" == subject for port in container.ports):
            return spec.places.get("ports", "")
        if any(mount.source == subject for mount in container.mounts):
            return spec.places.get("volumes", "")
    return ""
