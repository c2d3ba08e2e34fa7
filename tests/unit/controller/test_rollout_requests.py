"""What users ask of rollouts: pause, resume, undo, and going back once it is done."""

from __future__ import annotations

from typing import Any

import pytest

from bayplan.lifecycle import TaskState
from bayplan.model import (
    Dependency,
    DependencyCondition,
    FailureAction,
    ServiceMode,
    ServiceSpec,
    UpdateOrder,
    UpdatePolicy,
)
from bayplan.views import Deployed, RolloutAction, RolloutState, RolloutView, ServiceAction
from controller.core import history
from tests.unit.controller.world import CRASHES, STARTS, World, service, stack

PAUSE, RESUME, PROMOTE, UNDO = (
    RolloutAction.PAUSE,
    RolloutAction.RESUME,
    RolloutAction.PROMOTE,
    RolloutAction.UNDO,
)
ALL = dict.fromkeys((1, 2, 3), 1)


def web(image: str, replicas: int = 3, **update: Any) -> ServiceSpec:
    return service(image=image, replicas=replicas, update=UpdatePolicy(**update))


def deployed() -> World:
    """Version 1 runs, and has done so for a while."""
    world = World()
    for number in range(3):
        world.node(f"h{number}")
    world.deploy(stack(web("app:1")))
    world.pass_time(10_000)
    return world


def rolling(image: str = "app:2", **update: Any) -> World:
    """Version 2 comes, and takes its time."""
    world = deployed()
    world.fates[image] = STARTS
    world.deploy(stack(web(image, **update)))
    return world


def comes_up(world: World) -> None:
    for task in world.wanted():
        if world.state.status_of(task).state is TaskState.STARTING:
            world.nodes[task.node_id].reports(task.id, TaskState.RUNNING)


def refusal(world: World, action: RolloutAction, name: str = "shop_web") -> str:
    problem = world.steer(action, name).problem
    assert problem is not None
    return problem.summary


# --- pause and resume ---


def test_a_paused_rollout_takes_no_further_slot_until_it_is_resumed() -> None:
    world = rolling()
    assert world.steer(PAUSE).problem is None
    comes_up(world)
    world.pass_time(600_000)
    assert world.runs() == ALL | {1: 2}
    assert world.view().rollout == "paused: by a user"
    world.fates.clear()
    world.steer(RESUME)
    world.pass_time(10_000)
    assert (world.runs(), world.view().rollout) == ({1: 2, 2: 2, 3: 2}, "")


def test_the_answer_is_the_rollout_as_it_is_then() -> None:
    world = rolling()
    shown = world.steer(PAUSE).value
    assert isinstance(shown, RolloutView)
    assert (shown.service, shown.state, shown.reason) == ("shop_web", RolloutState.PAUSED, "by a user")
    assert (shown.from_version, shown.version, shown.done, shown.total) == (1, 2, 0, 3)


def test_resume_forgets_the_failures_that_paused_it() -> None:
    world = deployed()
    world.fates["app:2"] = CRASHES
    world.deploy(stack(web("app:2", failure_action=FailureAction.PAUSE)))
    world.pass_time(10_000)
    assert (world.rollout().state, world.rollout().failed) == (RolloutState.PAUSED, 1)
    world.fates.clear()
    world.steer(RESUME)
    world.pass_time(10_000)
    assert (world.runs(), world.view().rollout) == ({1: 2, 2: 2, 3: 2}, "")


def test_the_way_back_can_be_paused_and_resumed() -> None:
    world = deployed()
    world.deploy(stack(web("app:2", order=UpdateOrder.STOP_FIRST)))
    world.fates["app:1"] = STARTS
    world.steer(UNDO)
    world.steer(PAUSE)
    assert world.view().rollout == "rollback paused: by a user"
    assert refusal(world, UNDO) == "shop_web is on its way back to version 1 already"
    world.fates.clear()
    comes_up(world)
    world.steer(RESUME)
    world.pass_time(20_000)
    assert world.runs() == ALL
    assert world.rollout().state is RolloutState.ROLLED_BACK


def test_a_pause_outlives_the_controller() -> None:
    world = rolling()
    world.steer(PAUSE)
    again = world.restarted()
    for node in again.nodes.values():
        node.connect()
    comes_up(again)
    again.pass_time(60_000)
    assert again.runs() == ALL | {1: 2}
    assert again.view().rollout == "paused: by a user"


