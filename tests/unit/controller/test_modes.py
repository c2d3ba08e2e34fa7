"""Global services and jobs: which tasks there are, and when one is done."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from bayplan.lifecycle import TaskState
from bayplan.model import Availability, FailureAction, ServiceMode, UpdatePolicy
from bayplan.views import RolloutState
from controller.records import Put
from tests.unit.controller.world import CRASHES, ENDS, STARTS, World, service, stack


def nodes_of(world: World, name: str = "shop_web") -> dict[int, str]:
    return {task.slot: world.state.nodes[task.node_id].name for task in world.wanted(name) if task.node_id}


def everywhere(image: str = "app:1", mode: ServiceMode = ServiceMode.GLOBAL, **fields: Any) -> Any:
    return stack(service(image=image, mode=mode, **fields))


def test_a_global_service_has_a_task_on_each_fit_node() -> None:
    world = World()
    world.node("h1", zone="a")
    world.node("h2", zone="b")
    world.node("h3", zone="a")
    world.deploy(everywhere(constraints=("node.labels.zone == a",)))
    assert nodes_of(world) == {1: "h1", 3: "h3"}
    assert (world.view().desired, world.view().ready) == (2, 2)


def test_a_node_that_joins_gets_its_task() -> None:
    world = World()
    world.node("h1")
    world.deploy(everywhere())
    world.node("h2")
    assert nodes_of(world) == {1: "h1", 2: "h2"}


def test_a_node_that_is_down_is_left_alone() -> None:
    world = World()
    world.node("h1")
    gone = world.node("h2")
    world.deploy(everywhere())
    gone.disconnect()
    world.pass_time(20_000)
    assert nodes_of(world) == {1: "h1", 2: "h2"}
    assert world.view().desired == 1
    before = gone.running()
    gone.connect()
    assert gone.running() == before
    assert world.view().desired == 2


def test_an_update_reaches_a_node_when_it_is_back() -> None:
    world = World()
    world.node("h1")
    gone = world.node("h2")
    world.deploy(everywhere())
    gone.disconnect()
    world.pass_time(20_000)
    world.deploy(everywhere("app:2"))
    world.pass_time(10_000)
    assert world.runs() == {1: 2, 2: 1}
    gone.connect()
    world.pass_time(2_000)
    assert world.runs() == {1: 2, 2: 2}


def test_a_rollout_is_not_over_because_no_node_is_back_since_the_controller_started() -> None:
    world = World()
    world.node("h1")
    world.node("h2")
    world.deploy(everywhere("app:1"))
    world.pass_time(10_000)
    world.fates["app:2"] = STARTS
    world.deploy(everywhere("app:2"))
    world.pass_time(10_000)
    again = world.restarted()
    again.pass_time(1_000)
    assert (again.rollout().state, again.rollout().from_version) == (RolloutState.ROLLING, 1)


def test_a_drained_node_and_one_that_changed_its_labels_lose_their_task() -> None:
    world = World()
    nodes = [world.node(f"h{n}", zone="a") for n in (1, 2, 3)]
    world.deploy(everywhere(constraints=("node.labels.zone == a",)))
    changes: list[dict[str, Any]] = [{"availability": Availability.DRAIN}, {"labels": {"zone": "b"}}]
    for node, change in zip(nodes, changes, strict=False):
        record = msgspec.structs.replace(world.state.nodes[node.id], **change)
        world.state.apply(Put(record=record))
        node.disconnect()
        node.connect()
    assert nodes_of(world) == {3: "h3"}
    assert nodes[0].running() == nodes[1].running() == []


def test_a_task_that_its_node_has_no_room_for_says_so() -> None:
    world = World()
    world.node("h1")
    world.deploy(everywhere(cpu=2000))
    world.node("h2", cpu=1)
    (waiting,) = [task for task in world.wanted() if not task.node_id]
    assert "h2: short of CPU" in world.state.pending_reasons[waiting.id]


JOBS = [ServiceMode.REPLICATED_JOB, ServiceMode.GLOBAL_JOB]


@pytest.mark.parametrize("mode", JOBS)
def test_a_job_is_done_when_each_task_is(mode: ServiceMode) -> None:
    world = World()
    world.node("h1")
    world.node("h2")
    world.fates["app:1"] = ENDS
    world.deploy(everywhere(mode=mode, replicas=2))
    world.pass_time(600_000)
    view = world.view()
    assert (view.desired, view.completed, view.running) == (2, 2, 0)
    assert len(world.tasks()) == 2


def test_a_job_that_is_done_is_not_run_again_by_anybody() -> None:
    world = World()
    node = world.node("h1")
    world.fates["app:1"] = ENDS
    world.deploy(everywhere(mode=ServiceMode.REPLICATED_JOB))
    (done,) = world.tasks()
    again = world.restarted()
    node.statuses.clear()  # its engine was emptied, its agent forgot
    node.connect()
    again.pass_time(60_000)
    assert node.statuses[done.id].state is TaskState.SHUTDOWN  # it never ran there a second time
    assert (again.view().completed, len(again.tasks())) == (1, 1)


def test_the_failure_of_a_job_is_tried_again() -> None:
    world = World()
    world.node("h1")
    world.fates["app:1"] = CRASHES
    world.deploy(everywhere(mode=ServiceMode.REPLICATED_JOB))
    world.pass_time(3_000)
    assert world.view().completed == 0
    world.fates["app:1"] = ENDS
    world.pass_time(60_000)
    assert world.view().completed == 1


def test_a_new_version_of_a_job_runs_again() -> None:
    world = World()
    world.node("h1")
    world.fates |= {"app:1": ENDS, "app:2": ENDS}
    world.deploy(everywhere(mode=ServiceMode.REPLICATED_JOB, replicas=3))
    world.deploy(everywhere("app:2", mode=ServiceMode.REPLICATED_JOB, replicas=3))
    world.pass_time(10_000)
    assert (world.view().completed, world.view().version) == (3, 2)
    assert {task.version for task in world.wanted()} == {2}


def test_a_rollback_to_a_job_that_was_done_does_not_do_it_again() -> None:
    world = World()
    world.node("h1")
    world.fates |= {"app:1": ENDS, "app:2": CRASHES}
    world.deploy(everywhere(mode=ServiceMode.REPLICATED_JOB))
    back = UpdatePolicy(failure_action=FailureAction.ROLLBACK)
    world.deploy(everywhere("app:2", mode=ServiceMode.REPLICATED, update=back))
    world.pass_time(10_000)
    assert (world.view().version, world.view().completed) == (1, 1)
    assert world.view().rollout == "rolled back to version 1: 1 of 1 failed: exit code 1"
    assert len([task for task in world.tasks() if task.version == 1]) == 1
    # Found as seed 9 with the order ignored: the record of it went with its node.
    for node in world.nodes.values():
        node.disconnect()
    world.pass_time(20_000)
    assert [task.version for task in world.tasks() if task.completed] == [1]


def test_nodes_of_a_store_without_ordinals_get_theirs_when_they_come_back() -> None:
    world = World()
    nodes = [world.node("h1"), world.node("h2")]
    for node in nodes:
        node.disconnect()
        world.state.apply(Put(record=msgspec.structs.replace(world.state.nodes[node.id], ordinal=0)))
        node.connect()
    world.deploy(everywhere())
    assert sorted(nodes_of(world).values()) == ["h1", "h2"]


def test_work_that_ends_while_a_rollout_to_another_mode_is_paused_is_done() -> None:
    """Found by the simulator as seed 2131: a job's tasks were judged by the policy of the new version."""
    world = World()
    node = world.node("h1")
    world.fates["bad:1"] = CRASHES
    rules = UpdatePolicy(parallelism=1, failure_action=FailureAction.PAUSE)
    world.deploy(stack(service(replicas=2, mode=ServiceMode.REPLICATED_JOB)))
    world.deploy(stack(service(image="bad:1", replicas=2, update=rules)))
    world.pass_time(60_000)
    assert world.view().rollout.startswith("paused")
    (work,) = [task for task in world.wanted() if task.slot == 2]
    node.reports(work.id, TaskState.COMPLETE, exit_code=0)
    world.pass_time(60_000)
    assert world.state.tasks[work.id].completed
    assert [task.id for task in world.tasks() if task.slot == 2] == [work.id]
