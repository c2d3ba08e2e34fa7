"""Evening out the load: only moves that pay, never more than asked for, and to where the task will go."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bayplan.model import Availability, Inventory, NodeStatus, Resources
from controller.decide.filters import Candidate
from controller.decide.rebalance import Movable, rebalance
from controller.decide.schedule import Need
from controller.records import Node
from tests.unit.controller.world import GIB, service

CAPACITY = Resources(cpu_millis=10_000, memory_bytes=10 * GIB)


def cluster(layout: dict[str, dict[str, int]], cpu: int = 1_000, **fields: Any) -> tuple[Any, Any]:
    """Movable tasks and nodes: by node how many tasks of each service, which take `cpu` of 10,000 each."""
    movables, candidates = [], []
    for name, counts in layout.items():
        total = sum(counts.values())
        candidates.append(
            Candidate(
                node=Node(
                    id=name,
                    name=name,
                    inventory=Inventory(capacity=CAPACITY),
                    availability=fields.get(name, Availability.ACTIVE),
                ),
                status=NodeStatus.READY,
                free=Resources(cpu_millis=10_000 - total * cpu, memory_bytes=10 * GIB),
                ports=frozenset(),
                counts=dict(counts),
            )
        )
        for short, count in counts.items():
            spec = service(short, cpu=cpu)
            for number in range(count):
                task = f"{short}.{name}{number}"
                movables.append(Movable(task, name, Need(task, short, spec, spec.reservations)))
    return movables, candidates


def moves(layout: dict[str, dict[str, int]], most: int = 10, **fields: Any) -> list[tuple[str, str, str]]:
    """By move the service, and the nodes."""
    movables, candidates = cluster(layout, **fields)
    return [
        (each.movable.need.service_id, each.movable.node_id, each.node_id)
        for each in rebalance(movables, candidates, most)
    ]


def test_replicas_of_one_service_move_onto_a_new_node() -> None:
    assert moves({"a": {"web": 2}, "b": {"web": 2}, "c": {}}) == [("web", "a", "c")]


def test_different_services_move_onto_a_new_node_until_it_is_even() -> None:
    layout = {"a": {f"s{n}": 1 for n in range(8)}, "b": {}}
    found = moves(layout)
    assert len(found) == 4
    assert {(before, after) for _, before, after in found} == {("a", "b")}


def test_what_is_even_stays() -> None:
    assert moves({"a": {"web": 1, "db": 1}, "b": {"web": 1, "api": 1}}) == []
    assert moves({"a": {"web": 2}, "b": {"web": 1}}) == []


def test_a_gain_that_is_small_does_not_pay() -> None:
    assert moves({"a": {"x": 1, "y": 1}, "b": {}}, cpu=400) == []
    assert moves({"a": {"x": 1, "y": 1}, "b": {}}, cpu=600) == [("x", "a", "b")]


def test_no_more_tasks_move_than_asked_for() -> None:
    assert len(moves({"a": {"web": 9}, "b": {}}, most=2)) == 2


def test_nothing_moves_to_a_node_that_takes_no_tasks() -> None:
    assert moves({"a": {"web": 4}, "b": {}}, b=Availability.DRAIN) == []
    assert moves({"a": {"web": 4}, "b": {}}, b=Availability.PAUSE) == []


def test_a_node_without_room_gets_nothing() -> None:
    assert moves({"a": {"web": 3}, "b": {"big": 3}}, cpu=3_000) == []


layouts = st.dictionaries(
    st.sampled_from("abcd"),
    st.dictionaries(st.sampled_from(["web", "db", "api"]), st.integers(0, 3), max_size=3),
    min_size=2,
)


@given(layouts)
def test_neither_the_fullest_node_nor_the_most_tasks_of_a_service_ever_grow(
    layout: dict[str, dict[str, int]],
) -> None:
    movables, candidates = cluster(layout)
    shifts = rebalance(movables, candidates, 100)
    moved = {each.movable.task_id: each.node_id for each in shifts}
    assert len(moved) == len(shifts)
    after: dict[str, dict[str, int]] = {name: {} for name in layout}
    for each in movables:
        counts = after[moved.get(each.task_id, each.node_id)]
        counts[each.need.service_id] = counts.get(each.need.service_id, 0) + 1
    fullest = [max(sum(counts.values()) for counts in each.values()) for each in (layout, after)]
    assert fullest[1] <= fullest[0]
    for name in ("web", "db", "api"):
        most = [max(counts.get(name, 0) for counts in each.values()) for each in (layout, after)]
        assert most[1] <= most[0]