@pytest.mark.parametrize(
    ("action", "words"),
    [
        (PAUSE, "shop_web is rolled out: version 1"),
        (RESUME, "shop_web is rolled out: version 1"),
        (PROMOTE, "shop_web is rolled out: version 1"),
        (UNDO, "shop_web has no version before 1 to go back to"),
    ],
)
def test_where_nothing_rolls_there_is_nothing_to_steer(action: RolloutAction, words: str) -> None:
    assert refusal(deployed(), action) == words


def test_what_makes_no_sense_is_refused_with_the_way_out() -> None:
    world = rolling()
    assert refusal(world, RESUME) == "shop_web is not paused: it is rolling"
    assert refusal(world, PROMOTE) == "shop_web has no canaries to promote"
    world.steer(PAUSE)
    problem = world.steer(PAUSE).problem
    assert problem is not None
    assert problem.summary == "shop_web is paused already: by a user"
    assert problem.hint == "`bayplan rollout resume` lets it go on"
    assert refusal(world, PAUSE, "shop_wbe") == "there is no service shop_wbe"


# --- undo ---


def test_undo_of_a_rollout_keeps_what_still_runs() -> None:
    world = rolling()
    before = {task.id for task in world.wanted() if task.version == 1}
    world.steer(UNDO)
    world.pass_time(10_000)
    assert {task.id for task in world.wanted()} == before
    assert world.view().rollout == "rolled back to version 1: by a user"
    assert (world.view().version, world.view().image) == (1, "app:1")


def test_undo_of_a_paused_rollout_goes_back_as_well() -> None:
    world = rolling()
    comes_up(world)
    world.steer(PAUSE)
    world.steer(UNDO)
    world.pass_time(30_000)
    assert world.runs() == ALL
    assert world.rollout().state is RolloutState.ROLLED_BACK


def twice() -> World:
    """Version 2 is rolled out."""
    world = deployed()
    world.deploy(stack(web("app:2")))
    world.pass_time(10_000)
    assert (world.runs(), world.view().rollout) == ({1: 2, 2: 2, 3: 2}, "")
    return world


def test_after_a_rollout_undo_rolls_the_version_before_out_again() -> None:
    world = twice()
    world.fates["app:1"] = STARTS
    shown: Any = world.steer(UNDO).value
    assert (shown.state, shown.version, shown.from_version) == (RolloutState.ROLLING_BACK, 2, 1)
    assert world.runs() == {1: 2, 2: 2, 3: 2}  # start-first, one at a time
    assert len(world.wanted()) == 4
    world.fates.clear()
    comes_up(world)
    world.pass_time(10_000)
    assert world.runs() == ALL
    assert world.view().rollout == "rolled back to version 1: by a user"


def test_undo_twice_is_where_it_was() -> None:
    world = twice()
    for version in (1, 2, 1):
        world.roll_back()
        world.pass_time(20_000)
        assert world.runs() == dict.fromkeys((1, 2, 3), version)


def test_the_version_before_can_be_had_back_when_no_task_of_it_is_left() -> None:
    world = twice()
    world.scale("shop_web", 0)
    world.pass_time(5_000)
    assert world.tasks() == []
    world.scale("shop_web", 3)
    world.roll_back()
    world.pass_time(20_000)
    assert world.runs() == ALL


def test_a_number_is_not_given_twice_however_often_it_went_back() -> None:
    world = twice()
    world.deploy(stack(web("app:3")))
    world.pass_time(20_000)
    world.roll_back()
    world.pass_time(20_000)
    world.fates["app:4"] = CRASHES
    world.deploy(stack(web("app:4")))
    world.pass_time(20_000)
    assert world.runs() == {1: 2, 2: 2, 3: 2}
    world.roll_back()
    world.pass_time(20_000)
    assert world.runs() == {1: 3, 2: 3, 3: 3}
    world.deploy(stack(web("app:5")))
    world.pass_time(20_000)
    assert world.runs() == {1: 5, 2: 5, 3: 5}


def test_a_service_that_goes_back_answers_and_is_recorded_as_a_deploy() -> None:
    world = twice()
    deployed: Any = world.roll_back("shop/web").value
    assert isinstance(deployed, Deployed)
    (change,) = deployed.changes
    assert (change.service, change.action, change.version) == ("shop_web", ServiceAction.UPDATE, 1)
    assert deployed.revision == 3
    (newest, *_) = history.views(world.state, "shop")
    assert newest.cause == "web rolled back by a user"
    (spec,) = history.find(world.state, "shop", 0).spec.services
    assert spec.container.image == "app:1"


