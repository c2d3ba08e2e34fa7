"""Canaries and blue/green through the core: the new version beside the old one until it is promoted."""

from __future__ import annotations

from typing import Any

import pytest

from bayplan.lifecycle import TaskState
from bayplan.model import (
    FailureAction,
    RestartCondition,
    RestartPolicy,
    ServiceSpec,
    UpdateOrder,
    UpdatePolicy,
)
from bayplan.views import RolloutAction, RolloutState
from tests.unit.controller.world import CRASHES, STARTS, World, service, stack

PROMOTE, PAUSE, RESUME, UNDO = (
    RolloutAction.PROMOTE,
    RolloutAction.PAUSE,
    RolloutAction.RESUME,
    RolloutAction.UNDO,
)


def web(image: str, replicas: int = 4, **update: Any) -> ServiceSpec:
    return service(image=image, replicas=replicas, update=UpdatePolicy(**{"canaries": 1, **update}))


def deployed(replicas: int = 4, **update: Any) -> World:
    """Version 1 runs, and has done so for a while; version 2 is asked for."""
    world = World()
    for number in range(3):
        world.node(f"h{number}")
    world.deploy(stack(web("app:1", replicas)))
    world.pass_time(10_000)
    world.deploy(stack(web("app:2", replicas, **update)))
    return world


def versions(world: World) -> dict[int, list[int]]:
    """By slot the versions of what shall run, the older first."""
    found: dict[int, list[int]] = {}
    for task in world.wanted():
        found.setdefault(task.slot, []).append(task.version)
    return found


BESIDE = {1: [1, 2], 2: [1], 3: [1], 4: [1]}


def test_canaries_run_beside_the_old_tasks_until_they_are_promoted() -> None:
    world = deployed()
    assert world.view().rollout == "rolling 1/4 (canaries 1/1)"
    world.pass_time(600_000)
    assert versions(world) == BESIDE
    assert world.view().rollout == "awaiting promotion: 1 canary is ready"
    assert world.rollout().deadline_left_ms == -1
    assert world.steer(PROMOTE).problem is None
    world.pass_time(10_000)
    assert (versions(world), world.view().rollout) == ({1: [2], 2: [2], 3: [2], 4: [2]}, "")


def test_they_start_beside_the_old_tasks_in_whatever_order_the_others_follow() -> None:
    world = deployed(order=UpdateOrder.STOP_FIRST, monitor_ms=60_000)
    world.pass_time(50_000)
    assert versions(world) == BESIDE
    assert world.runs()[1] == 2


def test_they_wait_for_promotion_only_after_the_monitor_time() -> None:
    world = deployed(monitor_ms=5_000)
    world.pass_time(4_000)
    assert world.rollout().state is RolloutState.ROLLING
    refused = world.steer(PROMOTE).problem
    assert refused is not None
    assert refused.summary == "shop_web has canaries that have not proved themselves yet: 1 of 1 ready"
    world.pass_time(2_000)
    assert world.rollout().state is RolloutState.AWAITING_PROMOTION


def test_they_promote_themselves_if_they_are_told_to() -> None:
    world = deployed(auto_promote=True)
    world.pass_time(4_000)
    assert versions(world) == BESIDE
    world.pass_time(10_000)
    assert world.runs() == {1: 2, 2: 2, 3: 2, 4: 2}
    assert world.view().rollout == ""


def test_one_that_replaces_nobody_is_promoted_and_the_rollout_done() -> None:
    """Found by the simulator as seed 3310: after the promotion nothing was left to do, and nobody looked."""
    world = World()
    node = world.node("h1")
    world.deploy(stack(service(restart=RestartPolicy(condition=RestartCondition.NONE))))
    (done,) = world.wanted()
    node.reports(done.id, TaskState.COMPLETE, exit_code=0)
    world.deploy(stack(web("app:2", 1, auto_promote=True)))
    world.pass_time(10_000)
    assert (world.runs(), world.view().rollout) == ({1: 2}, "")


def test_as_many_canaries_as_tasks_switch_over_all_at_once() -> None:
    world = deployed(canaries=9)
    world.pass_time(10_000)
    assert versions(world) == {1: [1, 2], 2: [1, 2], 3: [1, 2], 4: [1, 2]}
    assert world.rollout().canaries == 4
    world.steer(PROMOTE)
    world.pass_time(2_000)
    assert versions(world) == {1: [2], 2: [2], 3: [2], 4: [2]}


def fails(world: World, version: int) -> None:
    """The task of this version in the first slot fails, though it has run for long."""
    task = next(each for each in world.wanted() if (each.slot, each.version) == (1, version))
    world.nodes[task.node_id].reports(task.id, TaskState.FAILED, message="exit code 7")


def test_a_canary_that_fails_takes_the_whole_version_back_however_long_it_ran() -> None:
    world = deployed()
    world.pass_time(600_000)
    elders = {task.id for task in world.wanted() if task.version == 1}
    fails(world, 2)
    world.pass_time(10_000)
    assert {task.id for task in world.wanted()} == elders
    assert world.view().rollout == "rolled back to version 1: 1 of 1 failed: exit code 7"


def test_a_canary_that_fails_may_pause_and_be_tried_again() -> None:
    world = deployed(failure_action=FailureAction.PAUSE)
    fails(world, 2)
    world.pass_time(10_000)
    assert versions(world) == {1: [1], 2: [1], 3: [1], 4: [1]}
    assert world.view().rollout == "paused: 1 of 1 failed: exit code 7"
    world.steer(RESUME)
    world.pass_time(10_000)
    assert versions(world) == BESIDE
    assert world.rollout().state is RolloutState.AWAITING_PROMOTION


