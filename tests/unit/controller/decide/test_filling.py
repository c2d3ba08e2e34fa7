"""Groups of tasks onto a fleet: in bulk comes out what comes out one by one, within all limits."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bayplan.model import Inventory, NodeStatus, Resources, Strategy
from bench.pack import nodes_of
from controller.decide import joint
from controller.decide.demand import Demand, demand
from controller.decide.filling import Wish as Asked
from controller.decide.filling import _Filling
from controller.decide.filters import Candidate
from controller.decide.fleet import Fleet
from controller.decide.schedule import Group, place_groups
from controller.records import Node
from tests.unit.controller.world import GIB, service


def node(name: str, cpu: int = 8, memory_gib: int = 16, **fields: Any) -> Candidate:
    """A node with so much CPU (cores) and memory, of which `used` cores are taken; `zone` and `counts`."""
    capacity = Resources(cpu_millis=cpu * 1_000, memory_bytes=memory_gib * GIB)
    labels = {"zone": fields["zone"]} if fields.get("zone") else {}
    labels |= {"rack": fields["rack"]} if fields.get("rack") else {}
    return Candidate(
        node=Node(id=f"id-{name}", name=name, labels=labels, inventory=Inventory(capacity=capacity)),
        status=NodeStatus.READY,
        free=Resources(
            cpu_millis=capacity.cpu_millis - 1_000 * fields.get("used", 0),
            memory_bytes=capacity.memory_bytes,
        ),
        ports=frozenset(),
        counts=fields.get("counts", {}),
        shaky=fields.get("shaky", False),
    )


def asks(cpu: int = 1_000, memory: int = 0, **fields: Any) -> Demand:
    spec = service(cpu=cpu, memory=memory, **fields)
    return demand(spec, spec.reservations)


def spreads(**fields: Any) -> Demand:
    return asks(strategy=Strategy.SPREAD, **fields)


def placed(fleet: Fleet, wanted: Demand, count: int, service_id: str = "web") -> dict[str, int]:
    """How many tasks of one more group each node gets."""
    (found,) = place_groups([Group(service_id, wanted, count)], fleet)
    return dict(Counter(fleet.nodes[row].name for row in found.rows.tolist()))


def nodes(count: int, **fields: Any) -> list[Candidate]:
    return [node(f"n{number:02}", **fields) for number in range(count)]


# --- pack


def test_two_or_three_replicas_are_packed_onto_a_node_each() -> None:
    for count in (1, 2, 3):
        assert sorted(placed(Fleet.of(nodes(5)), asks(), count).values()) == [1] * count


def test_at_most_a_third_of_a_service_is_packed_onto_one_node() -> None:
    assert placed(Fleet.of(nodes(5)), asks(), 7) == {"n00": 3, "n01": 3, "n02": 1}


def test_what_finds_room_nowhere_else_goes_beyond_a_third_evenly() -> None:
    assert placed(Fleet.of(nodes(2)), asks(), 8) == {"n00": 4, "n01": 4}
    assert placed(Fleet.of(nodes(1)), asks(), 3) == {"n00": 3}


def test_the_fullest_node_is_packed_first() -> None:
    fleet = Fleet.of([node("a"), node("b", used=4), node("c", used=6)])
    assert placed(fleet, asks(), 9) == {"c": 2, "b": 4, "a": 3}


def test_tasks_that_are_there_already_count_as_a_part_of_the_service() -> None:
    fleet = Fleet.of([node("a", used=7, counts={"web": 1}), node("b"), node("c")])
    assert placed(fleet, asks(), 1) == {"b": 1}


def test_a_packed_service_spreads_over_the_zones() -> None:
    fleet = Fleet.of([node(f"{zone}{number}", zone=zone) for zone in "xyz" for number in range(3)])
    assert placed(fleet, asks(), 9) == {"x0": 3, "y0": 3, "z0": 3}
    assert sorted(placed(fleet, asks(), 2, "api")) == ["x0", "y0"]


def test_a_zone_that_is_full_leaves_the_rest_to_the_others() -> None:
    fleet = Fleet.of([node("x", cpu=1, zone="x"), node("y", zone="y"), node("z", zone="z")])
    assert placed(fleet, asks(), 7) == {"x": 1, "y": 3, "z": 3}


def test_tasks_that_take_nothing_are_not_all_on_one_node() -> None:
    assert sorted(placed(Fleet.of(nodes(3)), asks(cpu=0), 9).values()) == [3, 3, 3]


# --- spread


def test_a_service_that_spreads_has_equally_many_tasks_on_each_node() -> None:
    assert placed(Fleet.of(nodes(3)), spreads(), 7) == {"n00": 3, "n01": 2, "n02": 2}


def test_a_service_that_spreads_fills_up_those_that_have_few() -> None:
    fleet = Fleet.of([node("a", counts={"web": 3}), node("b", counts={"web": 1}), node("c")])
    assert placed(fleet, spreads(), 5) == {"b": 2, "c": 3}


def test_preferences_come_before_the_nodes() -> None:
    fleet = Fleet.of([node("a", zone="x"), node("b", zone="x"), node("c", zone="y")])
    assert placed(fleet, spreads(preferences=("node.labels.zone",)), 6) == {"a": 2, "b": 1, "c": 3}


# --- last choices


def test_shaky_nodes_are_filled_last() -> None:
    fleet = Fleet.of([node("a", cpu=2, shaky=True), node("b", cpu=2), node("c", cpu=2)])
    assert placed(fleet, asks(), 5) == {"b": 2, "c": 2, "a": 1}


def test_pinned_tasks_go_to_their_rows_or_nowhere() -> None:
    fleet = Fleet.of([node("a"), node("b", used=8), node("c")])
    (found,) = place_groups([Group("web", asks(), 3, pinned=np.array([0, 1, 2]))], fleet)
    assert found.rows.tolist() == [0, 2]
    assert found.refusal is not None
    assert found.refusal.lines[1] == "b: short of CPU"


def test_what_was_refused_in_a_batch_is_refused_with_the_same_words() -> None:
    fleet = Fleet.of(nodes(2))
    first, second = place_groups([Group("a", asks(cpu=9_000), 1), Group("b", asks(cpu=9_000), 2)], fleet)
    assert first.refusal is second.refusal is not None
    assert not first.rows.size and not second.rows.size


# --- together


def test_only_groups_with_several_tasks_to_a_demand_are_planned_together() -> None:
    few = [Group(f"s{number}", asks(1_000 + number, GIB), 2) for number in range(30)]
    many = [Group(each.service_id, each.demand, 4) for each in few]
    assert joint.chosen(few) == []
    assert joint.chosen(many) == list(range(30))


# --- properties

fleets = st.lists(
    st.tuples(st.integers(1, 8), st.integers(0, 8), st.sampled_from(["", "x", "y"]), st.integers(0, 3)),
    min_size=1,
    max_size=8,
)
wishes = st.tuples(
    st.sampled_from([0, 300, 1_000, 2_500]),
    st.sampled_from([0, 1, 3]),
    st.sampled_from(list(Strategy)),
    st.sampled_from([(), ("node.labels.zone",), ("node.labels.zone", "node.labels.rack")]),
    st.integers(0, 3),
    st.booleans(),
)
Wish = tuple[int, int, Strategy, tuple[str, ...], int, bool]


def fleet_of(rows: list[tuple[int, int, str, int]]) -> list[Candidate]:
    return [
        node(
            f"n{at}",
            cpu=cpu,
            used=min(cpu, used),
            zone=zone,
            rack=str(number % 2),
            counts={"web": number} if number else {},
            shaky=number == 3,
        )
        for at, (cpu, used, zone, number) in enumerate(rows)
    ]


def demand_of(wish: Wish) -> Demand:
    cpu, memory_gib, strategy, preferences, per_node, port = wish
    return asks(
        cpu,
        memory_gib * GIB,
        strategy=strategy,
        preferences=preferences,
        max_replicas_per_node=per_node,
        ports=[80] if port else [],
    )


@settings(max_examples=400, deadline=None)
@given(fleets, wishes, st.integers(1, 30))
def test_in_bulk_comes_out_what_comes_out_one_by_one(
    rows: list[tuple[int, int, str, int]], wish: Wish, count: int
) -> None:
    bulk, single = Fleet.of(fleet_of(rows)), Fleet.of(fleet_of(rows))
    total = count + sum(number for *_, number in rows)
    wanted, one_by_one = demand_of(wish), Counter[str]()
    for _ in range(count):
        (found,) = place_groups([Group("web", wanted, 1, replicas=total)], single)
        one_by_one.update(single.nodes[row].name for row in found.rows.tolist())
    assert placed(bulk, wanted, count) == dict(one_by_one)


groups = st.lists(
    st.tuples(st.sampled_from(["web", "db", "api", "job"]), wishes, st.integers(1, 40)), max_size=6
)


@settings(max_examples=200, deadline=None)
@given(fleets, groups)
def test_no_node_is_promised_more_than_it_has_and_limits_hold(
    rows: list[tuple[int, int, str, int]], wanted: list[tuple[str, Wish, int]]
) -> None:
    fleet, again = Fleet.of(fleet_of(rows)), Fleet.of(reversed(fleet_of(rows)))
    asked = [Group(service_id, demand_of(wish), count, name=service_id) for service_id, wish, count in wanted]
    found = place_groups(asked, fleet)
    ports: Counter[str] = Counter()
    for group, each in zip(asked, found, strict=True):
        assert (each.refusal is None) == (each.rows.size == group.count)
        names = Counter(fleet.nodes[row].name for row in each.rows.tolist())
        if group.demand.per_node_max:
            assert max(names.values(), default=0) <= group.demand.per_node_max
        if group.demand.ports:
            ports.update(names)
    assert max(ports.values(), default=0) <= 1
    assert all((column >= 0).all() for column in fleet.free.values())
    assert fleet.counts.total("web") == sum(number for *_, number in rows) + sum(
        each.rows.size for group, each in zip(asked, found, strict=True) if group.service_id == "web"
    )
    other = [[again.nodes[row].name for row in each.rows.tolist()] for each in place_groups(asked, again)]
    assert other == [[fleet.nodes[row].name for row in each.rows.tolist()] for each in found]


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 12), st.integers(1, 60))
def test_where_there_is_room_no_node_has_more_than_a_third_and_a_spread_is_level(
    size: int, count: int
) -> None:
    packed = placed(Fleet.of(nodes(size, cpu=100)), asks(), count)
    assert max(packed.values()) <= max(-(-count // 3), -(-count // size))
    level = placed(Fleet.of(nodes(size, cpu=100)), spreads(), count)
    assert max(level.values()) - (min(level.values()) if len(level) == size else 0) <= 1


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=6, max_size=18), st.integers(1, 6))
def test_rows_that_can_get_no_task_are_left_out_of_the_ranking(
    used: list[tuple[int, int]], count: int
) -> None:
    """It comes out as if each place on each row was compared."""
    fleet = nodes_of(np.full((len(used), 2), 10))
    for row, (cpu, memory) in enumerate(used):
        there = Demand(amounts=(("cpu_millis", cpu), ("memory_bytes", memory)))
        fleet.take("other", there, np.array([row]), np.ones(1, np.int64))
    asked = Demand(amounts=(("cpu_millis", 2), ("memory_bytes", 1)))
    filling = _Filling(fleet, Asked("new", asked, bound=count))
    half, amounts = len(used) // 2, np.array([count, 2])
    groups = np.repeat([0, 1], [half, len(used) - half])
    rows = np.lexsort([fleet.best_first(asked, np.arange(len(used))), groups])
    part = np.minimum(fleet.fit_times(asked, "new", rows, count), amounts[groups])
    ranked = filling._ranked(rows, part, groups, amounts)
    assert ranked.tolist() == filling._by_place(rows, part, groups, amounts).tolist()
