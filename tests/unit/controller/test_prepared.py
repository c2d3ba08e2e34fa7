"""Stop-first updates prepare the successor beside the task that it replaces: nothing bad takes that down."""

from __future__ import annotations

from typing import Any

from bayplan.lifecycle import TaskState
from bayplan.model import Desired, FailureAction, ServiceSpec, UpdateOrder, UpdatePolicy
from controller.core import placing
from controller.records import Task
from controller.views import task_view
from tests.unit.controller.world import CRASHES, GIB, Node, World, fate, service, stack

PULLS = fate(TaskState.PREPARING, "pulling app:2")
BAD_IMAGE = fate(TaskState.REJECTED, "no such image: app:2")


def web(image: str, replicas: int = 1, **fields: Any) -> ServiceSpec:
    """A service of which a slot has one task at a time."""
    rules = fields.pop("rules", {})
    update = UpdatePolicy(order=UpdateOrder.STOP_FIRST, **rules)
    return service(image=image, replicas=replicas, update=update, **fields)


def running(**fields: Any) -> tuple[World, Node]:
    world = World()
    node = world.node("h1")
    world.deploy(stack(web("app:1", **fields)))
    world.pass_time(10_000)
    return world, node


def elder_and_heir(world: World, slot: int = 1) -> tuple[Task, Task]:
    elder, heir = [task for task in world.wanted() if task.slot == slot]
    return elder, heir


def test_the_successor_is_prepared_on_the_same_node_while_the_task_runs() -> None:
    world, node = running(ports=[8080])
    world.fates["app:2"] = PULLS
    world.deploy(stack(web("app:2", ports=[8080])))
    elder, heir = elder_and_heir(world)
    assert (elder.desired, heir.desired, heir.node_id) == (Desired.RUN, Desired.READY, node.id)
    assert node.running() == [elder.id]
    assert task_view(world.state, heir).desired is Desired.READY


def test_it_runs_once_the_task_before_it_is_gone() -> None:
    world, node = running()
    world.fates["app:2"] = PULLS
    world.deploy(stack(web("app:2")))
    elder, heir = elder_and_heir(world)
    node.obedient = False
    node.reports(heir.id, TaskState.PREPARING, container_id="made")
    assert [task.id for task in world.wanted()] == [heir.id]
    assert world.wanted()[0].desired is Desired.READY
    del world.fates["app:2"]
    node.reports(elder.id, TaskState.SHUTDOWN)
    assert world.wanted()[0].desired is Desired.RUN


def test_an_update_of_many_slots_leaves_them_as_prepared_ones_come_up() -> None:
    world, _ = running(replicas=5)
    world.deploy(stack(web("app:2", 5)))
    world.pass_time(20_000)
    assert world.runs() == dict.fromkeys(range(1, 6), 2)
    assert all(task.desired is Desired.RUN for task in world.wanted())
    assert world.view().rollout == ""


def test_an_image_that_is_not_there_never_takes_the_old_task_down() -> None:
    for action in FailureAction:
        world, node = running()
        before = node.running()
        world.fates["app:2"] = BAD_IMAGE
        world.deploy(stack(web("app:2", rules={"failure_action": action})))
        world.pass_time(120_000)
        assert node.running() == before
        assert action is FailureAction.CONTINUE or "no such image: app:2" in world.view().rollout, (
            world.view().rollout
        )


def test_a_slow_pull_takes_nothing_down() -> None:
    world, node = running()
    before = node.running()
    world.fates["app:2"] = PULLS
    world.deploy(stack(web("app:2", rules={"deadline_ms": 0})))
    world.pass_time(600_000)
    assert node.running() == before


def test_a_paused_rollout_gives_up_what_was_only_prepared() -> None:
    world, node = running(replicas=2)
    world.fates["app:2"] = PULLS
    rules = {"parallelism": 2, "failure_action": FailureAction.PAUSE}
    world.deploy(stack(web("app:2", 2, rules=rules)))
    _, heir = elder_and_heir(world, 1)
    node.reports(heir.id, TaskState.REJECTED)
    world.pass_time(5_000)
    assert world.view().rollout.startswith("paused")
    assert world.runs() == {1: 1, 2: 1}
    assert [task.version for task in world.wanted()] == [1, 1]


def test_a_deploy_over_a_prepared_one_supersedes_it() -> None:
    world, node = running()
    (before,) = node.running()
    world.fates["app:2"] = PULLS
    world.deploy(stack(web("app:2")))
    world.fates["app:3"] = PULLS
    world.deploy(stack(web("app:3")))
    assert [task.version for task in world.wanted()] == [1, 3]
    assert node.running() == [before]


