"""What each node says to a task: ranks that the scheduler keeps, their parts, and the words."""

from __future__ import annotations

from typing import Any

import pytest

from bayplan.model import NodeStatus, ServiceSpec, Strategy
from controller.decide.demand import demand
from controller.decide.filling import Wish, bound_of
from controller.decide.filters import Candidate, Cause
from controller.decide.fleet import Fleet
from controller.decide.ratings import Rated, Ratings, rate
from controller.decide.reasons import FAILED_HERE
from controller.decide.schedule import Need, place
from tests.unit.controller.decide.test_schedule import candidate
from tests.unit.controller.world import GIB, service


def rated(spec: ServiceSpec, nodes: list[Candidate], most: int = 100, **fields: Any) -> Ratings:
    fleet = Fleet.of(nodes)
    bound = bound_of(fleet.counts.total(spec.name) + 1)
    avoided = frozenset(f"id-{name}" for name in fields.get("avoided", ()))
    wish = Wish(spec.name, demand(spec, spec.reservations), bound, avoided)
    found = rate(fleet, wish, most, fields.get("pinned", ""))
    return found._replace(rows=[each._replace(row=fleet.nodes[each.row].name) for each in found.rows])  # type: ignore[arg-type]


def row(found: Ratings, name: str) -> Rated:
    return next(each for each in found.rows if each.row == name)


def test_the_ranking_begins_where_the_task_would_go() -> None:
    nodes = [candidate("a", counts={"web": 1}), candidate("b"), candidate("c", cpu=2)]
    spec = service(cpu=1_000)
    found = rated(spec, nodes)
    (node_id,) = place([Need("t", "web", spec, spec.reservations)], nodes).placed.values()
    assert node_id == f"id-{found.rows[0].row}" == "id-c"
    assert [(each.row, each.rank, each.tasks) for each in found.rows] == [
        ("c", 1, 0),
        ("b", 2, 0),
        ("a", 3, 1),
    ]


def test_each_is_told_what_puts_it_behind_the_first() -> None:
    nodes = [
        candidate("best"),
        candidate("busier", counts={"other": 1}),
        candidate("part", counts={"web": 1}),
        candidate("doubted"),
        candidate("emptier", cpu=8),
    ]
    found = rated(service(cpu=1_000), nodes, avoided=["doubted"])
    assert "fullest that fits: CPU 25 %" in row(found, "best").reason
    assert row(found, "best").rank == 1
    assert row(found, "part").reason == "has its part of the service already"
    assert FAILED_HERE in row(found, "doubted").reason
    assert row(found, "emptier").reason == "less full: CPU 12 %, memory 0 % reserved"
    assert row(found, "busier").reason == "as good: CPU 25 %, memory 0 % reserved"


def test_a_service_that_spreads_is_told_of_tasks_and_zones() -> None:
    nodes = [
        candidate("a", labels={"zone": "x"}, counts={"web": 2}),
        candidate("b", labels={"zone": "x"}),
        candidate("c", labels={"zone": "y"}, counts={"web": 1}),
    ]
    spread = service(strategy=Strategy.SPREAD, preferences=("node.labels.zone",))
    found = rated(spread, nodes)
    assert [each.row for each in found.rows] == ["c", "b", "a"]
    assert row(found, "b").reason == "more tasks of the service in its node.labels.zone (2, not 1)"
    assert dict(row(found, "b").parts)["node.labels.zone"] == 2
    assert dict(row(found, "a").parts)["tasks of the service"] == 2


def test_nodes_that_do_not_fit_come_after_the_others_the_nearest_first() -> None:
    nodes = [
        candidate("a", cpu=1),
        candidate("b"),
        candidate("c", status=NodeStatus.DOWN),
        candidate("d", cpu=3),
        candidate("e", cpu=1, status=NodeStatus.DOWN),
    ]
    found = rated(service(cpu=4_000), nodes)
    assert [(each.row, each.rank, each.cause) for each in found.rows] == [
        ("b", 1, None),
        ("d", 0, Cause.CPU),
        ("a", 0, Cause.CPU),
        ("c", 0, Cause.NOT_READY),
        ("e", 0, Cause.NOT_READY),
    ]
    assert row(found, "d").reason == "short of CPU: 3 CPU free (1 CPU short), 8 GiB free"
    assert (found.verdicts.nodes, found.verdicts.fits) == (5, 1)
    assert found.verdicts.causes == {Cause.NOT_READY: 2, Cause.CPU: 2}


@pytest.mark.parametrize(("fit", "no", "shown"), [(50, 50, (5, 5)), (50, 2, (8, 2)), (3, 50, (3, 7))])
def test_of_many_nodes_some_of_both_become_rows(fit: int, no: int, shown: tuple[int, int]) -> None:
    nodes = [candidate(f"fit{n}") for n in range(fit)] + [candidate(f"no{n}", cpu=1) for n in range(no)]
    found = rated(service(cpu=2_000), nodes, most=10)
    fitting = sum(each.cause is None for each in found.rows)
    assert (fitting, len(found.rows) - fitting) == shown
    assert found.verdicts.nodes == fit + no


def test_of_a_task_that_is_bound_to_a_node_the_others_serve_other_slots() -> None:
    found = rated(service(memory=GIB), [candidate("a"), candidate("b")], pinned="id-b")
    assert [(each.row, each.cause) for each in found.rows] == [("b", None), ("a", Cause.ELSEWHERE)]
    assert found.verdicts.answer == "b: fits"
