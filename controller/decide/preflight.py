"""What to ask nodes before a deploy, so that one that cannot work changes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from typing import NamedTuple

from bayplan.errors import Problem, ProblemKind
from bayplan.model import Mount, MountKind, PortCheck, PortMode, PreflightFault, ServiceSpec
from bayplan.session import Preflight
from controller.decide.filters import PortKey, keys_of, port_keys

#: Nodes that are asked about one image: what so many agree on the others will not know better.
ASKED_PER_IMAGE_MAX = 500
#: Of the nodes that are asked one in so many may be a straggler: it is not waited for as long as the others.
STRAGGLERS_ONE_IN = 20
#: Stragglers get as long again as all others took, and at least so long: an image may have to be pulled.
STRAGGLERS_MS_MIN = 10_000


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
    everywhere: frozenset[PortKey] = frozenset(),
) -> dict[str, Preflight]:
    """By node id, what to ask. `placed` are the specs of new tasks, each once a node; `running` images that
    run already (only what they mean is asked). Not asked are ports that our own tasks hold on a node, which
    `ours` tells, those that every node answers at already (`everywhere`), and a node of which no more would
    be asked than images that enough others are asked for.
    """
    specs = {id(spec): spec for mine in placed.values() for spec in mine}
    asks = {key: _ask(spec, everywhere) for key, spec in specs.items()}
    asked, found = Counter[str](), dict[str, Preflight]()
    for node in sorted({*placed, *running}):
        mine, known = [asks[id(spec)] for spec in placed.get(node, ())], running.get(node, set())
        images = {each.image for each in mine} | known
        if any(asked[image] < ASKED_PER_IMAGE_MAX for image in images) or any(map(_own, mine)):
            asked.update(images)
            found[node] = _question(ticket, mine, images, node, ours)
    return found


def _own(ask: _Ask) -> bool:
    """Whether it is about what each node has for itself."""
    return bool(ask.ports or ask.paths)


def _ask(spec: ServiceSpec, everywhere: frozenset[PortKey]) -> _Ask:
    """A port that shall answer on every node is asked of those that get a task: they stand for the others."""
    container = spec.container
    published = keys_of(container.ports, PortMode.INGRESS) - everywhere
    paths = frozenset(mount.source for mount in container.mounts if _must_exist(mount))
    return _Ask(container.image, port_keys(container.ports) | published, paths)


def _question(
    ticket: str, asks: Sequence[_Ask], images: Set[str], node: str, ours: Callable[[str], frozenset[PortKey]]
) -> Preflight:
    ports = {key for each in asks if each.ports for key in each.ports}
    if ports:
        held = {(number, protocol) for number, protocol, _ in ours(node)}
        ports = {key for key in ports if key[:2] not in held}
    paths = {path for each in asks if each.paths for path in each.paths}
    return Preflight(
        ticket=ticket,
        images=tuple(sorted(images)),
        ports=tuple(PortCheck(port=port, protocol=proto, host_ip=ip) for port, proto, ip in sorted(ports)),
        paths=tuple(sorted(paths)),
    )


def _must_exist(mount: Mount) -> bool:
    return mount.kind is MountKind.BIND and not mount.create_source


def nearly_all(awaited: int, asked: int) -> bool:
    """Whether all but a few stragglers have answered; of few nodes each is waited for."""
    return 0 < awaited <= asked // STRAGGLERS_ONE_IN


def stragglers_until(asked_ms: int, now_ms: int) -> int:
    """Until when stragglers are waited for, now that all others have answered (ms)."""
    return now_ms + max(STRAGGLERS_MS_MIN, now_ms - asked_ms)


def unheard(needed: Mapping[str, Sequence[ServiceSpec]], silent: Set[str]) -> list[str]:
    """The silent nodes, ascending, of specs about which no node has said anything."""
    if not silent:
        return []
    heard = {id(spec) for node, specs in needed.items() if node not in silent for spec in specs}
    return [node for node in sorted(silent) if any(id(spec) not in heard for spec in needed[node])]


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
