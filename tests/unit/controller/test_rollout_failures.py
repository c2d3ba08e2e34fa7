"""Rollouts that get stuck or find no room: deadlines, reasons, and what AUTO does about it."""

from __future__ import annotations

from typing import Any

from bayplan.lifecycle import TaskState
from bayplan.model import FailureAction, Health, ServiceSpec, TaskStatus, UpdateOrder, UpdatePolicy
from bayplan.views import RolloutState
from controller.decide.failures import PLACE_MS_MAX
from controller.decide.progress import NO_WAY_BACK
from controller.decide.rollout import ROOM_MS_MAX
from tests.unit.controller.world import CRASHES, GIB, STARTS, World, fate, service, stack

STOP_FIRST: dict[str, Any] = {"order": UpdateOrder.STOP_FIRST}
PULLS = fate(TaskState.PREPARING, "pulling app:2")


def web(image: str, replicas: int = 3, memory: int = 0, **update: Any) -> ServiceSpec:
    return service(image=image, replicas=replicas, memory=memory, update=UpdatePolicy(**update))


def deployed(nodes: int = 3, **fields: Any) -> World:
    """Version 1 runs, and has done so for a while."""
    world = World()
    for number in range(nodes):
        world.node(f"h{number}")
    world.deploy(stack(web("app:1", **fields)))
    world.pass_time(10_000)
    return world


def comes_up(world: World) -> None:
    """One task that starts is there."""
    task = next(each for each in world.wanted() if world.state.status_of(each).state is TaskState.STARTING)
    world.nodes[task.node_id].reports(task.id, TaskState.RUNNING)


# --- no progress ---


def test_a_rollout_that_gets_no_further_in_time_has_failed() -> None:
    world = deployed()
    world.fates["app:2"] = PULLS
    world.deploy(stack(web("app:2")))
    world.pass_time(299_000)
    assert world.view().rollout == "rolling 0/3"
    world.pass_time(2_000)
    why = "no progress in 5m: slot 1: pulling app:2"
    assert world.view().rollout == f"rolled back to version 1: {why}"


def test_each_slot_that_is_ready_gives_the_next_its_time() -> None:
    world = deployed()
    world.fates["app:2"] = STARTS
    world.deploy(stack(web("app:2", deadline_ms=60_000)))
    for _ in range(3):
        world.pass_time(50_000)
        assert world.rollout().deadline_left_ms == 10_000
        comes_up(world)
    assert world.rollout().deadline_left_ms == -1  # it is only watched now
    world.pass_time(10_000)
    assert (world.runs(), world.view().rollout) == ({1: 2, 2: 2, 3: 2}, "")


def test_a_slot_that_falls_and_rises_again_is_no_progress() -> None:
    world = deployed()
    world.fates["app:2"] = STARTS
    world.deploy(stack(web("app:2", deadline_ms=60_000, monitor_ms=1_000)))
    comes_up(world)
    world.pass_time(50_000)
    (first,) = [task for task in world.wanted() if task.slot == 1]
    world.nodes[first.node_id].reports(first.id, TaskState.FAILED)
    world.pass_time(5_000)
    comes_up(world)
    assert world.rollout().deadline_left_ms == 5_000


def test_a_task_that_was_started_again_in_place_has_to_pass_its_check_anew() -> None:
    world = deployed()
    world.fates["app:2"] = STARTS
    world.deploy(stack(web("app:2")))
    comes_up(world)
    (first,) = [task for task in world.wanted() if task.slot == 1]
    world.nodes[first.node_id].reports(first.id, TaskState.RUNNING, health=Health.STARTING, restarts=1)
    assert world.view().rollout == "rolling 0/3"


def test_the_delay_between_slots_is_no_lack_of_progress() -> None:
    world = deployed()
    world.deploy(stack(web("app:2", deadline_ms=20_000, delay_ms=60_000)))
    world.pass_time(300_000)
    assert (world.runs(), world.view().rollout) == ({1: 2, 2: 2, 3: 2}, "")


