"""What a slot has behind it outlives the controller: back-off, attempts, reasons; a bad node is avoided."""

from __future__ import annotations

import pytest

from bayplan.lifecycle import TaskState
from bayplan.model import (
    Availability,
    Dependency,
    DependencyCondition,
    Now,
    RestartCondition,
    RestartPolicy,
    TaskStatus,
)
from controller.core.settling import _past
from controller.decide import restarts
from controller.decide.reconcile import HISTORY_PER_SLOT
from controller.events import NodeUpdateAsked
from controller.records import Task
from controller.state import State
from tests.unit.controller.world import CRASHES, STARTS, World, fate, service, stack

HEALTHY = DependencyCondition.HEALTHY
YEAR_MS = 365 * 24 * 3_600_000


def loops(world: World, **fields: object) -> World:
    """A service that fails at once, four times in a row by now."""
    world.fates["bad:1"] = CRASHES
    world.node("n1")
    world.deploy(stack(service(image="bad:1", **fields)))
    world.pass_time(4_000)
    return world


def next_start_ms(world: World) -> int:
    """How long it takes until another task is made."""
    began, known = world.now_ms, {task.id for task in world.tasks()}
    while not {task.id for task in world.tasks()} - known:
        world.pass_time(100)
        assert world.now_ms - began < 3_600_000
    return world.now_ms - began


def test_the_way_a_task_ended_stays_with_it_when_controller_and_node_are_gone() -> None:
    world = World()
    world.fates["bad:1"] = fate(TaskState.FAILED, "unhealthy: 503", exit_code=137, probe_output="x" * 5_000)
    world.node("n1")
    world.deploy(stack(service(image="bad:1", restart=RestartPolicy(condition=RestartCondition.NONE))))
    again = world.restarted()
    (task,) = again.tasks()
    seen = again.state.status_of(task)
    assert (seen.state, seen.message, seen.exit_code) == (TaskState.FAILED, "unhealthy: 503", 137)
    assert len(seen.probe_output) == restarts.PROBE_OUTPUT_CHARS_MAX


def test_the_back_off_goes_on_where_it_was_when_the_controller_starts_anew() -> None:
    world = loops(World())
    failures = world.state.past_of(world.tasks()[0]).failures
    assert failures >= 3
    again = world.restarted()
    assert again.state.past_of(again.tasks()[0]).failures == failures
    next(iter(again.nodes.values())).connect()
    assert next_start_ms(again) > 2_000


def test_a_service_that_was_given_up_stays_so_when_the_controller_starts_anew() -> None:
    world = loops(World(), restart=RestartPolicy(max_attempts=2, delay_ms=100, window_ms=600_000))
    made = {task.id for task in world.tasks()}
    assert len(made) == 3
    again = world.restarted()
    next(iter(again.nodes.values())).connect()
    again.pass_time(900_000)
    assert {task.id for task in again.tasks()} == made


def test_the_node_that_tells_an_end_again_does_not_make_it_count_twice() -> None:
    world = loops(World())
    again = world.restarted()
    task = again.tasks()[0]
    before = len(again.state.past_of(task).ended_ms)
    next(iter(again.nodes.values())).connect()
    assert len(again.state.past_of(task).ended_ms) == before


@pytest.mark.parametrize("jump_ms", [-YEAR_MS, -60_000, 0, 60_000, YEAR_MS])
def test_a_clock_that_jumped_neither_stalls_a_slot_nor_forgives_it(jump_ms: int) -> None:
    task = Task(id="t", service_id="s", slot=1, version=1)
    policy = RestartPolicy(max_attempts=3, window_ms=10_000)
    wall_ms = 1_700_000_000_000
    for _ in range(3):
        wall_ms += 1_000
        status = TaskStatus(task_id="t", state=TaskState.FAILED)
        task = restarts.ended(task, status, False, policy, wall_ms)
        failures, past = restarts.handed_on(task)
        task = Task(id="t", service_id="s", slot=1, version=1, failures=failures, past_ms=past)
    found = restarts.recalled(task, Now(5_000, wall_ms + jump_ms))
    assert found.failures == 3
    assert found.ended_ms[-1] <= 5_000
    assert [found.ended_ms[-1] - at for at in found.ended_ms] == [2_000, 1_000, 0]
    assert restarts.wants_successor(policy, TaskState.FAILED, found.ended_ms)
    assert not restarts.wants_successor(policy, TaskState.FAILED, (*found.ended_ms, found.ended_ms[-1] + 1))


def test_a_task_that_proved_itself_starts_its_slots_count_afresh() -> None:
    task = Task(id="t", service_id="s", slot=1, version=1, failures=7)
    status = TaskStatus(task_id="t", state=TaskState.FAILED)
    assert restarts.handed_on(restarts.ended(task, status, True, RestartPolicy(), 1))[0] == 1
    assert restarts.handed_on(restarts.ended(task, status, False, RestartPolicy(), 1))[0] == 8


def test_what_a_slot_keeps_does_not_grow() -> None:
    world = loops(World())
    world.pass_time(3_600_000)
    assert len(world.tasks()) <= 1 + HISTORY_PER_SLOT
    assert max(len(task.past_ms) for task in world.tasks()) == restarts.ENDS_KEPT_MIN


def test_the_state_and_the_records_tell_the_same_past() -> None:
    world = loops(World())
    again = State(world.state.records())
    assert again.pasts == {}
    now = world.restarted()
    (found,) = now.state.services.values()
    known = _past(now.state, found)[1, 1]
    assert known.not_before_ms == _past(world.state, found)[1, 1].not_before_ms


def test_what_runs_on_while_its_new_version_waits_keeps_its_count_when_the_controller_starts_anew() -> None:
    """Found by the simulator as seed 3312: only the past at the current version was recalled."""
    world = loops(World())
    failures = world.state.past_of(world.tasks()[0]).failures
    needs, never = Dependency(service="db", condition=HEALTHY, required=True), service("db", image="never:1")
    world.fates["never:1"] = STARTS
    world.deploy(stack(service(image="other:1", depends_on=(needs,)), never))
    assert world.view().waits_for
    again = world.restarted()
    assert again.state.past_of(again.tasks()[0]).failures >= failures


def test_an_heir_that_was_made_before_its_elder_failed_has_that_behind_it() -> None:
    """Found by the simulator as seed 1618: the count was lost with the elder's record."""
    world = World()
    node = world.node("n1")
    world.deploy(stack(service()))
    (elder,) = world.wanted()
    world.ask(NodeUpdateAsked(ticket="", node="n1", availability=Availability.DRAIN))
    (heir,) = [task for task in world.wanted() if task.id != elder.id]
    node.reports(elder.id, TaskState.FAILED, exit_code=1)
    assert (heir.failures, world.state.tasks[heir.id].failures) == (0, 1)
