"""How well nodes suit a task: the most evenly used one gets it, and is the same by each door."""

from __future__ import annotations

import msgspec
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bayplan.model import Inventory, NodeStatus, Resources, Strategy
from controller.decide.demand import Demand, interned
from controller.decide.filling import Wish, place_new, place_one, ranked
from controller.decide.filters import Candidate
from controller.decide.fit import FREE_WEIGHT, OPENING
from controller.decide.fleet import Fleet
from controller.records import Node

DIMENSIONS = ("cpu_millis", "memory_bytes", "disk_bytes", "pids")
Amounts = tuple[int, int, int, int]


def fleet_of(rows: list[tuple[Amounts, Amounts, int]]) -> Fleet:
    """Nodes by what they have, what of it is taken, and how many tasks there are."""
    return Fleet.of(
        Candidate(
            node=Node(id=f"n{at:02}", name=f"n{at:02}", inventory=Inventory(capacity=_resources(whole))),
            status=NodeStatus.READY,
            free=_resources([max(0, most - less) for most, less in zip(whole, taken, strict=True)]),
            ports=frozenset(),
            counts={"other": tasks},
        )
        for at, (whole, taken, tasks) in enumerate(rows)
    )


def _resources(amounts: list[int] | Amounts) -> Resources:
    return Resources(**dict(zip(DIMENSIONS, amounts, strict=True)))


def asks(amounts: Amounts | tuple[int, int]) -> Demand:
    return interned(
        Demand(amounts=tuple((name, each) for name, each in zip(DIMENSIONS, amounts, strict=False) if each))
    )


def misfit(fleet: Fleet, demand: Demand, row: int) -> float:
    """By the definition, in words of one node."""

    def share(name: str, less: int) -> float:
        return (fleet.free[name].item(row) - less) / fleet.capacity[name].item(row)

    left = [share(name, amount) for name, amount in demand.amounts]
    free = (share("cpu_millis", 0) + share("memory_bytes", 0)) / 2
    return max(left) - min(left) + FREE_WEIGHT * free + OPENING * (fleet.tasks[row] == 0)


def test_a_task_goes_where_what_is_left_is_most_even() -> None:
    whole = (100, 100, 100, 100)
    fleet = fleet_of([(whole, (50, 80, 0, 0), 1), (whole, (80, 50, 0, 0), 1), (whole, (50, 50, 0, 0), 1)])
    assert place_new(fleet, "lean", asks((2, 30))) == 1
    assert place_new(fleet, "broad", asks((30, 2))) == 0


def test_a_node_is_opened_only_where_that_is_more_even_by_far() -> None:
    whole = (100, 100, 100, 100)
    fleet = fleet_of([(whole, (0, 0, 0, 0), 0), (whole, (30, 10, 0, 0), 1)])
    assert [place_new(fleet, f"s{at}", asks((6, 1))) for at in range(3)] == [1, 1, 0]


def test_a_service_that_spreads_begins_on_the_fullest_node() -> None:
    whole = (100, 100, 100, 100)
    fleet = fleet_of([(whole, (90, 50, 0, 0), 1), (whole, (50, 50, 0, 0), 1)])
    assert place_new(fleet, "packed", asks((5, 5))) == 1
    assert place_new(fleet, "spread", msgspec.structs.replace(asks((5, 5)), strategy=Strategy.SPREAD)) == 0


nodes = st.lists(
    st.tuples(
        st.sampled_from([(100, 100, 100, 100), (300, 200, 50, 70), (70, 400, 90, 30)]),
        st.tuples(*[st.integers(0, 120)] * 4),
        st.integers(0, 2),
    ),
    min_size=1,
    max_size=30,
)
demands = st.one_of(
    st.tuples(st.integers(1, 40), st.integers(1, 40)), st.tuples(*[st.integers(1, 40)] * 4)
).map(asks)


@settings(max_examples=400, deadline=None)
@given(nodes, demands)
def test_the_chosen_node_has_the_least_score_of_those_that_fit(
    rows: list[tuple[Amounts, Amounts, int]], demand: Demand
) -> None:
    fleet, other = fleet_of(rows), fleet_of(rows)
    fits = np.flatnonzero(fleet.fits(demand, "web"))
    scores = {row: misfit(fleet, demand, row) for row in fits.tolist()}
    wish = Wish("web", demand, bound=1)
    first = ranked(other, wish, fits)[:1].tolist()
    chosen = place_new(fleet, "web", demand)
    assert [chosen] == (first or [None]) and chosen == place_one(other, wish, fits)
    if chosen is not None:
        assert abs(scores[chosen] - min(scores.values())) < 1e-5
