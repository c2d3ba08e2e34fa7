"""Rollouts through the core: order, monitor, failures and what they bring, the way back."""

from __future__ import annotations

from typing import Any

from bayplan.lifecycle import TaskState
from bayplan.model import FailureAction, Health, ServiceSpec, UpdateOrder, UpdatePolicy
from controller.core import history
from controller.decide.failures import PLACE_MS_MAX
from controller.decide.progress import NO_WAY_BACK
from tests.unit.controller.world import CRASHES, STARTS, World, fate, service, stack

START_FIRST = UpdateOrder.START_FIRST
STOP_FIRST: dict[str, Any] = {"order": UpdateOrder.STOP_FIRST}
PAUSES: dict[str, Any] = {"failure_action": FailureAction.PAUSE}
HALTS = STOP_FIRST | PAUSES


def web(image: str, replicas: int = 3, rollback: UpdatePolicy | None = None, **update: Any) -> ServiceSpec:
    """A service with an update policy; `ports`, if given, are fixed ones."""
    ports = update.pop("ports", ())
    rules = UpdatePolicy(**update)
    return service(
        image=image, replicas=replicas, update=rules, rollback=rollback or UpdatePolicy(), ports=ports
    )


def deployed(nodes: int = 3, **fields: Any) -> World:
    """Version 1 runs, and has done so for a while; version 2 crashes."""
    world = World()
    for number in range(nodes):
        world.node(f"h{number}")
    world.fates["app:2"] = CRASHES
    world.deploy(stack(web("app:1", **fields)))
    world.pass_time(10_000)
    return world


def fails(world: World, slot: int, message: str = "exit code 1") -> None:
    (task,) = [task for task in world.wanted() if task.slot == slot]
    world.nodes[task.node_id].reports(task.id, TaskState.FAILED, message=message)


def test_start_first_keeps_the_old_task_until_its_successor_is_healthy() -> None:
    world = deployed(order=START_FIRST)
    world.fates["app:2"] = STARTS
    world.deploy(stack(web("app:2", order=START_FIRST)))
    assert [task.version for task in world.wanted() if task.slot == 1] == [1, 2]
    assert world.runs() == {1: 1, 2: 1, 3: 1}
    assert world.view().rollout == "rolling 0/3"
    heir = world.wanted()[1]
    world.nodes[heir.node_id].reports(heir.id, TaskState.RUNNING, health=Health.HEALTHY)
    assert world.runs()[1] == 2
    assert [task.version for task in world.wanted() if task.slot == 1] == [2]
    assert [task.version for task in world.wanted() if task.slot == 2] == [1, 2]
    assert world.view().rollout == "rolling 1/3"


def test_start_first_surges_by_no_more_than_its_parallelism() -> None:
    world = deployed(replicas=5, order=START_FIRST, parallelism=2)
    world.fates["app:2"] = STARTS
    world.deploy(stack(web("app:2", 5, order=START_FIRST, parallelism=2)))
    world.pass_time(60_000)
    assert len(world.wanted()) == 7


def test_a_successor_that_fails_leaves_the_old_task_alone() -> None:
    world = deployed(order=START_FIRST)
    world.deploy(stack(web("app:2", order=START_FIRST, **PAUSES)))
    world.pass_time(60_000)
    assert world.runs() == {1: 1, 2: 1, 3: 1}
    assert world.view().rollout == "paused: 1 of 3 failed: exit code 1"
    assert len(world.wanted()) == 3


def test_a_failure_pauses_the_rest() -> None:
    world = deployed()
    world.deploy(stack(web("app:2", **HALTS)))
    world.pass_time(60_000)
    assert world.runs() == {2: 1, 3: 1}
    assert world.view().rollout == "paused: 1 of 3 failed: exit code 1"


def test_what_a_paused_rollout_has_not_reached_heals_as_it_is() -> None:
    world = deployed()
    world.deploy(stack(web("app:2", **HALTS)))
    fails(world, 3)
    world.scale("shop_web", 4)
    world.pass_time(5_000)
    assert world.runs() == {2: 1, 3: 1, 4: 1}


def test_the_monitor_sees_a_crash_that_comes_late() -> None:
    world = deployed()
    world.fates.clear()
    world.deploy(stack(web("app:2", monitor_ms=30_000, **HALTS)))
    world.pass_time(20_000)
    assert world.view().rollout == "rolling 3/3"
    fails(world, 2)
    assert world.view().rollout == "paused: 1 of 3 failed: exit code 1"


