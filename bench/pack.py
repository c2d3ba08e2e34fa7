"""How well tasks are packed: waste over the lower bound, use at the first refusal, and after rolling updates.

`python -m bench.pack [--quick]`. Every figure is a count of nodes, thus the same on every machine; only the
times are this one's. Ours goes through the scheduler's own doors (`schedule.place_groups`, `room.make_room`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from bayplan.model import Inventory, NodeStatus, Resources
from bench import bounds
from bench.measuring import Report, at_least, at_most, options, timed
from bench.mixes import MIXES, Mix, fleet, mix
from bench.rivals import FirstFit, Nomad, Placer, Spread
from controller.decide import consolidation
from controller.decide.demand import Demand, interned
from controller.decide.filters import Candidate
from controller.decide.fleet import Fleet
from controller.decide.room import Allowance, Movable, Shift, make_room, sources
from controller.decide.schedule import Group, place_groups
from controller.records import Node

Ints = npt.NDArray[np.int64]

#: Homogeneous nodes that a mix needs, by the sum of its amounts.
NODES, NODES_QUICK = 1_000, 200
#: Nodes of the fleet that services come to one at a time, and that is rolled.
NODES_ARRIVING, NODES_ARRIVING_QUICK = 300, 100
#: How many more nodes a fleet has than the bound, where it is not to run out.
SPARE = 1.2
#: Steps in which the smallest fleet is sought on which a rival places everything.
STEP, STEPS_MAX = 0.005, 200
#: Sizes for whose mixes the linear program over patterns is solved.
SHAPES_MAX = 60
#: Mixes that arrive need so many times the fleet.
TOO_MANY = 2.2
#: Rolling updates of everything.
ROUNDS = 2
#: Of a service so many tasks are renewed at a time.
PARALLEL = 0.25

DIMENSIONS = ("cpu_millis", "memory_bytes", "disk_bytes", "pids")
WASTE, USE, ROLLED = at_most(2.0, 1.0), at_least(95.0, 97.0), at_most(5.0, 2.0)


def nodes_of(capacity: Ints) -> Fleet:
    """A fleet of the scheduler's, of nodes with these capacities."""
    found = []
    for row, amounts in enumerate(capacity.tolist()):
        whole = Resources(**dict(zip(DIMENSIONS, amounts, strict=False)))
        node = Node(id=f"n{row:05}", name=f"n{row:05}", inventory=Inventory(capacity=whole))
        found.append(Candidate(node=node, status=NodeStatus.READY, free=whole, ports=frozenset(), counts={}))
    return Fleet.of(found)


def groups_of(drawn: Mix) -> list[Group]:
    return [
        Group(f"s{row:05}", interned(Demand(amounts=tuple(zip(DIMENSIONS, size, strict=False)))), count)
        for row, (size, count) in enumerate(zip(drawn.sizes.tolist(), drawn.counts.tolist(), strict=True))
    ]


def in_use(found: Fleet) -> npt.NDArray[np.bool_]:
    return np.asarray(found.tasks > 0)


# The whole batch.


def least(drawn: Mix, *, mixed: bool) -> int:
    """The lower bound of the nodes of a fleet for a mix."""
    kinds = fleet(drawn.sizes.shape[1], 3 if mixed else 1, mixed=mixed)
    bound = bounds.continuous(drawn.sizes, drawn.counts, kinds)
    if len(np.unique(drawn.sizes, axis=0)) <= SHAPES_MAX:
        bound = max(bound, bounds.configurations(drawn.sizes, drawn.counts, kinds))
    return math.ceil(bound - 1e-6)


def smallest(bound: int, fits: Callable[[int], bool]) -> int:
    """The nodes of the smallest fleet, in steps, that suffices."""
    low, high = -1, STEPS_MAX
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if fits(math.ceil(bound * (1 + middle * STEP))) else (middle, high)
    return math.ceil(bound * (1 + high * STEP))


def whole_batch(drawn: Mix, capacity: Ints) -> tuple[int, int]:
    """How many tasks our plan of the whole mix places, and how many nodes it opens."""
    found = nodes_of(capacity)
    placed = place_groups(groups_of(drawn), found)
    return sum(each.rows.size for each in placed), int(in_use(found).sum())


def ours(drawn: Mix, bound: int, *, mixed: bool) -> int:
    """The nodes that we need: of equal ones those that are opened, of several kinds the smallest fleet."""
    dimensions = drawn.sizes.shape[1]
    if not mixed:
        placed, opened = whole_batch(drawn, fleet(dimensions, int(bound * SPARE), mixed=False))
        assert placed == drawn.tasks
        return opened
    return smallest(
        bound, lambda nodes: whole_batch(drawn, fleet(dimensions, nodes, mixed=True))[0] == drawn.tasks
    )


