"""Evening out the load: only moves that pay, never more than asked for, and to where the task will go."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bayplan.model import Availability, Inventory, NodeStatus, Resources
from controller.decide.demand import demand
from controller.decide.filters import Candidate
from controller.decide.fleet import Fleet
from controller.decide.rebalance import Pile, rebalance
from controller.records import Node
from tests.unit.controller.world import GIB, service

CAPACITY = Resources(cpu_millis=10_000, memory_bytes=10 * GIB)


def cluster(layout: dict[str, dict[str, int]], cpu: int = 1_000, **fields: Any) -> tuple[Any, Any]:
    """Piles and a fleet: by node how many tasks of each service, which take `cpu` of 10,000 each."""
    piles, candidates = [], []
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
            piles.append(Pile(short, demand(spec, spec.reservations), len(candidates) - 1, count))
    return sorted(piles, key=lambda pile: pile.service_id), Fleet.of(candidates)


def moves(layout: dict[str, dict[str, int]], most: int = 10, **fields: Any) -> list[tuple[str, str, str]]:
    """By move the service, and the nodes."""
    piles, fleet = cluster(layout, **fields)
    return [
        (piles[each.pile].service_id, fleet.ids[piles[each.pile].row], fleet.ids[each.row])
        for each in rebalance(piles, fleet, most)
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
    piles, fleet = cluster(layout)
    shifts = rebalance(piles, fleet, 100)
    after = {name: dict(counts) for name, counts in layout.items()}
    for each in shifts:
        pile, target = piles[each.pile], fleet.ids[each.row]
        after[fleet.ids[pile.row]][pile.service_id] -= 1
        after[target][pile.service_id] = after[target].get(pile.service_id, 0) + 1
    assert all(count >= 0 for counts in after.values() for count in counts.values())
    fullest = [max(sum(counts.values()) for counts in each.values()) for each in (layout, after)]
    assert fullest[1] <= fullest[0]
    for name in ("web", "db", "api"):
        most = [max(counts.get(name, 0) for counts in each.values()) for each in (layout, after)]
        assert most[1] <= most[0]