def test_a_crash_after_the_monitor_time_is_no_failure_of_the_rollout() -> None:
    world = deployed()
    world.fates.clear()
    world.deploy(stack(web("app:2", monitor_ms=5_000)))
    world.pass_time(6_000)
    assert world.view().rollout == ""
    fails(world, 2)
    assert world.view().rollout == ""


def test_failures_up_to_the_ratio_are_put_up_with() -> None:
    world = deployed()
    world.fates.clear()
    world.deploy(stack(web("app:2", max_failure_ratio=0.4, monitor_ms=20_000, **HALTS)))
    fails(world, 1)
    assert world.view().rollout.startswith("rolling")
    fails(world, 2)
    assert world.view().rollout == "paused: 2 of 3 failed: exit code 1"


def test_a_clock_that_is_set_back_hides_no_failure() -> None:
    """Found as seed 203: the newest task was forgotten, and later ones seemed older than the rollout."""
    world = deployed(nodes=1, replicas=1)
    world.fates["app:1"] = STARTS
    fails(world, 1)
    world.pass_time(5_000)
    world.scale("shop_web", 2)
    world.clock_ms -= 3_600_000
    world.deploy(stack(web("app:2", 1)))
    world.pass_time(10_000)
    assert world.view().rollout == "rolling back to version 1 0/1: 1 of 1 failed: exit code 1"


def test_continue_goes_on_whatever_fails() -> None:
    world = deployed()
    world.deploy(stack(web("app:2", failure_action=FailureAction.CONTINUE, **STOP_FIRST)))
    world.pass_time(60_000)
    assert world.runs() == {}
    assert {task.slot: task.version for task in world.tasks()} == {1: 2, 2: 2, 3: 2}


def rolled_back(**fields: Any) -> World:
    world = deployed(**fields)
    world.deploy(stack(web("app:2", failure_action=FailureAction.ROLLBACK, **fields)))
    world.pass_time(20_000)
    return world


def test_a_rollback_brings_the_version_before_back() -> None:
    world = rolled_back()
    assert world.runs() == {1: 1, 2: 1, 3: 1}
    assert world.view().rollout == "rolled back to version 1: 1 of 3 failed: exit code 1"
    assert (world.view().version, world.view().image) == (1, "app:1")


def test_a_rollback_is_a_revision_of_the_stack_too() -> None:
    world = deployed()
    world.deploy(stack(web("app:2", failure_action=FailureAction.ROLLBACK)))
    world.pass_time(60_000)
    assert [each.cause for each in history.views(world.core.state, "shop")] == [
        "web rolled back by itself",
        "deploy",
        "deploy",
    ]
    (spec,) = history.find(world.core.state, "shop", 0).spec.services
    assert spec.container.image == "app:1"


def test_a_rollback_of_start_first_never_stops_what_runs() -> None:
    world = deployed(order=START_FIRST)
    before = {task.id for task in world.wanted()}
    world.deploy(stack(web("app:2", order=START_FIRST, failure_action=FailureAction.ROLLBACK)))
    world.pass_time(20_000)
    assert {task.id for task in world.wanted()} == before


def test_a_rollback_that_fails_halts_and_does_not_turn_again() -> None:
    world = deployed()
    world.fates["app:1"] = CRASHES  # what runs goes on, what is made anew does not
    twice = UpdatePolicy(failure_action=FailureAction.ROLLBACK, **STOP_FIRST)
    world.deploy(stack(web("app:2", rollback=twice, **STOP_FIRST)))
    world.pass_time(120_000)
    assert world.view().rollout.startswith("rollback paused: 1 of 3 failed")
    assert world.view().version == 1
    assert world.runs() == {2: 1, 3: 1}


def test_a_version_after_a_rollback_has_a_number_of_its_own() -> None:
    world = rolled_back()
    world.deploy(stack(web("app:3")))
    world.pass_time(20_000)
    assert (world.runs(), world.view().rollout) == ({1: 3, 2: 3, 3: 3}, "")


def test_the_same_stack_again_is_another_try() -> None:
    world = rolled_back()
    world.fates.clear()
    world.deploy(stack(web("app:2", failure_action=FailureAction.ROLLBACK)))
    world.pass_time(20_000)
    assert world.runs() == {1: 3, 2: 3, 3: 3}