def test_a_task_that_dies_leaves_its_place_to_the_one_that_is_prepared() -> None:
    world, node = running()
    (before,) = node.running()
    world.fates["app:2"] = PULLS
    world.deploy(stack(web("app:2")))
    del world.fates["app:2"]
    node.reports(before, TaskState.FAILED)
    world.pass_time(5_000)
    assert world.runs() == {1: 2}


def test_elder_and_heir_hold_the_larger_of_both_amounts() -> None:
    world, node = running(cpu=1000, memory=3 * GIB)
    world.fates["app:2"] = PULLS
    world.deploy(stack(web("app:2", cpu=2000, memory=1 * GIB)))
    held = placing.reserved(world.state, world.state.tasks_on(node.id))
    assert (held.cpu_millis, held.memory_bytes) == (2000, 3 * GIB)
    (candidate,) = placing.candidates(world.state)
    assert candidate.counts == {world.wanted()[0].service_id: 1}


def test_where_the_successor_has_no_room_beside_others_the_task_stops_first() -> None:
    world, node = running(cpu=1000)
    world.node("h2", cpu=4)
    world.deploy(stack(web("app:1", cpu=1000), service("other", cpu=3000)))
    node.obedient = False
    world.nodes[world.wanted()[0].node_id].obedient = False
    world.deploy(stack(web("app:2", cpu=2000), service("other", cpu=3000)))
    assert not [task for task in world.wanted() if task.desired is Desired.READY]


def test_a_lost_node_takes_the_prepared_one_with_it() -> None:
    world, node = running()
    other = world.node("h2")
    world.fates["app:2"] = PULLS
    world.deploy(stack(web("app:2")))
    del world.fates["app:2"]
    node.disconnect()
    world.pass_time(400_000)
    assert [task.node_id for task in world.wanted()] == [other.id]
    assert world.runs() == {1: 2}


def test_a_restarted_controller_goes_on_with_what_was_prepared() -> None:
    world, node = running()
    world.fates["app:2"] = PULLS
    world.deploy(stack(web("app:2")))
    again = world.restarted()
    del again.fates["app:2"]
    node.connect()
    elder, heir = elder_and_heir(again)
    assert heir.desired is Desired.READY
    node.reports(heir.id, TaskState.PREPARING, container_id="made")
    again.pass_time(5_000)
    assert again.runs() == {1: 2}
    assert elder.id not in node.running()


def test_what_was_prepared_and_crashes_is_a_failure_of_the_rollout() -> None:
    world, _ = running()
    world.fates["app:2"] = CRASHES
    world.deploy(stack(web("app:2")))
    world.pass_time(20_000)
    assert world.view().rollout.startswith("rolled back to version 1")
    assert world.runs() == {1: 1}


def test_the_next_slots_heir_is_prepared_before_its_turn() -> None:
    world, node = running(replicas=4)
    before = node.running()
    world.fates["app:2"] = PULLS
    world.deploy(stack(web("app:2", 4)))
    heirs = [task for task in world.wanted() if task.desired is Desired.READY]
    assert [task.slot for task in heirs] == [1, 2]
    node.reports(heirs[1].id, TaskState.PREPARING, container_id="made")
    assert node.running() == before
    world.fates["app:2"] = fate(TaskState.STARTING)
    node.reports(heirs[0].id, TaskState.PREPARING, container_id="made")
    assert len(node.running()) == 3
    assert [task.slot for task in world.wanted() if task.desired is Desired.READY] == [2]


def test_two_of_one_node_are_not_both_promised_what_there_is_once() -> None:
    """Found by the simulator as seed 2123: a new version had a fixed port, and two heirs the same node."""
    world, node = running(replicas=2)
    world.node("h2")
    world.fates["app:2"] = PULLS
    world.deploy(stack(web("app:2", 2, ports=[8080], rules={"parallelism": 0})))
    prepared = [task for task in world.wanted() if task.desired is Desired.READY]
    assert [task.node_id for task in prepared] == [node.id]
    assert len(world.wanted()) == 3


def test_those_who_could_not_all_be_prepared_at_once_come_up_all_the_same() -> None:
    world, _ = running(replicas=2)
    world.node("h2")
    world.deploy(stack(web("app:2", 2, ports=[8080], rules={"parallelism": 0})))
    world.pass_time(20_000)
    assert world.runs() == {1: 2, 2: 2}
    assert len({task.node_id for task in world.wanted()}) == 2
