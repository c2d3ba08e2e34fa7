"""A drained node's tasks move: their heirs are ready elsewhere first, and what cannot move stays."""

from __future__ import annotations

from typing import Any

import pytest

from bayplan.lifecycle import TaskState
from bayplan.model import (
    Availability,
    Desired,
    FailureAction,
    Health,
    Mount,
    MountKind,
    PortSpec,
    ServiceMode,
    ServiceSpec,
    UpdateOrder,
    UpdatePolicy,
)
from controller.events import NodeUpdateAsked
from controller.records import Task
from controller.views import task_view
from tests.unit.controller.world import CRASHES, STARTS, Node, World, fate, service, stack

STOP_FIRST = UpdatePolicy(order=UpdateOrder.STOP_FIRST)
DATA = {"mounts": (Mount(kind=MountKind.VOLUME, source="data", target="/data"),)}
WORKS = fate(TaskState.RUNNING)


def sets(world: World, node: Node, availability: Availability, deadline_ms: int = 0) -> None:
    asked = NodeUpdateAsked(ticket="", node=node.id, availability=availability, deadline_ms=deadline_ms)
    assert world.ask(asked).problem is None


def drains(world: World, node: Node, deadline_ms: int = 0) -> None:
    sets(world, node, Availability.DRAIN, deadline_ms)


def running(*specs: ServiceSpec, **fields: Any) -> tuple[World, Node, Node]:
    """All tasks run on the first of two nodes."""
    world = World()
    first = world.node("h1")
    world.deploy(stack(*(specs or (service(**fields),))))
    world.pass_time(10_000)
    return world, first, world.node("h2")


def on(world: World, node: Node, name: str = "shop_web") -> list[Task]:
    return [task for task in world.wanted(name) if task.node_id == node.id]


def becomes_ready(world: World, node: Node) -> None:
    (heir,) = on(world, node)
    node.reports(heir.id, TaskState.RUNNING, health=Health.HEALTHY)


@pytest.mark.parametrize(
    "fields", [{}, {"update": STOP_FIRST}, {"ports": [8080]}, {"max_replicas_per_node": 1}], ids=str
)
def test_a_single_replica_serves_until_its_heir_is_ready(fields: dict[str, Any]) -> None:
    world, first, second = running(**fields)
    (elder,) = world.wanted()
    world.fates["app:1"] = STARTS
    drains(world, first)
    world.pass_time(30_000)
    assert first.running() == [elder.id]
    becomes_ready(world, second)
    world.pass_time(5_000)
    assert (first.running(), len(second.running())) == ([], 1)


def test_a_drain_is_no_rollout() -> None:
    world, first, _ = running(replicas=3)
    drains(world, first)
    assert world.view().rollout == ""
    world.pass_time(20_000)
    assert (world.view().rollout, world.view().version) == ("", 1)


def test_at_most_as_many_move_at_once_as_an_update_would_replace() -> None:
    world, first, second = running(replicas=5, update=UpdatePolicy(parallelism=2))
    world.fates["app:1"] = STARTS
    drains(world, first)
    world.pass_time(30_000)
    assert (len(first.running()), len(on(world, second))) == (5, 2)


def test_all_tasks_leave_a_drained_node_in_the_end() -> None:
    world, first, second = running(service(replicas=4), service("api", image="api:1", replicas=3, fence=True))
    drains(world, first)
    world.pass_time(60_000)
    assert (first.running(), len(second.running())) == ([], 7)


@pytest.mark.parametrize("fields", [{"fence": True}, {"container": DATA}], ids=["fence", "data"])
def test_where_two_must_not_run_the_heir_is_prepared_elsewhere_first(fields: dict[str, Any]) -> None:
    world, first, second = running(**fields)
    (elder,) = world.wanted()
    world.fates["app:1"] = fate(TaskState.PREPARING, "pulling app:1")
    drains(world, first)
    world.pass_time(30_000)
    assert first.running() == [elder.id]
    (heir,) = on(world, second)
    del world.fates["app:1"]
    second.reports(heir.id, TaskState.PREPARING, container_id="made")
    world.pass_time(5_000)
    assert (first.running(), second.running()) == ([], [heir.id])


@pytest.mark.parametrize("fields", [{}, {"fence": True}], ids=["start first", "stop first"])
def test_what_finds_no_room_stays_and_says_why(fields: dict[str, Any]) -> None:
    world, first, _ = running(constraints=("node.hostname==h1",), **fields)
    before = first.running()
    drains(world, first)
    world.pass_time(600_000)
    assert first.running() == before
    (heir,) = [task for task in world.wanted() if not task.node_id]
    assert any("draining" in line for line in task_view(world.state, heir).pending_reasons)


def test_after_the_deadline_it_goes_though_nobody_takes_its_place() -> None:
    world, first, _ = running(constraints=("node.hostname==h1",))
    drains(world, first, deadline_ms=20_000)
    world.pass_time(19_000)
    assert len(first.running()) == 1
    world.pass_time(2_000)
    assert first.running() == []


