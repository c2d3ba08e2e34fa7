"""Which node a few moves empty: all its tasks have room on others in use, as things are and by every rule."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bayplan.model import Inventory, NodeStatus, Resources
from bench.pack import nodes_of
from controller.decide.consolidation import FEW_TASKS, PART_FOR_ONE, emptied, for_one, room_without
from controller.decide.demand import Demand, interned
from controller.decide.filling import bound_of
from controller.decide.filters import Candidate
from controller.decide.fleet import Fleet
from controller.decide.room import Movable, Shift
from controller.records import Node

ONE = np.ones(1, np.int64)


def asks(cpu: int, memory: int = 1, **fields: object) -> Demand:
    return interned(Demand(amounts=(("cpu_millis", cpu), ("memory_bytes", memory)), **fields))  # type: ignore[arg-type]


class Bay:
    """Nodes of 10 and 10, in two zones if asked for; with tasks (service, row, demand) as far as they fit."""

    def __init__(
        self, standing: list[tuple[str, int, Demand]], nodes: int = 4, *, zones: bool = False
    ) -> None:
        self.fleet = _in_zones(nodes) if zones else nodes_of(np.full((nodes, 2), 10))
        self.movables: list[Movable] = []
        for service_id, row, demand in standing:
            if self.fleet.fits(demand, service_id)[row]:
                self.fleet.take(service_id, demand, np.array([row]), ONE)
                self.movables.append(Movable(f"{len(self.movables)}", service_id, row, demand))

    def standing(self, row: int) -> list[Movable]:
        return [each for each in self.movables if each.row == row]

    def emptied(self, moves_max: int = 10) -> tuple[Shift, ...]:
        return emptied(self.fleet, moves_max, self.standing)


def _in_zones(nodes: int) -> Fleet:
    whole = Resources(cpu_millis=10, memory_bytes=10)
    made = [
        Node(id=f"n{row}", name=f"n{row}", labels={"zone": str(row % 2)}, inventory=Inventory(capacity=whole))
        for row in range(nodes)
    ]
    plain = {"status": NodeStatus.READY, "free": whole, "ports": frozenset(), "counts": {}}
    return Fleet.of(Candidate(node=node, **plain) for node in made)  # type: ignore[arg-type]


def test_the_emptiest_node_is_emptied_onto_the_fullest_that_have_room() -> None:
    bay = Bay([("a", 0, asks(7)), ("b", 1, asks(5)), ("c", 2, asks(3)), ("d", 2, asks(1))])
    shifts = bay.emptied()
    assert [(each.movable.service_id, each.target) for each in shifts] == [("c", 0), ("d", 1)]


def test_a_node_stays_as_it_is_when_one_task_has_no_room_elsewhere() -> None:
    bay = Bay([("a", 0, asks(7)), ("b", 1, asks(7)), ("c", 2, asks(4)), ("d", 2, asks(1))])
    assert bay.emptied() == ()


def test_no_node_is_opened_to_empty_another() -> None:
    assert Bay([("a", 0, asks(2))]).emptied() == ()


def test_more_moves_than_are_left_are_not_made() -> None:
    standing = [(f"{name}{row}", row, asks(1)) for row in range(3) for name in "ab"]
    assert len(Bay(standing).emptied(2)) == 2
    assert Bay(standing).emptied(1) == ()


def test_no_node_gets_more_than_its_part_of_a_service() -> None:
    assert Bay([("web", row, asks(1)) for row in range(3)]).emptied() == ()


def test_a_service_that_is_over_two_zones_stays_so() -> None:
    """The emptiest node is in the one, where there is no room left; the other has some."""
    there = [("web", 0, asks(1)), ("web", 1, asks(8)), ("b", 3, asks(3)), ("c", 3, asks(3))]
    assert Bay([*there, ("a", 2, asks(10))], zones=True).emptied(1) == ()
    shifts = Bay([*there, ("a", 2, asks(9))], zones=True).emptied(1)
    assert [(each.movable.row, each.target) for each in shifts] == [(0, 2)]


def test_what_sees_more_than_the_room_that_is_left_is_not_moved() -> None:
    for odd in (asks(1, per_node_max=2), asks(1, preferences=("node.labels.rack",))):
        assert Bay([("a", 0, odd), ("b", 1, odd)]).emptied() == ()
    assert Bay([("a", 0, asks(1)), ("b", 1, asks(1))]).emptied()


def test_who_has_the_emptiest_node_without_its_service_gives_way_last() -> None:
    bay = Bay(
        [("a", 0, asks(6)), ("web", 0, asks(2)), ("web", 1, asks(2)), ("web", 1, asks(2)), ("b", 2, asks(1))]
    )
    late = room_without(bay.fleet, asks(2), np.array([0, 1, 1]))
    assert late[0] < late[1] == late[2]
    assert not room_without(bay.fleet, asks(2), np.array([], np.int64)).size


tasks = st.lists(
    st.tuples(st.sampled_from("abcd"), st.integers(0, 4), st.integers(1, 5), st.integers(1, 5)), max_size=25
)


@settings(max_examples=200, deadline=None)
@given(tasks, st.integers(0, 10), st.booleans())
def test_moves_empty_a_node_and_break_no_rule(
    drawn: list[tuple[str, int, int, int]], moves_max: int, zones: bool
) -> None:
    bay = Bay([(name, row, asks(cpu, memory)) for name, row, cpu, memory in drawn], 5, zones=zones)
    fleet, key = bay.fleet, bay.fleet.suits.key.copy()
    shifts = bay.emptied(moves_max)
    assert shifts == bay.emptied(moves_max) and np.array_equal(fleet.suits.key, key)
    assert len(shifts) <= moves_max
    if not shifts:
        return
    (source,) = {each.movable.row for each in shifts}
    for shift in shifts:  # start-first: the heir stands beside its elder
        name, demand = shift.movable.service_id, shift.movable.demand
        assert fleet.tasks[shift.target] and shift.target != source and fleet.fits(demand, name)[shift.target]
        assert fleet.counts.at(name, shift.target) < bound_of(fleet.counts.total(name))
        fleet.take(name, demand, np.array([shift.target]), ONE)
        fleet.release(name, demand, np.array([source]), ONE)
    assert not fleet.tasks[source]


@given(st.integers(0, 1_000))
def test_one_node_takes_a_part_of_what_is_saved_up_and_with_few_tasks_all_of_it(saved: int) -> None:
    most = for_one(saved)
    assert most <= saved and (most == saved or most >= FEW_TASKS)
    assert most <= max(FEW_TASKS, saved / PART_FOR_ONE)
    assert most <= for_one(saved + 1)