def test_without_a_deadline_it_may_take_for_ever() -> None:
    world = deployed()
    world.fates["app:2"] = STARTS
    world.deploy(stack(web("app:2", deadline_ms=0)))
    world.pass_time(3_600_000)
    assert (world.view().rollout, world.rollout().deadline_left_ms) == ("rolling 0/3", -1)


def test_a_paused_rollout_has_no_deadline() -> None:
    world = deployed()
    world.fates["app:2"] = CRASHES
    world.deploy(stack(web("app:2", failure_action=FailureAction.PAUSE)))
    world.pass_time(600_000)
    assert world.rollout().state is RolloutState.PAUSED
    assert world.view().rollout == "paused: 1 of 3 failed: exit code 1"


def test_a_deadline_begins_anew_with_the_controller() -> None:
    world = deployed()
    world.fates["app:2"] = STARTS
    world.deploy(stack(web("app:2", deadline_ms=60_000)))
    world.pass_time(50_000)
    again = world.restarted()
    for node in again.nodes.values():
        node.connect()
    again.pass_time(50_000)
    assert again.view().rollout == "rolling 0/3"
    again.pass_time(20_000)
    assert again.view().rollout.startswith("rolled back to version 1: no progress in 1m: slot 1: starting")


def test_a_pause_of_the_controller_is_no_lack_of_progress() -> None:
    world = deployed()
    world.fates["app:2"] = STARTS
    world.deploy(stack(web("app:2", deadline_ms=60_000)))
    world.pass_time(30_000)
    world.now_ms += 3_600_000
    world.pass_time(20_000)
    assert world.view().rollout == "rolling 0/3"
    world.pass_time(30_000)
    assert world.view().rollout.startswith("rolled back to version 1: no progress")


def test_a_first_version_that_gets_no_further_says_so_and_goes_on_trying() -> None:
    world = World()
    world.node("h1")
    world.fates["app:1"] = fate(TaskState.PREPARING, "pulling app:1")
    world.deploy(stack(web("app:1", 1)))
    world.pass_time(301_000)
    assert world.view().rollout == f"paused: no progress in 5m: slot 1: pulling app:1; {NO_WAY_BACK}"
    (task,) = world.wanted()
    world.nodes[task.node_id].reports(task.id, TaskState.RUNNING)
    world.pass_time(6_000)
    assert (world.runs(), world.view().rollout) == ({1: 1}, "")


# --- why ---


def test_the_reason_ends_with_the_last_words_of_the_health_check() -> None:
    world = deployed()
    sick = TaskStatus(
        task_id="",
        state=TaskState.FAILED,
        message="unhealthy: connecting to db",
        health=Health.UNHEALTHY,
        probe_output="connecting to db\nconnection refused\n",
    )
    world.fates["app:2"] = sick
    world.deploy(stack(web("app:2")))
    world.pass_time(10_000)
    reason = "1 of 3 failed: unhealthy: connecting to db: connection refused"
    assert world.view().rollout == f"rolled back to version 1: {reason}"
    assert world.rollout().reason == reason


def test_a_probe_that_passed_does_not_explain_a_crash() -> None:
    world = deployed()
    world.fates["app:2"] = fate(TaskState.FAILED, "exit code 3", probe_output="ok", health=Health.HEALTHY)
    world.deploy(stack(web("app:2")))
    world.pass_time(10_000)
    assert world.rollout().reason == "1 of 3 failed: exit code 3"


def test_an_image_that_is_not_there_fails_before_anything_stops() -> None:
    world = deployed(**STOP_FIRST)
    before = {task.id for task in world.wanted()}
    world.fates["app:2"] = fate(TaskState.REJECTED, "no such image: app:2")
    world.deploy(stack(web("app:2", **STOP_FIRST)))
    world.pass_time(10_000)
    assert {task.id for task in world.wanted()} == before
    assert world.view().rollout == "rolled back to version 1: 1 of 3 failed: no such image: app:2"


# --- room ---


