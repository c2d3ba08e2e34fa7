"""What to ask nodes before a deploy, so that one that cannot work changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bayplan.errors import Problem, ProblemKind
from bayplan.model import MountKind, PortCheck, PreflightFault, ServiceSpec
from bayplan.session import Preflight
from controller.decide.filters import PortKey, port_keys


def questions(
    ticket: str, placed: Iterable[tuple[str, ServiceSpec]], ours: Mapping[str, frozenset[PortKey]]
) -> dict[str, Preflight]:
    """By node id, what to ask. `placed` are (node id, spec); ports that our own tasks hold are not asked."""
    by_node: dict[str, list[ServiceSpec]] = {}
    for node_id, spec in placed:
        by_node.setdefault(node_id, []).append(spec)
    return {node: _question(ticket, specs, ours.get(node, frozenset())) for node, specs in by_node.items()}


def _question(ticket: str, specs: list[ServiceSpec], ours: frozenset[PortKey]) -> Preflight:
    containers = [spec.container for spec in specs]
    held = {(number, protocol) for number, protocol, _ in ours}
    ports = {key for each in containers for key in port_keys(each.ports) if key[:2] not in held}
    paths = {m.source for each in containers for m in each.mounts if m.kind is MountKind.BIND}
    return Preflight(
        ticket=ticket,
        images=tuple(sorted({each.image for each in containers})),
        ports=tuple(PortCheck(port=port, protocol=proto, host_ip=ip) for port, proto, ip in sorted(ports)),
        paths=tuple(sorted(paths)),
    )


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