def test_going_back_keeps_the_number_of_tasks() -> None:
    world = twice()
    world.scale("shop_web", 5)
    world.roll_back()
    world.pass_time(20_000)
    assert world.runs() == dict.fromkeys(range(1, 6), 1)
    (spec,) = history.find(world.state, "shop", 0).spec.services
    assert spec.replicas == 5


def test_going_back_from_a_global_service_brings_the_number_of_tasks_back() -> None:
    world = deployed()
    world.deploy(stack(service(mode=ServiceMode.GLOBAL)))
    world.pass_time(20_000)
    world.roll_back()
    world.pass_time(30_000)
    assert world.view().desired == 3
    assert world.runs() == ALL


def test_a_way_back_outlives_the_controller() -> None:
    world = twice()
    world.fates["app:1"] = STARTS
    world.roll_back()
    again = world.restarted()
    again.fates.clear()
    for node in again.nodes.values():
        node.connect()
    comes_up(again)
    again.pass_time(30_000)
    assert again.runs() == ALL
    assert again.rollout().state is RolloutState.ROLLED_BACK


def test_a_way_back_that_fails_halts() -> None:
    world = twice()
    world.fates["app:1"] = CRASHES
    world.roll_back()
    world.pass_time(30_000)
    assert world.view().rollout == "rollback paused: 1 of 3 failed: exit code 1"
    assert world.runs() == {1: 2, 2: 2, 3: 2}  # start-first: nothing was stopped for it
    assert refusal(world, UNDO) == "shop_web is on its way back to version 1 already"


def test_a_deploy_over_a_way_back_supersedes_it() -> None:
    world = twice()
    world.fates["app:1"] = STARTS
    world.roll_back()
    world.fates["app:3"] = CRASHES
    world.deploy(stack(web("app:3")))
    world.pass_time(20_000)
    world.fates.clear()
    comes_up(world)
    world.pass_time(20_000)
    assert world.view().rollout == "rolled back to version 1: 1 of 3 failed: exit code 1"
    assert world.runs() == ALL


def test_a_deploy_over_a_paused_rollout_supersedes_it() -> None:
    world = rolling()
    world.steer(PAUSE)
    world.deploy(stack(web("app:3")))
    world.pass_time(20_000)
    assert (world.runs(), world.view().rollout) == ({1: 3, 2: 3, 3: 3}, "")


def test_a_service_that_grows_and_shrinks_while_it_rolls_arrives() -> None:
    world = rolling()
    world.scale("shop_web", 5)
    world.scale("shop_web", 2)
    world.fates.clear()
    comes_up(world)
    world.pass_time(20_000)
    assert (world.runs(), world.view().rollout) == ({1: 2, 2: 2}, "")


def test_a_failure_in_a_slot_that_is_gone_does_not_count() -> None:
    world = deployed()
    world.deploy(stack(web("app:2", max_failure_ratio=0.4, monitor_ms=60_000)))
    world.pass_time(1_000)
    (last,) = [task for task in world.wanted() if task.slot == 3]
    world.nodes[last.node_id].reports(last.id, TaskState.FAILED)
    world.scale("shop_web", 2)
    assert world.rollout().failed == 0
    world.pass_time(120_000)
    assert (world.runs(), world.view().rollout) == ({1: 2, 2: 2}, "")


def test_undo_of_an_update_that_still_waits_for_others_takes_it_away() -> None:
    needs = (Dependency(service="db", condition=DependencyCondition.HEALTHY, required=True),)
    world = World()
    world.node("h1")
    world.deploy(stack(service("db"), service(depends_on=needs)))
    world.pass_time(10_000)
    (old,) = world.wanted()
    world.fates["db:2"] = STARTS
    db = service("db", "db:2", update=UpdatePolicy(order=UpdateOrder.STOP_FIRST))
    world.deploy(stack(db, service(image="app:2", depends_on=needs)))
    assert (world.view().version, world.rollout().reason) == (2, "waits for shop_db to be healthy")
    assert refusal(world, PAUSE) == "shop_web has not begun yet"
    world.steer(UNDO)
    world.pass_time(10_000)
    assert (world.wanted(), world.view().version) == ([old], 1)
    assert world.view().rollout == "rolled back to version 1: by a user"