def test_a_node_that_is_active_again_keeps_what_has_not_moved() -> None:
    world, first, second = running(replicas=3)
    before = first.running()
    world.fates["app:1"] = STARTS
    drains(world, first)
    del world.fates["app:1"]
    sets(world, first, Availability.ACTIVE)
    world.pass_time(30_000)
    assert (first.running(), second.running(), len(world.wanted())) == (before, [], 3)


def test_a_moved_task_drains_its_endpoint_before_it_stops() -> None:
    world, first, second = running(container={"expose": (PortSpec(target=80),)})
    before = first.running()
    drains(world, first)
    assert (first.running(), len(second.running())) == (before, 1)
    world.pass_time(1_100)
    assert first.running() == []


def test_a_global_service_leaves_the_node() -> None:
    world, first, second = running(mode=ServiceMode.GLOBAL)
    drains(world, first)
    world.pass_time(5_000)
    assert (first.running(), len(second.running())) == ([], 1)


@pytest.mark.parametrize("mode", [ServiceMode.REPLICATED_JOB, ServiceMode.GLOBAL_JOB])
def test_a_job_finishes_its_work_on_the_drained_node(mode: ServiceMode) -> None:
    world, first, second = running(mode=mode)
    (working,) = on(world, first)
    drains(world, first)
    world.pass_time(60_000)
    assert first.running() == [working.id]
    first.reports(working.id, TaskState.COMPLETE, exit_code=0)
    world.pass_time(60_000)
    assert world.state.tasks[working.id].completed
    sets(world, first, Availability.ACTIVE)
    world.pass_time(5_000)
    assert first.running() == []
    assert len(second.running()) == (mode is ServiceMode.GLOBAL_JOB)


@pytest.mark.parametrize("mode", [ServiceMode.REPLICATED_JOB, ServiceMode.GLOBAL_JOB])
def test_a_job_has_until_the_deadline_to_finish(mode: ServiceMode) -> None:
    world, first, _ = running(mode=mode)
    drains(world, first, deadline_ms=20_000)
    world.pass_time(19_000)
    assert len(first.running()) == 1
    world.pass_time(2_000)
    assert first.running() == []


def test_an_heir_that_fails_elsewhere_takes_nothing_down() -> None:
    world, first, _ = running()
    before = first.running()
    world.fates["app:1"] = fate(TaskState.FAILED, "exit code 1", exit_code=1)
    drains(world, first)
    world.pass_time(120_000)
    assert first.running() == before
    del world.fates["app:1"]
    world.pass_time(300_000)
    assert first.running() == []


def test_an_update_goes_on_while_a_node_is_drained() -> None:
    world, first, second = running(replicas=4)
    drains(world, first)
    world.deploy(stack(service(image="app:2", replicas=4)))
    world.pass_time(60_000)
    assert world.runs() == dict.fromkeys(range(1, 5), 2)
    assert (first.running(), len(second.running())) == ([], 4)


def test_a_restarted_controller_goes_on_with_a_drain() -> None:
    world, first, second = running(replicas=3)
    world.fates["app:1"] = STARTS
    drains(world, first, deadline_ms=600_000)
    again = world.restarted()
    del again.fates["app:1"]
    for node in (first, second):
        node.connect()
    (heir,) = on(again, second)
    second.reports(heir.id, TaskState.RUNNING)
    again.pass_time(30_000)
    assert (first.running(), len(second.running())) == ([], 3)


def test_a_fenced_task_leaves_alone_though_the_version_that_is_held_up_is_not_fenced() -> None:
    """Found by the simulator as seed 3607: its slot was judged by the spec of the new version."""
    world, *_ = running(service(fence=True, replicas=2))
    world.fates |= {"bad:1": CRASHES, "app:1": fate(TaskState.PREPARING, "pulling")}
    halting = UpdatePolicy(failure_action=FailureAction.PAUSE)
    world.deploy(stack(service(image="bad:1", update=halting, replicas=2)))
    world.pass_time(30_000)
    (old,) = [task for task in world.wanted() if task.version == 1]
    drains(world, next(node for node in world.nodes.values() if node.id == old.node_id))
    heirs = [task for task in world.wanted() if task.slot == old.slot and task.id != old.id]
    assert [(heir.version, heir.desired) for heir in heirs] == [(1, Desired.READY)]


def test_a_task_leaves_though_the_rollout_to_the_only_version_there_is_has_halted() -> None:
    """Found by the simulator as seed 4549: its heir was made and taken back without end, which ended the
    controller."""
    world = World()
    node = world.node("h1")
    world.fates |= {"app:1": STARTS, "bad:1": CRASHES}
    world.deploy(stack(service(replicas=2)))
    node.reports(world.wanted()[0].id, TaskState.RUNNING)
    rules = UpdatePolicy(order=UpdateOrder.STOP_FIRST, failure_action=FailureAction.PAUSE)
    world.deploy(stack(service(image="bad:1", replicas=2, update=rules, fence=True)))
    world.pass_time(20_000)
    assert world.rollout().from_version == 0
    assert world.view().rollout.startswith("paused")
    assert 1 in world.runs().values()
    world.node("h2")
    drains(world, node)
    world.pass_time(20_000)
