"""Which tasks to move so that the load evens out, onto nodes that have joined above all. Pure.

A move must pay: it lowers how many tasks of its service one node has, or by GAIN_MIN the share of the fuller
of the two nodes that is set aside. Where a task goes is the scheduler's own choice: the plan comes true.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from bayplan.model import Availability, NodeStatus, Resources
from controller.decide import schedule
from controller.decide.filters import Candidate, port_keys

#: By how much a move must lower the fuller node's share of CPU or memory.
GAIN_MIN = 0.05
#: Tasks that are tried for one move, the most promising first.
TRIES_MAX = 50

_NOTHING = Resources()


class Movable(NamedTuple):
    """A task that may run elsewhere: where it is, and what it needs."""

    task_id: str
    node_id: str
    need: schedule.Need


class Shift(NamedTuple):
    """A task that moves, the node where it goes, and what is gained."""

    movable: Movable
    node_id: str
    reason: str


#: Tasks that are alike: of one service, on one node, of one size.
_Alike = dict[tuple[str, str, Resources], list[Movable]]


def rebalance(movables: Sequence[Movable], candidates: Sequence[Candidate], moves_max: int) -> list[Shift]:
    """The moves, one after the other, each of which makes it better; empty when nothing is to be gained."""
    nodes = {candidate.node.id: candidate for candidate in candidates}
    alike: _Alike = {}
    for each in movables:
        alike.setdefault((each.need.service_id, each.node_id, each.need.reserved), []).append(each)
    moves: list[Shift] = []
    while len(moves) < moves_max and (shift := _best(alike, nodes)) is not None:
        moves.append(shift)
        gone = shift.movable
        alike[gone.need.service_id, gone.node_id, gone.need.reserved].remove(gone)
        _move(nodes, shift)
    return moves


def _best(alike: _Alike, nodes: dict[str, Candidate]) -> Shift | None:
    """The first of the promising moves that makes it better."""
    for movable in _promising(alike, nodes)[:TRIES_MAX]:
        shift = _tried(movable, nodes)
        if shift is not None:
            return shift
    return None


def _promising(alike: _Alike, nodes: dict[str, Candidate]) -> list[Movable]:
    """Tasks that could gain by a move: those of services that are spread worst, then the largest gains, as if
    each could go to the emptiest node."""
    targets = [each for each in nodes.values() if _takes_tasks(each)]
    if not targets:
        return []
    shares = {node_id: _share(each) for node_id, each in nodes.items()}
    least = min(shares[each.node.id] for each in targets)
    services = {service_id for service_id, _, _ in alike}
    fewest = {each: min(target.counts.get(each, 0) for target in targets) for each in services}
    found: list[tuple[float, float, str, Movable]] = []
    for (service_id, node_id, reserved), tasks in alike.items():
        spread = nodes[node_id].counts.get(service_id, 0) - fewest[service_id]
        size = _size(nodes[node_id], reserved)
        gain = min(size, shares[node_id] - least - size)
        if tasks and (spread >= 2 or gain >= GAIN_MIN):
            found.append((-max(spread, 1), -gain, tasks[0].need.task_id, tasks[0]))
    return [movable for *_, movable in sorted(found, key=lambda each: each[:3])]


def _tried(movable: Movable, nodes: dict[str, Candidate]) -> Shift | None:
    need, source = movable.need._replace(level=True), nodes[movable.node_id]
    target_id = schedule.place([need], list(nodes.values())).placed.get(need.task_id)
    if target_id is None or target_id == movable.node_id:
        return None
    target = nodes[target_id]
    here, there = (each.counts.get(need.service_id, 0) for each in (source, target))
    if here - there >= 2:
        reason = f"{source.node.name} has {here} tasks of the service, {target.node.name} {there}"
        return Shift(movable, target_id, reason)
    if here > there and _gain(source, target, need.reserved) >= GAIN_MIN:
        shares = [f"{_percent(each)} of {each.node.name}" for each in (source, target)]
        return Shift(movable, target_id, f"reserved are {shares[0]} and {shares[1]}")
    return None


def _move(nodes: dict[str, Candidate], shift: Shift) -> None:
    need = shift.movable.need
    nodes[shift.movable.node_id] = _changed(nodes[shift.movable.node_id], need, -1)
    nodes[shift.node_id] = _changed(nodes[shift.node_id], need, 1)


def _changed(candidate: Candidate, need: schedule.Need, by: int) -> Candidate:
    """A node with a task more or less."""
    ports = port_keys(need.spec.container.ports)
    counts, generic = dict(candidate.counts), dict(candidate.generic)
    counts[need.service_id] = counts.get(need.service_id, 0) + by
    for kind, count in need.spec.generic.items():
        generic[kind] = generic.get(kind, 0) - by * count
    return candidate._replace(
        free=_less(candidate.free, need.reserved, by),
        ports=candidate.ports | ports if by > 0 else candidate.ports - ports,
        counts=counts,
        generic=generic,
    )


def _less(free: Resources, taken: Resources, by: int) -> Resources:
    return Resources(
        cpu_millis=free.cpu_millis - by * taken.cpu_millis,
        memory_bytes=free.memory_bytes - by * taken.memory_bytes,
    )


def _takes_tasks(candidate: Candidate) -> bool:
    return candidate.status is NodeStatus.READY and candidate.node.availability is Availability.ACTIVE


def _gain(source: Candidate, target: Candidate, moved: Resources) -> float:
    """By how much the share of the fuller of two nodes falls when a task moves."""
    before = max(_share(source), _share(target))
    return before - max(_share(source, moved, -1), _share(target, moved, 1))


def _size(candidate: Candidate, reserved: Resources) -> float:
    """The share of a node that a task takes, of its scarcer good."""
    capacity = candidate.node.inventory.capacity
    cpu = reserved.cpu_millis / max(1, capacity.cpu_millis)
    return max(cpu, reserved.memory_bytes / max(1, capacity.memory_bytes))


def _share(candidate: Candidate, moved: Resources = _NOTHING, by: int = 0) -> float:
    """What is set aside of a node's scarcer good, 0 to 1, with a task more or less."""
    free, capacity = _less(candidate.free, moved, by), candidate.node.inventory.capacity
    cpu = 1 - free.cpu_millis / max(1, capacity.cpu_millis)
    return max(cpu, 1 - free.memory_bytes / max(1, capacity.memory_bytes))


def _percent(candidate: Candidate) -> str:
    return f"{max(0, round(100 * _share(candidate)))} %"
