"""What is owed: worked out only where settling looked, it is what it would be for all services anew."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bayplan.lifecycle import TaskState
from bayplan.model import ServiceMode
from controller.core import owing
from controller.events import NodeRemoveAsked
from tests.unit.controller.world import CRASHES, GIB, Node, World, fate, service, stack


@pytest.fixture
def world() -> World:
    return World()


def owed(world: World) -> dict[str, dict[int, str]]:
    """By service, what is remembered; checked against all services anew."""
    state = world.state
    found = {each.name: dict(slots) for each, slots in world.core.ground.owing.coming()}
    living = (each for each in state.services.values() if not each.removed)
    anew = {each.name: dict(owing.coming(state, each, state.spec_of(each))) for each in living}
    assert found == {name: slots for name, slots in anew.items() if slots}
    return found


def test_what_runs_owes_nothing_and_what_waits_for_room_does(world: World) -> None:
    node = world.node("n1", memory=4 * GIB)
    assert owed(world) == {}
    world.deploy(stack(service("web", replicas=2, memory=GIB), service("db", "db:1", memory=GIB)))
    assert owed(world) == {}
    node.disconnect()
    world.pass_time(30_000)
    assert owed(world) == {"shop_web": {1: "", 2: ""}, "shop_db": {1: ""}}
    node.connect()
    world.pass_time(30_000)
    assert owed(world) == {}


def test_what_waited_for_room_is_owed_no_more_once_it_has_some(world: World) -> None:
    node = world.node("n1", memory=4 * GIB)
    world.deploy(stack(service("web", memory=3 * GIB)))
    node.disconnect()
    world.pass_time(30_000)
    world.ask(NodeRemoveAsked(ticket="rm", node=node.id, force=True))
    assert owed(world) == {"shop_web": {1: ""}}
    world.node("n2", memory=4 * GIB)
    assert owed(world) == {}


def _first(world: World) -> Node:
    return next(iter(world.nodes.values()))


def _crashes(world: World) -> None:
    world.fates["app:1"] = CRASHES
    world.deploy(stack(service("crashing"), name="bad"))


def _loses_a_node(world: World) -> None:
    if _first(world).session:
        _first(world).disconnect()
    world.pass_time(10_000)


def _finds_it_again(world: World) -> None:
    if not _first(world).session:
        _first(world).connect()
    world.pass_time(10_000)


def _runs_a_job(world: World) -> None:
    world.fates["job:1"] = fate(TaskState.COMPLETE, exit_code=0)
    world.deploy(stack(service("job", "job:1", mode=ServiceMode.REPLICATED_JOB, replicas=3), name="jobs"))


def _grows(world: World) -> None:
    world.scale("shop_web", 40)


def _shrinks(world: World) -> None:
    world.scale("shop_web", 1)


def _updates(world: World) -> None:
    world.deploy(stack(service("web", "app:2", replicas=3), service("agent", mode=ServiceMode.GLOBAL)))


def _gets_a_node(world: World) -> None:
    world.node("n4", memory=8 * GIB)


def _goes(world: World) -> None:
    world.remove("shop")


STEPS = (
    _crashes,
    _runs_a_job,
    _loses_a_node,
    _grows,
    _finds_it_again,
    _updates,
    _gets_a_node,
    _shrinks,
    _goes,
)


ORDERS = [(*STEPS[begin:-1], *STEPS[:begin], STEPS[-1]) for begin in range(len(STEPS) - 1)]


@pytest.mark.parametrize("steps", ORDERS, ids=lambda steps: steps[0].__name__.strip("_"))
def test_remembered_or_worked_out_anew_it_is_the_same(
    world: World, steps: tuple[Callable[[World], None], ...]
) -> None:
    for name in ("n1", "n2", "n3"):
        world.node(name, memory=8 * GIB)
    world.deploy(stack(service("web", replicas=5), service("agent", mode=ServiceMode.GLOBAL)))
    for step in steps:
        step(world)
        owed(world)
        for _ in range(5):
            world.pass_time(1_000)
            owed(world)
