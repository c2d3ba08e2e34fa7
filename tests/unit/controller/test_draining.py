"""Endpoints drain: found no more at once, serving until their watchers have let go or the time is over."""

from __future__ import annotations

from typing import Any

from bayplan.directory import ANSWER_LIFE_MS
from bayplan.lifecycle import TaskState
from bayplan.model import (
    Desired,
    NetworkAttachment,
    PortSpec,
    ServiceMode,
    ServiceSpec,
    UpdateOrder,
    UpdatePolicy,
)
from controller.endpoints import WATCHERS_PER_SERVICE_MAX
from controller.events import FollowersLetGo, WatcherAcknowledged, WatcherCame, WatcherLeft
from controller.lookup import lookup
from controller.records import Task
from tests.unit.controller.world import World, service, stack

EXPOSED = {"expose": (PortSpec(target=80),)}
START_FIRST = UpdatePolicy(order=UpdateOrder.START_FIRST)


def web(image: str = "app:1", replicas: int = 1, **fields: Any) -> ServiceSpec:
    """A service to which others connect; its old tasks stop only after their heirs are ready."""
    fields = {"update": START_FIRST, "container": EXPOSED, **fields}
    return service(image=image, replicas=replicas, **fields)


def running(**fields: Any) -> World:
    world = World()
    world.node("h1")
    world.deploy(stack(web(**fields)))
    world.pass_time(10_000)
    return world


def comes(world: World, watcher: str = "proxy") -> None:
    world.event(WatcherCame(service="shop_web", watcher=watcher))


def leaves(world: World, watcher: str = "proxy") -> None:
    world.event(WatcherLeft(service="shop_web", watcher=watcher))


def acknowledges(world: World, watcher: str = "proxy", revision: int | None = None) -> None:
    seen = lookup(world.state, "shop", "web").revision if revision is None else revision
    world.event(WatcherAcknowledged(service="shop_web", watcher=watcher, revision=seen))


def assigned(world: World, task: Task) -> Desired | None:
    """What the task's node was told of it last."""
    found = [each for each in world.nodes[task.node_id].assigned.tasks if each.task_id == task.id]
    return found[0].desired if found else None


def replaced(world: World) -> Task:
    """The task that has just been replaced by one of the next version."""
    (elder,) = world.wanted()
    world.deploy(stack(web("app:2")))
    return world.state.tasks[elder.id]


def test_a_replaced_task_serves_on_until_its_time_is_over() -> None:
    world = running()
    elder = replaced(world)
    assert (elder.wanted, assigned(world, elder)) == (False, Desired.RUN)
    world.pass_time(900)
    assert assigned(world, elder) is Desired.RUN
    world.pass_time(200)
    assert assigned(world, elder) is Desired.STOP


def test_a_draining_task_is_at_once_not_found_any_more() -> None:
    world = running()
    elder = replaced(world)
    shown = lookup(world.state, "shop", "web", every=True).instances
    assert [each.reason for each in shown if each.id == elder.id] == ["it is draining"]
    assert elder.id not in {each.id for each in lookup(world.state, "shop", "web").instances}


def test_it_stops_as_soon_as_all_watchers_have_let_go() -> None:
    world = running()
    comes(world, "a")
    comes(world, "b")
    elder = replaced(world)
    acknowledges(world, "a")
    assert assigned(world, elder) is Desired.RUN
    acknowledges(world, "b")
    assert assigned(world, elder) is Desired.STOP


def test_watchers_do_not_let_it_stop_while_a_copy_of_the_directory_offers_it() -> None:
    world = running(drain_ms=60_000)
    comes(world)
    world.event(FollowersLetGo(revision=0))
    elder = replaced(world)
    acknowledges(world)
    assert assigned(world, elder) is Desired.RUN
    world.event(FollowersLetGo(revision=lookup(world.state, "shop", "web").revision))
    assert assigned(world, elder) is Desired.STOP


def test_without_watchers_it_serves_for_the_life_of_an_answer_after_the_last_copy_let_go() -> None:
    world = running(drain_ms=60_000)
    world.event(FollowersLetGo(revision=0))
    elder = replaced(world)
    world.pass_time(10_000)
    assert assigned(world, elder) is Desired.RUN
    world.event(FollowersLetGo(revision=lookup(world.state, "shop", "web").revision))
    world.pass_time(ANSWER_LIFE_MS - 100)
    assert assigned(world, elder) is Desired.RUN
    world.pass_time(200)
    assert assigned(world, elder) is Desired.STOP


def test_when_no_copy_is_left_only_its_time_counts() -> None:
    world = running(drain_ms=5_000)
    world.event(FollowersLetGo(revision=0))
    elder = replaced(world)
    world.event(FollowersLetGo(revision=None))
    world.pass_time(4_000)
    assert assigned(world, elder) is Desired.RUN
    world.pass_time(1_100)
    assert assigned(world, elder) is Desired.STOP


