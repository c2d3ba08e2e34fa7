"""What to ask nodes before a deploy, so that one that cannot work changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from typing import NamedTuple

from bayplan.errors import Problem, ProblemKind
from bayplan.model import Mount, MountKind, PortCheck, PreflightFault, ServiceSpec
from bayplan.session import Preflight
from controller.decide.filters import PortKey, port_keys


class _Ask(NamedTuple):
    """What one spec needs of a node."""

    image: str
    ports: frozenset[PortKey]
    paths: frozenset[str]


def questions(
    ticket: str,
    placed: Mapping[str, Sequence[ServiceSpec]],
    running: Mapping[str, Set[str]],
    ours: Callable[[str], frozenset[PortKey]],
) -> dict[str, Preflight]:
    """By node id, what to ask. `placed` are the specs of new tasks, each once a node; `running` images that
    run already (only what they mean is asked). Ports that our own tasks hold on a node, which `ours` tells,
    are not asked."""
    specs = {id(spec): spec for mine in placed.values() for spec in mine}
    asks = {key: _ask(spec) for key, spec in specs.items()}
    return {
        node: _question(
            ticket, [asks[id(s)] for s in placed.get(node, ())], running.get(node, set()), node, ours
        )
        for node in {*placed, *running}
    }


def _ask(spec: ServiceSpec) -> _Ask:
    container = spec.container
    paths = frozenset(mount.source for mount in container.mounts if _must_exist(mount))
    return _Ask(container.image, port_keys(container.ports), paths)


def _question(
    ticket: str, asks: Sequence[_Ask], running: Set[str], node: str, ours: Callable[[str], frozenset[PortKey]]
) -> Preflight:
    ports = {key for each in asks if each.ports for key in each.ports}
    if ports:
        held = {(number, protocol) for number, protocol, _ in ours(node)}
        ports = {key for key in ports if key[:2] not in held}
    paths = {path for each in asks if each.paths for path in each.paths}
    return Preflight(
        ticket=ticket,
        images=tuple(sorted({each.image for each in asks} | running)),
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