def test_a_canary_that_fails_is_never_put_up_with() -> None:
    world = World()
    world.node("h1")
    world.deploy(stack(web("app:1")))
    world.pass_time(10_000)
    world.fates["app:2"] = CRASHES
    world.deploy(stack(web("app:2", failure_action=FailureAction.CONTINUE, auto_promote=True)))
    world.pass_time(60_000)
    assert versions(world)[2] == [1]
    assert world.view().rollout == "rolling 0/4 (canaries 0/1)"
    world.fates.clear()
    world.pass_time(90_000)
    assert versions(world) == {1: [2], 2: [2], 3: [2], 4: [2]}


def test_until_promotion_the_other_slots_heal_and_grow_at_the_old_version() -> None:
    world = deployed()
    world.pass_time(10_000)
    (task,) = [each for each in world.wanted() if each.slot == 3]
    world.nodes[task.node_id].reports(task.id, TaskState.FAILED)
    world.scale("shop_web", 5)
    world.pass_time(10_000)
    assert versions(world) == BESIDE | {5: [1]}
    assert world.rollout().state is RolloutState.AWAITING_PROMOTION


def test_a_service_that_shrinks_to_its_canaries_still_awaits_promotion() -> None:
    world = deployed()
    world.scale("shop_web", 1)
    world.pass_time(10_000)
    assert versions(world) == {1: [1, 2]}
    world.steer(PROMOTE)
    world.pass_time(10_000)
    assert versions(world) == {1: [2]}


def test_a_canary_lost_with_its_node_is_made_anew_beside_its_elder() -> None:
    world = deployed()
    world.pass_time(10_000)
    canary = next(each for each in world.wanted() if each.version == 2)
    elder = next(each for each in world.wanted() if each.slot == 1 and each.version == 1)
    if canary.node_id != elder.node_id:
        world.nodes[canary.node_id].disconnect()
        world.pass_time(20_000)
    assert [(each.id == elder.id, each.version) for each in world.wanted() if each.slot == 1] == [
        (True, 1),
        (False, 2),
    ]
    assert world.rollout().state is RolloutState.AWAITING_PROMOTION


@pytest.mark.parametrize("before", [0, 10_000])
def test_undo_takes_canaries_away_and_stops_nothing_else(before: int) -> None:
    world = deployed()
    world.pass_time(before)
    elders = {task.id for task in world.wanted() if task.version == 1}
    world.steer(UNDO)
    assert {task.id for task in world.wanted()} == elders
    world.pass_time(10_000)
    assert world.view().rollout == "rolled back to version 1: by a user"


def test_a_new_deploy_takes_the_canaries_of_the_last_one_away() -> None:
    world = deployed()
    world.pass_time(10_000)
    elders = {task.id for task in world.wanted() if task.version == 1}
    world.deploy(stack(web("app:3", 4)))
    world.pass_time(10_000)
    assert versions(world) == {1: [1, 3], 2: [1], 3: [1], 4: [1]}
    assert elders <= {task.id for task in world.wanted()}
    world.fates["app:4"] = CRASHES
    world.deploy(stack(web("app:4", 4, canaries=2)))
    world.pass_time(10_000)
    assert world.view().rollout == "rolled back to version 1: 1 of 2 failed: exit code 1"
    assert elders == {task.id for task in world.wanted()}


def test_canaries_paused_before_they_are_ready_keep_their_elders() -> None:
    world = deployed()
    world.steer(PAUSE)
    world.pass_time(60_000)
    assert versions(world) == BESIDE
    assert world.view().rollout == "paused: by a user"
    refused = world.steer(PROMOTE).problem
    assert refused is not None and refused.summary == "shop_web is paused: by a user"
    world.steer(RESUME)
    world.pass_time(10_000)
    assert world.rollout().state is RolloutState.AWAITING_PROMOTION


def test_canaries_wait_on_when_the_controller_starts_again() -> None:
    world = deployed()
    world.pass_time(10_000)
    again = world.restarted()
    for node in again.nodes.values():
        node.connect()
    again.pass_time(1_000)
    assert versions(again) == BESIDE
    assert again.rollout().state is RolloutState.AWAITING_PROMOTION
    again.steer(PROMOTE)
    again.pass_time(10_000)
    assert again.runs() == {1: 2, 2: 2, 3: 2, 4: 2}


def test_canaries_that_never_come_up_meet_the_deadline() -> None:
    world = World()
    world.node("h1")
    world.deploy(stack(web("app:1")))
    world.pass_time(10_000)
    world.fates["app:2"] = STARTS
    world.deploy(stack(web("app:2", deadline_ms=60_000)))
    world.pass_time(59_000)
    assert world.view().rollout == "rolling 0/4 (canaries 0/1)"
    world.pass_time(2_000)
    assert world.view().rollout.startswith("rolled back to version 1: no progress in 1m")


def test_canaries_that_are_only_watched_do_not() -> None:
    world = deployed(deadline_ms=60_000, monitor_ms=120_000)
    world.pass_time(110_000)
    assert world.view().rollout == "rolling 1/4 (canaries 1/1)"
    assert world.rollout().deadline_left_ms == -1
    world.pass_time(20_000)
    assert world.rollout().state is RolloutState.AWAITING_PROMOTION


def test_the_first_version_of_a_service_needs_no_canaries() -> None:
    world = World()
    world.node("h1")
    world.deploy(stack(web("app:1")))
    world.pass_time(10_000)
    assert (world.runs(), world.view().rollout) == ({1: 1, 2: 1, 3: 1, 4: 1}, "")
