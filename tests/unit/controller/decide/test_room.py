"""Which task moves so that another fits: it has room elsewhere as things are, and leaves enough behind."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.pack import nodes_of
from controller.decide.demand import Demand, interned
from controller.decide.fleet import Fleet
from controller.decide.room import MOVES_AT_FIRST, MOVES_SAVED_MAX, Allowance, Movable, make_room, sources


def asks(cpu: int, memory: int) -> Demand:
    amounts = (("cpu_millis", cpu), ("memory_bytes", memory))
    return interned(Demand(amounts=tuple(each for each in amounts if each[1])))


def fleet_with(standing: list[tuple[int, int, int]], nodes: int = 4) -> tuple[Fleet, list[Movable]]:
    """Nodes of 10 and 10 with tasks (row, CPU, memory) on them, as far as there is room."""
    fleet = nodes_of(np.full((nodes, 2), 10))
    movables = []
    for index, (row, cpu, memory) in enumerate(standing):
        demand, name = asks(cpu, memory), f"s{index}"
        if fleet.fits(demand, name)[row]:
            fleet.take(name, demand, np.array([row]), np.ones(1, np.int64))
            movables.append(Movable(f"{name}.1", name, row, demand))
    return fleet, movables


def test_the_smallest_task_that_will_do_moves() -> None:
    fleet, movables = fleet_with([(0, 5, 5), (0, 3, 3), (1, 6, 6), (2, 9, 9), (3, 9, 9)])
    (shift,) = make_room(fleet, asks(5, 5), movables)
    assert (shift.movable.task_id, shift.target) == ("s1.1", 1)


def test_several_of_a_node_move_where_none_will_do_alone() -> None:
    fleet, movables = fleet_with([(0, 3, 3), (0, 3, 3), (0, 3, 3), (1, 6, 6), (2, 6, 6), (3, 9, 9)])
    shifts = make_room(fleet, asks(7, 7), movables)
    assert [(each.movable.task_id, each.target) for each in shifts] == [("s0.1", 1), ("s1.1", 2)]
    assert make_room(fleet, asks(7, 7), movables, moves_max=1) == ()


def test_nothing_moves_where_no_other_node_has_room_for_it() -> None:
    fleet, movables = fleet_with([(row, 6, 6) for row in range(4)])
    assert make_room(fleet, asks(5, 5), movables) == ()


def test_nodes_that_are_too_small_are_no_source() -> None:
    fleet, _ = fleet_with([(0, 6, 6), (1, 8, 8)])
    assert not sources(fleet, asks(11, 1), "new").size
    assert sources(fleet, asks(5, 5), "new").tolist()[-2:] == [0, 1]


def test_five_moves_are_earned_by_a_hundred_placements() -> None:
    allowance = Allowance()
    assert sum(allowance.spend() for _ in range(20)) == MOVES_AT_FIRST
    allowance.earn(99)
    assert sum(allowance.spend() for _ in range(20)) == 4
    allowance.earn(1_000_000)
    assert sum(allowance.spend() for _ in range(200)) == MOVES_SAVED_MAX


amounts = st.integers(0, 10)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), amounts, amounts), max_size=12), st.integers(1, 10), amounts)
def test_a_move_has_room_before_its_elder_leaves_and_gives_room_after(
    standing: list[tuple[int, int, int]], cpu: int, memory: int
) -> None:
    fleet, movables = fleet_with(standing)
    wanted = asks(cpu, memory)
    before = {name: column.copy() for name, column in fleet.free.items()}
    shifts = make_room(fleet, wanted, movables)
    assert shifts == make_room(fleet, wanted, movables[::-1])
    assert all((column == before[name]).all() for name, column in fleet.free.items())
    if not shifts:
        return
    one, (source,) = np.ones(1, np.int64), {each.movable.row for each in shifts}
    for movable, target in shifts:
        assert target != source and fleet.fits(movable.demand, movable.service_id)[target]
        fleet.take(movable.service_id, movable.demand, np.array([target]), one)
    for movable, _ in shifts:
        fleet.release(movable.service_id, movable.demand, np.array([source]), one)
    assert all((column >= 0).all() for column in fleet.free.values())
    assert fleet.fits(wanted, "new")[source]