def rivals(drawn: Mix, bound: int, rival: Callable[[int], Placer], *, mixed: bool) -> int:
    """The nodes of the smallest fleet on which a rival places the whole mix, service by service."""

    def fits(nodes: int) -> bool:
        whole = fleet(drawn.sizes.shape[1], nodes, mixed=mixed)
        free, place = whole.copy(), rival(nodes)
        pairs = zip(drawn.sizes, drawn.counts.tolist(), strict=True)
        return all(place(free, whole, size, count) == count for size, count in pairs)

    return smallest(bound, fits)


def largest_first(drawn: Mix) -> Mix:
    order = np.argsort(
        -(drawn.sizes / fleet(drawn.sizes.shape[1], 1, mixed=False)).max(axis=1), kind="stable"
    )
    return Mix(drawn.name, drawn.sizes[order], drawn.counts[order])


# One service after the other, until one is refused.


class Arrived(NamedTuple):
    """The use of the scarcest good at the first refusal, and how many moves per 100 placements it took."""

    use: float
    moves: float


class Port:
    """A fleet to which services come, with what stands where, so that a task can be moved."""

    def __init__(self, capacity: Ints, allowance: Allowance) -> None:
        self.fleet, self.capacity = nodes_of(capacity), capacity
        self.standing: list[dict[str, int]] = [{} for _ in capacity]
        self.demands: dict[str, Demand] = {}
        self.allowance, self.placed, self.moves = allowance, 0, 0

    def arrive(self, group: Group) -> bool:
        """Place a service, with moves where they help; False at the first task that finds no room."""
        self.demands[group.service_id] = group.demand
        left = group.count
        while left:
            rows = place_groups(
                [msgspec.structs.replace(group, count=left, replicas=group.count)], self.fleet
            )[0].rows
            self._came(rows, group.service_id)
            left -= rows.size
            if left and not self._make_room(group):
                return False
        return True

    def _make_room(self, group: Group) -> bool:
        rows = sources(self.fleet, group.demand, group.service_id)
        movables = [each for row in rows.tolist() for each in self._movables(row)]
        shifts = make_room(self.fleet, group.demand, movables, self.allowance.moves)
        self.allowance.spend(len(shifts))
        self.moves += len(shifts)
        for shift in shifts:
            self._move(shift.movable, shift.target)
        return bool(shifts)

    def renew(self, group: Group) -> None:
        """Heirs for all tasks of a service, of which a part starts before its elders leave."""
        rows = [row for row, there in enumerate(self.standing) for _ in range(there.get(group.service_id, 0))]
        elders = np.array(rows, np.int64)
        for share in range(math.ceil(1 / PARALLEL), 0, -1):
            late = consolidation.room_without(self.fleet, group.demand, elders)
            leaving = np.argsort(late, kind="stable")[: math.ceil(elders.size / share)]
            if leaving.size:
                self._replace(group, elders[leaving])
            elders = np.delete(elders, leaving)

    def _replace(self, group: Group, elders: Ints) -> None:
        asked = msgspec.structs.replace(group, count=int(elders.size), replicas=group.count)
        heirs = place_groups([asked], self.fleet)[0].rows
        assert heirs.size == elders.size
        self._came(heirs, group.service_id)
        self.fleet.release(group.service_id, group.demand, *np.unique(elders, return_counts=True))
        self.stand(elders, group.service_id, -1)

    def consolidate(self) -> None:
        """Empty nodes as long as moves are left that do."""
        while shifts := self._emptied():
            self.allowance.spend(len(shifts))
            self.moves += len(shifts)
            for shift in shifts:
                self._move(shift.movable, shift.target)

    def _emptied(self) -> tuple[Shift, ...]:
        return consolidation.emptied(self.fleet, consolidation.for_one(self.allowance.moves), self._movables)

    def _movables(self, row: int) -> list[Movable]:
        return [
            Movable(f"{service_id}@{row}.{number}", service_id, row, self.demands[service_id])
            for service_id, tasks in self.standing[row].items()
            for number in range(tasks)
        ]

    def _came(self, rows: Ints, service_id: str) -> None:
        self.stand(rows, service_id, 1)
        self.placed += rows.size
        self.allowance.earn(rows.size)

    def _move(self, movable: Movable, target: int) -> None:
        one, here, there = np.ones(1, np.int64), np.array([movable.row]), np.array([target])
        self.fleet.take(movable.service_id, movable.demand, there, one)
        self.fleet.release(movable.service_id, movable.demand, here, one)
        self.stand(here, movable.service_id, -1)
        self.stand(there, movable.service_id, 1)

    def stand(self, rows: Ints, service_id: str, by: int) -> None:
        """One task of a service more, or fewer, on each of these rows."""
        for row in rows.tolist():
            there = self.standing[row]
            there[service_id] = there.get(service_id, 0) + by
            if not there[service_id]:
                del there[service_id]

    @property
    def use(self) -> float:
        shares = [
            1 - self.fleet.free[name].sum() / self.capacity[:, column].sum()
            for column, name in enumerate(DIMENSIONS[: self.capacity.shape[1]])
        ]
        return 100 * float(max(shares))


