"""Tasks that wait for a node: who is tried again, and what is said of them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager

import pytest

from bayplan.model import Availability
from controller.core.waiting import Waiting
from controller.decide.fleet import Fleet
from controller.decide.waking import Asker
from controller.events import NodeUpdateAsked
from controller.records import Task
from tests.unit.controller.world import GIB, Node, World, service, stack


@pytest.fixture
def world() -> World:
    return World()


@contextmanager
def tries(world: World) -> Iterator[list[str]]:
    """The services whose waiting tasks are tried."""
    tried: list[str] = []
    before = Waiting.due

    def noted(waiting: Waiting, askers: Collection[Asker], fleet: Fleet) -> list[Asker]:
        due = before(waiting, askers, fleet)
        tried.extend(world.state.services[each.service_id].name for each in due)
        return due

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Waiting, "due", noted)
        yield tried


def stuck(world: World, **fields: int) -> Node:
    """Service `web` waits: its only node left."""
    node = world.node("n1")
    world.deploy(stack(service(**fields)))
    node.disconnect()
    world.pass_time(30_000)
    assert waiting(world)
    return node


def waiting(world: World) -> list[Task]:
    return [task for task in world.wanted() if not task.node_id]


def reasons(world: World) -> str:
    (task,) = waiting(world)
    return " · ".join(world.state.pending_reasons.get(task.id, ()))


def test_who_waits_is_not_tried_again_by_what_could_not_help(world: World) -> None:
    stuck(world, memory=2 * GIB)
    with tries(world) as tried:
        world.node("n2", memory=1 * GIB)
        world.deploy(stack(service("other", "app:2"), name="blog"))
        world.pass_time(5_000)
    assert set(tried) == {"blog_other"}
    with tries(world) as tried:
        world.node("n3", memory=4 * GIB)
    assert "shop_web" in tried
    assert "n3" in [world.state.nodes[task.node_id].name for task in world.wanted()]


def test_room_that_is_freed_goes_to_who_waits_for_it(world: World) -> None:
    world.node("n1", memory=4 * GIB)
    world.deploy(stack(service("big", "app:2", memory=3 * GIB), name="blog"))
    other = world.node("n2", memory=4 * GIB)
    world.deploy(stack(service(memory=2 * GIB)))
    other.disconnect()
    world.pass_time(30_000)
    assert len(waiting(world)) == 1
    world.remove("blog")
    world.pass_time(5_000)
    assert waiting(world) == []


def test_what_is_said_is_true_when_it_is_read(world: World) -> None:
    stuck(world, memory=2 * GIB)
    assert "1 node: 1 not ready" in reasons(world)
    world.node("n2", memory=1 * GIB)
    assert "2 nodes: 1 not ready · 1 short of memory · nearest: n2 has 4 CPU free, 1 GiB free" in reasons(
        world
    )
    world.ask(NodeUpdateAsked(ticket="", node="n2", availability=Availability.DRAIN))
    assert "2 nodes: 1 not ready · 1 draining" in reasons(world)


def test_tasks_that_ask_alike_share_one_reason(world: World) -> None:
    node = world.node("n1", memory=100 * GIB)
    world.deploy(stack(service(replicas=40, memory=2 * GIB)))
    node.disconnect()
    world.pass_time(30_000)
    said = [world.state.pending_reasons[task.id] for task in waiting(world)]
    assert len(said) == 40
    assert len({id(lines) for lines in said}) == 1


def test_a_task_with_a_node_has_no_reasons(world: World) -> None:
    node = stuck(world, memory=2 * GIB)
    (task,) = waiting(world)
    assert list(world.state.pending_reasons) == [task.id]
    node.connect()
    world.pass_time(5_000)
    assert all(task.id not in world.state.pending_reasons for task in world.tasks())
    assert list(world.state.pending_reasons) == []
