"""Which tasks to move so that the load evens out, onto nodes that have joined above all. Pure.

A move must pay: it lowers how many tasks of its service one node has, or by GAIN_MIN the share of the fuller
of the two nodes that is set aside. Where a task goes is the scheduler's own choice: the plan comes true.
"""

from __future__ import annotations

from collections import Counter
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


def rebalance(movables: Sequence[Movable], candidates: Sequence[Candidate], moves_max: int) -> list[Shift]:
    """The moves, one after the other, each of which makes it better; empty when nothing is to be gained."""
    nodes = {candidate.node.id: candidate for candidate in candidates}
    left, moves = list(movables), list[Shift]()
    while len(moves) < moves_max and (shift := _best(left, nodes)) is not None:
        moves.append(shift)
        left.remove(shift.movable)
        _move(nodes, shift)
    return moves


def _best(movables: list[Movable], nodes: dict[str, Candidate]) -> Shift | None:
    """The first of the promising moves that makes it better."""
    open_nodes = [each for each in nodes.values() if _takes_tasks(each)]
    if not open_nodes:
        return None
    emptiest = min(open_nodes, key=lambda each: (_share(each), each.node.name))
    fewest: Counter[str] = Counter()
    for service_id in {each.need.service_id for each in movables}:
        fewest[service_id] = min(each.counts.get(service_id, 0) for each in open_nodes)
    promising: dict[tuple[str, str], tuple[float, float, str, Movable]] = {}
    for each in movables:
        spread = nodes[each.node_id].counts.get(each.need.service_id, 0) - fewest[each.need.service_id]
        gain = _gain(nodes[each.node_id], emptiest, each.need.reserved)
        if spread >= 2 or gain >= GAIN_MIN:
            alike = (each.need.service_id, each.node_id)
            promising.setdefault(alike, (-max(spread, 1), -gain, each.need.task_id, each))
    for *_, movable in sorted(promising.values(), key=lambda each: each[:3])[:TRIES_MAX]:
        shift = _tried(movable, nodes)
        if shift is not None:
            return shift
    return None


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


def _share(candidate: Candidate, moved: Resources = _NOTHING, by: int = 0) -> float:
    """What is set aside of a node's scarcer good, 0 to 1, with a task more or less."""
    free, capacity = _less(candidate.free, moved, by), candidate.node.inventory.capacity
    cpu = 1 - free.cpu_millis / max(1, capacity.cpu_millis)
    return max(cpu, 1 - free.memory_bytes / max(1, capacity.memory_bytes))


def _percent(candidate: Candidate) -> str:
    return f"{max(0, round(100 * _share(candidate)))} %"