def full(**update: Any) -> World:
    """Three tasks of which no node could take a second."""
    world = World()
    for number in range(3):
        world.node(f"h{number}", memory=GIB)
    world.deploy(stack(web("app:1", memory=GIB, **update)))
    world.pass_time(10_000)
    return world


def test_where_no_second_task_has_room_the_old_one_stops_first() -> None:
    world = full()
    assert world.rollout().policy.order is UpdateOrder.START_FIRST
    world.deploy(stack(web("app:2", memory=GIB)))
    assert len(world.wanted()) == 4
    world.pass_time(ROOM_MS_MAX - 1_000)
    assert world.runs() == {1: 1, 2: 1, 3: 1}
    world.pass_time(4 * ROOM_MS_MAX + 10_000)
    assert (world.runs(), world.view().rollout) == ({1: 2, 2: 2, 3: 2}, "")


def test_who_wants_start_first_gets_no_other_order_for_lack_of_room() -> None:
    order = UpdateOrder.START_FIRST
    world = full(order=order)
    before = {task.id for task in world.wanted()}
    world.deploy(stack(web("app:2", memory=GIB, order=order)))
    world.pass_time(PLACE_MS_MAX + 1_000)
    assert {task.id for task in world.wanted()} == before
    assert world.view().rollout.startswith("rolled back to version 1: 1 of 3 failed: no node has room for it")


def test_who_waits_for_a_task_that_stops_slowly_has_not_failed() -> None:
    world = full()
    world.deploy(stack(web("app:2", memory=GIB)))
    for node in world.nodes.values():
        node.obedient = False
    world.pass_time(2 * PLACE_MS_MAX)
    (elder, heir) = [task for task in world.tasks() if task.slot == 1]
    assert (elder.wanted, heir.node_id) == (False, "")
    assert world.rollout().state is RolloutState.ROLLING
    for node in world.nodes.values():
        node.obedient = True
        node.obey()
    world.pass_time(30_000)
    assert (world.runs(), world.view().rollout) == ({1: 2, 2: 2, 3: 2}, "")


# --- what is shown ---


def test_a_rollout_is_shown_with_its_numbers_and_the_order_it_took() -> None:
    world = deployed()
    world.fates["app:2"] = STARTS
    world.deploy(stack(web("app:2")))
    comes_up(world)
    shown = world.rollout()
    assert (shown.state, shown.from_version, shown.version) == (RolloutState.ROLLING, 1, 2)
    assert (shown.done, shown.total, shown.failed) == (1, 3, 0)
    assert shown.policy.order is UpdateOrder.START_FIRST
    assert shown.order_reason == "two tasks of a slot may run side by side"
    assert shown.deadline_left_ms == 300_000
    assert {task.version for task in shown.tasks} == {1, 2}


def test_a_service_that_does_not_roll_shows_what_undo_would_bring() -> None:
    world = deployed()
    world.deploy(stack(web("app:2")))
    world.pass_time(20_000)
    shown = world.rollout()
    assert (shown.state, shown.version, shown.from_version) == (RolloutState.DONE, 2, 1)
    assert (shown.done, shown.total, shown.deadline_left_ms) == (3, 3, -1)


def test_a_slot_whose_failure_was_put_up_with_is_tried_again() -> None:
    """Found by the simulator as seed 348: the last failure ended the rollout, and nobody looked again."""
    world = World()
    node = world.node("h1")
    world.deploy(stack(service(replicas=2)))
    world.fates["app:2"] = STARTS
    rules = UpdatePolicy(
        parallelism=0,
        order=UpdateOrder.START_FIRST,
        failure_action=FailureAction.CONTINUE,
        max_failure_ratio=0.5,
    )
    world.deploy(stack(service(image="app:2", replicas=2, update=rules)))
    first, second = [task for task in world.wanted() if task.version == 2]
    node.reports(second.id, TaskState.RUNNING)
    world.pass_time(10_000)
    del world.fates["app:2"]
    node.reports(first.id, TaskState.REJECTED, message="port is already allocated")
    world.pass_time(10_000)
    assert (world.runs(), world.view().rollout) == ({1: 2, 2: 2}, "")