def arrivals(drawn: Mix, capacity: Ints) -> Arrived:
    port = Port(capacity, Allowance(saved=0.0))
    all(port.arrive(group) for group in groups_of(drawn))
    return Arrived(port.use, 100 * port.moves / max(1, port.placed))


def rival_arrivals(drawn: Mix, capacity: Ints, place: Placer) -> float:
    free = capacity.copy()
    pairs = zip(drawn.sizes, drawn.counts.tolist(), strict=True)
    all(place(free, capacity, size, count) == count for size, count in pairs)
    return 100 * float((1 - free.sum(axis=0) / capacity.sum(axis=0)).max())


# Rolling updates.


class Rolled(NamedTuple):
    """The nodes in use after rolling updates of everything, and how many moves per 100 placements it took."""

    nodes: int
    moves: float


def rolled(drawn: Mix, capacity: Ints, rounds: int) -> Rolled:
    """So many rolling updates of everything, start-first, one service after the other."""
    port, groups = Port(capacity, Allowance(consolidation.MOVES_SAVED_MAX)), groups_of(drawn)
    for group, placed in zip(groups, place_groups(groups, port.fleet), strict=True):
        port.demands[group.service_id] = group.demand
        port.stand(placed.rows, group.service_id, 1)
    for group in groups * rounds:
        port.renew(group)
        port.consolidate()
    return Rolled(int(in_use(port.fleet).sum()), 100 * port.moves / max(1, port.placed))


# The report.


def waste(nodes: int, bound: int) -> float:
    return 100 * (nodes / bound - 1)


def _whole(report: Report, drawn: Mix, *, mixed: bool) -> None:
    bound, kind = least(drawn, mixed=mixed), "mixed nodes" if mixed else "equal nodes"
    done = timed(lambda: ours(drawn, bound, mixed=mixed))
    title = f"{drawn.name}, {kind}"
    report.add(
        f"waste, {title}",
        waste(done.value, bound),
        "%",
        WASTE,
        done.wall_s,
        done.cpu_s,
        f"{drawn.tasks} tasks, bound {bound} nodes",
    )
    sorted_ = largest_first(drawn)
    for name, mine, rival in (
        ("first fit decreasing", sorted_, lambda nodes: FirstFit().place),
        ("Nomad's best fit", drawn, lambda nodes: Nomad(report.options.seed).place),
        ("Swarm's spread", drawn, lambda nodes: Spread(nodes).place),
    ):
        report.add(f"  {name}", waste(rivals(mine, bound, rival, mixed=mixed), bound), "%")


def _arriving(report: Report, drawn: Mix, nodes: int, *, mixed: bool) -> None:
    capacity, kind = (
        fleet(drawn.sizes.shape[1], nodes, mixed=mixed),
        "mixed nodes" if mixed else "equal nodes",
    )
    done = timed(lambda: arrivals(drawn, capacity))
    bound = 100 * bounds.arriving(drawn.sizes, drawn.counts, capacity)
    note = f"bound {bound:.1f}; {done.value.moves:.2f} moves per 100 placements"
    report.add(
        f"use at the first refusal, {drawn.name}, {kind}",
        done.value.use,
        "%",
        USE,
        done.wall_s,
        done.cpu_s,
        note,
    )
    for name, place in (
        ("Nomad's best fit", Nomad(report.options.seed).place),
        ("Swarm's spread", Spread(nodes).place),
    ):
        report.add(f"  {name}", rival_arrivals(drawn, capacity, place), "%")


def _rolling(report: Report, drawn: Mix, *, mixed: bool) -> None:
    bound = least(drawn, mixed=mixed)
    capacity = fleet(drawn.sizes.shape[1], int(bound * SPARE), mixed=mixed)
    before, done = rolled(drawn, capacity, 0), timed(lambda: rolled(drawn, capacity, ROUNDS))
    report.add(
        f"waste after {ROUNDS} updates, {drawn.name}",
        waste(done.value.nodes, bound),
        "%",
        ROLLED,
        done.wall_s,
        done.cpu_s,
        f"{waste(before.nodes, bound):.2f} % before, {done.value.moves:.2f} moves per 100 placements",
    )


def main() -> None:
    wanted = options(__doc__ or "")
    whole, arriving = (NODES_QUICK, NODES_ARRIVING_QUICK) if wanted.quick else (NODES, NODES_ARRIVING)
    with Report("pack", wanted) as report:
        for name in MIXES:
            for mixed in (False, True):
                _whole(report, mix(name, whole, wanted.seed), mixed=mixed)
                _arriving(report, mix(name, int(arriving * TOO_MANY), wanted.seed), arriving, mixed=mixed)
            _rolling(report, mix(name, arriving, wanted.seed), mixed=False)


if __name__ == "__main__":
    main()
