"""Near to tasks of other services, and away from them."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayplan.model import Affinity, Resources
from controller.decide.affinity import circle, order
from controller.decide.demand import demand
from controller.decide.filters import Cause
from controller.decide.fleet import Fleet
from controller.decide.schedule import Group, Placed, place_groups
from tests.unit.controller.decide.test_schedule import candidate
from tests.unit.controller.world import service

ZONE = "node.labels.zone"
SMALL = Resources(cpu_millis=100)


def near(other: str, topology: str = "", *, required: bool = True) -> Affinity:
    return Affinity(service=other, topology=topology, required=required)


def away(other: str, topology: str = "", *, required: bool = True) -> Affinity:
    return Affinity(service=other, topology=topology, required=required, anti=True)


def group(name: str, count: int, *affinities: Affinity) -> Group:
    return Group(name, demand(service(name), SMALL, affinities), count, name=name)


def fleet(db: str = "", **zones: str) -> Fleet:
    """Nodes by name with their zones (empty: no label); `db` runs on that node."""
    labels = {name: {"zone": zone} if zone else {} for name, zone in zones.items()}
    counts = {name: {"db": 1} if name == db else {} for name in zones}
    return Fleet.of(candidate(name, labels=labels[name], counts=counts[name]) for name in zones)


def spread(placed: Placed, there: Fleet) -> dict[str, int]:
    return dict(Counter(there.nodes[row].name for row in placed.rows.tolist()))


@pytest.mark.parametrize(
    ("affinity", "nodes"),
    [
        (near("db"), {"a"}),
        (near("db", ZONE), {"a", "b"}),
        (near("db", "node.hostname"), {"a"}),
        (away("db"), {"b", "c", "d"}),
        (away("db", ZONE), {"c", "d"}),
        (near("nobody"), set()),
        (away("nobody"), {"a", "b", "c", "d"}),
        (near("web"), {"a", "b", "c", "d"}),  # the first of its own
    ],
)
def test_what_is_required_says_which_nodes_fit(affinity: Affinity, nodes: set[str]) -> None:
    there = fleet("a", a="x", b="x", c="y", d="")
    fits = there.fits(demand(service("web"), SMALL, (affinity,)), "web")
    assert {there.nodes[row].name for row in fits.nonzero()[0]} == nodes
    causes = there.causes(demand(service("web"), SMALL, (affinity,)), "web")
    assert [not cause for cause in causes] == fits.tolist()


@pytest.mark.parametrize(
    ("affinity", "nodes"),
    [
        (near("db", required=False), {"a": 2}),
        (away("db", required=False), {"b": 1, "c": 1}),
        (away("db", ZONE, required=False), {"c": 2}),
        (near("nobody", required=False), {"b": 1, "c": 1}),  # evenly over the zones
    ],
)
def test_what_is_preferred_comes_before_evenness(affinity: Affinity, nodes: dict[str, int]) -> None:
    there = fleet("a", a="x", b="x", c="y")
    (placed,) = place_groups([group("web", 2, affinity)], there)
    assert spread(placed, there) == nodes


def test_a_preference_is_given_up_before_a_task_waits() -> None:
    there = Fleet.of([candidate("a", cpu=1, counts={"db": 1}), candidate("b", cpu=4)])
    asked = demand(service("web"), Resources(cpu_millis=1_000), (near("db", required=False),))
    (placed,) = place_groups([Group("web", asked, 3)], there)
    assert spread(placed, there) == {"a": 1, "b": 2}


def test_tasks_keep_away_from_their_own_kind() -> None:
    there = fleet(a="x", b="x", c="y")
    (placed,) = place_groups([group("web", 5, away("web"))], there)
    assert spread(placed, there) == {"a": 1, "b": 1, "c": 1}
    assert placed.refusal is not None
    assert placed.refusal.causes == {Cause.AFFINITY: 3}
    there = fleet(a="x", b="x", c="y")
    (placed,) = place_groups([group("web", 5, away("web", ZONE))], there)
    assert len(placed.rows) == 2
    there = fleet(a="x", b="x", c="y")
    (placed,) = place_groups([group("web", 4, near("web", ZONE))], there)
    assert set(spread(placed, there)) in ({"a", "b"}, {"c"}, {"a"}, {"b"})


def test_who_wants_to_be_near_is_placed_after_whom_it_wants() -> None:
    there = fleet(a="x", b="y")
    groups = [group("app", 2, near("web")), group("web", 1, near("db")), group("db", 1)]
    app, web, db = place_groups(groups, there)
    assert app.refusal is web.refusal is None
    assert set(spread(app, there)) == set(spread(web, there)) == set(spread(db, there))


def test_the_order_follows_chains_and_survives_circles() -> None:
    chain = {"a": [near("b")], "b": [near("c")], "c": [away("a")], "d": [near("d"), near("elsewhere")]}
    assert order(chain) == {"a": 2, "b": 1}
    assert set(order({"a": [near("b")], "b": [near("a")]})) == {"a", "b"}


def test_in_a_circle_who_only_prefers_it_begins() -> None:
    wishes = {
        "a": [near("b")],
        "b": [near("c")],
        "c": [near("a", required=False), near("e", required=False)],
        "d": [near("a", required=False)],
        "e": [],
    }
    assert order(wishes) == {"c": 1, "b": 2, "a": 3, "d": 4}


@pytest.mark.parametrize(
    ("needs", "path"),
    [
        ({"a": ["b"], "b": ["a"]}, ("a", "b", "a")),
        ({"a": ["b"], "b": ["c"], "c": ["b"]}, ("b", "c", "b")),
        ({"a": ["a"], "b": ["a"]}, ()),
        ({"a": ["b", "x"], "b": []}, ()),
        ({}, ()),
    ],
)
def test_a_circle_in_which_nobody_can_begin(needs: dict[str, list[str]], path: tuple[str, ...]) -> None:
    assert circle(needs) == path


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(["x", "y", "z", ""]), min_size=1, max_size=6),
    st.lists(
        st.builds(
            Affinity,
            service=st.sampled_from(["s0", "s1", "s2"]),
            topology=st.sampled_from(["", ZONE]),
            anti=st.just(True),
            required=st.just(True),
        ),
        max_size=2,
    ),
    st.lists(st.integers(1, 4), min_size=3, max_size=3),
)
def test_required_distance_holds_after_every_plan(
    zones: list[str], wishes: list[Affinity], counts: list[int]
) -> None:
    there = Fleet.of(
        candidate(f"n{n}", labels={"zone": zone} if zone else {}) for n, zone in enumerate(zones)
    )
    groups = [group("s0", counts[0], *wishes)]
    for n in (1, 2):
        back = [away("s0", wish.topology) for wish in wishes if wish.service == f"s{n}"]
        groups += [group(f"s{n}", counts[n], *back)]
    placed = zip(groups, place_groups(groups, there), strict=True)
    rows = {each.service_id: found.rows.tolist() for each, found in placed}
    for wish in wishes:
        for at, mine in enumerate(rows["s0"]):
            others = [row for n, row in enumerate(rows[wish.service]) if wish.service != "s0" or n != at]
            zone = zones[mine]
            if not wish.topology:
                assert mine not in others
            elif zone:
                assert zone not in [zones[row] for row in others]
