"""Trials on paper: the fleet as it would be, what is owed, and proposals of many tasks."""

from __future__ import annotations

import time

import numpy as np
import pytest

from bayplan.model import ServiceMode
from controller.core import paper, placing
from controller.core.planning import TASKS_IN_ALL_MAX
from controller.decide.fleet import Fleet
from controller.events import PlanAsked
from tests.unit.controller.world import CRASHES, GIB, World, service, stack


@pytest.fixture
def world() -> World:
    return World()


def alike(one: Fleet, other: Fleet) -> bool:
    """Whether the same stands on the same nodes."""
    rows = np.array([other.rows[node_id] for node_id in one.ids])
    dimensions = one.free.keys() | other.free.keys()
    none = np.zeros(one.size, np.int64)
    same = all((one.free.get(each, none) == other.free.get(each, none)[rows]).all() for each in dimensions)
    ports = all(one.ports.at(row) == other.ports.at(int(rows[row])) for row in range(one.size))
    return bool(same and ports and (one.tasks == other.tasks[rows]).all())


def test_the_fleet_without_some_tasks_is_as_if_they_had_never_been(world: World) -> None:
    for name in ("n1", "n2", "n3"):
        world.node(name)
    web, db = service("web", replicas=5, cpu=100), service("db", "db:1", memory=GIB, ports=[5432])
    world.deploy(stack(web, db, service("agent", mode=ServiceMode.GLOBAL)))
    state = world.state
    everything = state.tasks.table.used()
    assert len(everything) == 9
    for left_out in (everything[:0], everything[::2], everything):
        made = paper.fleet(world.core.ground, state, without=left_out)
        gone = frozenset(state.tasks.table.ids_of(left_out))
        assert alike(made, Fleet.of(placing.candidates(state, gone)))
    assert alike(world.core.ground.fleet(), Fleet.of(placing.candidates(state)))


def test_a_trial_leaves_no_trace_on_the_fleet(world: World) -> None:
    world.node("n1")
    before = world.core.ground.fleet().copy()
    world.plan(stack(service(replicas=5, cpu=100)))
    assert alike(world.core.ground.fleet(), before)


def test_room_that_is_owed_is_promised_to_nobody(world: World) -> None:
    world.node("n1", memory=4 * GIB)
    world.fates["app:1"] = CRASHES
    world.deploy(stack(service(memory=3 * GIB)))
    (placed,) = world.plan(stack(service("other", "app:2", memory=2 * GIB), name="blog")).services
    assert [task.node for task in placed.tasks] == [""]


def test_a_plan_of_a_hundred_thousand_tasks_asks_about_few_things(world: World) -> None:
    for number in range(20):
        world.node(f"n{number}", cpu=1_000, memory=1_000 * GIB)
    many = stack(*(service(f"s{number}", replicas=1_000, cpu=100 + number) for number in range(100)))
    world.event(PlanAsked(ticket="once", stack=many))
    started = time.process_time()
    plan = world.plan(many)
    assert time.process_time() - started < 5  # a tenth of that is the rule; one task at a time takes minutes
    assert sum(each.placement.tasks - each.placement.nowhere for each in plan.services) == 100_000
    assert {len(each.tasks) for each in plan.services} == {TASKS_IN_ALL_MAX // 100}