def test_an_acknowledgement_of_an_older_view_lets_go_of_nothing() -> None:
    world = running()
    comes(world)
    before = lookup(world.state, "shop", "web").revision
    elder = replaced(world)
    acknowledges(world, revision=before)
    assert assigned(world, elder) is Desired.RUN


def test_a_watcher_that_left_is_not_waited_for() -> None:
    world = running()
    comes(world, "a")
    comes(world, "b")
    elder = replaced(world)
    acknowledges(world, "a")
    leaves(world, "b")
    assert assigned(world, elder) is Desired.STOP


def test_a_watcher_that_came_back_before_its_old_stream_ended_still_counts() -> None:
    world = running()
    comes(world, "a")
    acknowledges(world, "a")
    comes(world, "b")
    comes(world, "b")
    leaves(world, "b")
    elder = replaced(world)
    acknowledges(world, "a")
    assert assigned(world, elder) is Desired.RUN
    acknowledges(world, "b")
    assert assigned(world, elder) is Desired.STOP


def test_watchers_that_do_not_acknowledge_cannot_hold_it_for_longer_than_its_time() -> None:
    world = running()
    comes(world)
    elder = replaced(world)
    world.pass_time(1_100)
    assert assigned(world, elder) is Desired.STOP


def test_more_watchers_than_are_waited_for_do_no_harm() -> None:
    world = running()
    for number in range(WATCHERS_PER_SERVICE_MAX + 1):
        comes(world, f"w{number}")
    elder = replaced(world)
    for number in range(WATCHERS_PER_SERVICE_MAX):
        acknowledges(world, f"w{number}")
    assert assigned(world, elder) is Desired.STOP
    leaves(world, f"w{WATCHERS_PER_SERVICE_MAX}")


def test_a_task_to_which_nobody_connects_stops_at_once() -> None:
    world = running(container={})
    (elder,) = world.wanted()
    world.deploy(stack(web("app:2", container={})))
    assert assigned(world, elder) is Desired.STOP


def test_a_task_that_was_not_ready_stops_at_once() -> None:
    world = running()
    (elder,) = world.wanted()
    world.nodes[elder.node_id].obedient = False
    world.nodes[elder.node_id].reports(elder.id, TaskState.STOPPING)
    world.remove()
    assert assigned(world, elder) is None


def test_a_surplus_task_drains_before_it_is_removed() -> None:
    world = running(replicas=2)
    surplus = world.wanted()[1]
    world.scale("shop_web", 1)
    assert assigned(world, surplus) is Desired.RUN
    world.pass_time(1_100)
    assert surplus.id not in world.state.tasks


def test_a_service_that_goes_as_a_whole_waits_only_for_those_who_acknowledge() -> None:
    world = running(replicas=2)
    world.remove()
    assert not world.state.tasks
    world = running(replicas=2)
    comes(world)
    world.remove()
    assert len(world.state.tasks) == 2
    acknowledges(world)  # what it was shown is: there is no such service
    assert not world.state.tasks


def test_a_stack_of_fifty_tasks_is_told_to_go_in_one_message() -> None:
    world = running(replicas=50)
    (node,) = world.nodes.values()
    before = node.assigned.revision
    node.obedient = False
    world.remove()
    assert (node.assigned.revision, node.assigned.tasks) == (before + 1, ())


def test_a_draining_task_that_ends_by_itself_is_not_waited_for() -> None:
    world = running()
    elder = replaced(world)
    world.nodes[elder.node_id].reports(elder.id, TaskState.FAILED)
    assert world.state.leaving == {}


def test_a_draining_task_on_a_node_that_went_down_is_not_waited_for() -> None:
    world = running(drain_ms=60_000)
    replaced(world)
    world.pass_time(30_000, beating=False)
    assert world.state.leaving == {}


def test_a_restarted_controller_lets_what_was_draining_stop() -> None:
    world = running(drain_ms=60_000)
    elder = replaced(world)
    again = world.restarted()
    for node in again.nodes.values():
        node.connect()
    again.pass_time(1_000)
    assert assigned(again, elder) is Desired.STOP


def test_who_has_no_ports_but_neighbours_drains_too_and_who_has_neither_does_not() -> None:
    for container, drains in (
        ({"networks": (NetworkAttachment(network="shop_default"),)}, True),
        ({}, False),
    ):
        world = running(container=container, drain_ms=60_000)
        (elder,) = world.wanted()
        world.scale("shop_web", 0)
        assert (elder.id in world.state.leaving) is drains


def test_tasks_of_jobs_do_not_drain() -> None:
    world = running(mode=ServiceMode.REPLICATED_JOB, update=UpdatePolicy())
    (elder,) = world.wanted()
    world.scale("shop_web", 0)
    assert elder.id not in world.state.tasks


def test_the_next_slot_does_not_wait_for_what_drains() -> None:
    world = running(replicas=3)
    elders = {task.id for task in world.wanted()}
    (node,) = world.nodes.values()
    world.deploy(stack(web("app:2", replicas=3)))
    assert world.runs() == {1: 2, 2: 2, 3: 2}
    assert elders < set(node.running())
    world.pass_time(1_100)
    assert not elders & set(node.running())