def test_a_restarted_controller_knows_how_its_rollouts_stand() -> None:
    for world in (rolled_back(), deployed()):
        world.deploy(stack(web("app:4", failure_action=FailureAction.PAUSE)))
        world.fates["app:5"] = CRASHES
        world.deploy(stack(web("app:5", failure_action=FailureAction.PAUSE)))
        world.pass_time(3_000)
        before = world.view().rollout
        assert before.startswith("paused")
        again = world.restarted()
        for node in again.nodes.values():
            node.connect()
        again.pass_time(30_000)
        assert again.view().rollout == before


def test_a_restarted_controller_goes_on_with_the_way_back() -> None:
    world = deployed()
    slowly = UpdatePolicy(delay_ms=20_000, **STOP_FIRST)
    world.fates["app:2"] = STARTS
    action = FailureAction.ROLLBACK
    world.deploy(stack(web("app:1", rollback=slowly)))
    world.pass_time(10_000)
    world.deploy(stack(web("app:2", parallelism=2, failure_action=action, **STOP_FIRST)))
    fails(world, 1)
    assert world.view().rollout.startswith("rolling back to version 2")
    again = world.restarted()
    for node in again.nodes.values():
        node.connect()
    again.pass_time(60_000)
    assert again.view().rollout.startswith("rolled back to version 2")
    assert again.runs() == {1: 2, 2: 2, 3: 2}


def test_a_new_deploy_supersedes_a_rollout_and_goes_back_to_what_was_settled() -> None:
    world = deployed(order=START_FIRST)
    world.fates["app:2"] = STARTS
    world.deploy(stack(web("app:2", order=START_FIRST)))
    world.fates["app:3"] = CRASHES
    world.deploy(stack(web("app:3", order=START_FIRST, failure_action=FailureAction.ROLLBACK)))
    world.pass_time(20_000)
    assert world.runs() == {1: 1, 2: 1, 3: 1}
    assert world.view().rollout.startswith("rolled back to version 1")


def test_a_quick_second_deploy_goes_back_to_the_first_if_that_ran() -> None:
    world = World()
    world.node("h1")
    world.deploy(stack(web("app:1", 1)))
    world.fates["app:3"] = CRASHES
    world.deploy(stack(web("app:2", 1)))
    world.deploy(stack(web("app:3", 1, failure_action=FailureAction.ROLLBACK)))
    world.pass_time(20_000)
    assert world.runs() == {1: 2}


def test_a_version_with_none_before_it_is_tried_on_and_told_to_fail() -> None:
    world = World()
    world.node("h1")
    world.fates["app:1"] = CRASHES
    world.deploy(stack(web("app:1", 1)))
    assert world.view().rollout == ""  # what it waits for may be on its way
    world.pass_time(20_000)
    assert world.view().rollout == f"paused: 1 of 1 failed: exit code 1; {NO_WAY_BACK}"
    world.fates.clear()
    world.pass_time(60_000)
    assert (world.runs(), world.view().rollout) == ({1: 1}, "")


def test_where_no_version_was_ever_good_a_failure_ends_nothing_that_serves() -> None:
    world = World()
    world.node("h1")
    world.fates["app:1"] = STARTS
    world.deploy(stack(web("app:1", 2)))
    (first, _) = world.wanted()
    world.nodes[first.node_id].reports(first.id, TaskState.RUNNING)
    world.fates["app:2"] = CRASHES
    world.deploy(stack(web("app:2", 2)))
    world.pass_time(60_000)
    assert world.view().rollout == f"paused: 1 of 2 failed: exit code 1; {NO_WAY_BACK}"
    assert world.runs() == {1: 1}


def test_a_successor_for_which_there_is_no_room_is_a_failure_in_the_end() -> None:
    world = deployed(nodes=1, replicas=1, order=START_FIRST, ports=[8080])
    world.deploy(stack(web("app:3", 1, order=START_FIRST, ports=[8080], **PAUSES)))
    world.pass_time(PLACE_MS_MAX - 1_000)
    assert world.view().rollout == "rolling 0/1"
    world.pass_time(2_000)
    assert world.view().rollout.startswith("paused: 1 of 1 failed: no node has room for it (needs ")
    assert world.view().rollout.endswith("needs port 8080/tcp; 1 node: 1 have the port taken)")
    assert (world.runs(), len(world.wanted())) == ({1: 1}, 1)


def test_what_ends_with_success_at_once_but_should_go_on_has_failed() -> None:
    world = deployed()
    world.fates["app:2"] = fate(TaskState.COMPLETE)
    world.deploy(stack(web("app:2", **PAUSES)))
    world.pass_time(5_000)
    assert world.view().rollout == "paused: 1 of 3 failed: complete"
