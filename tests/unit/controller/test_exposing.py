"""What the registry shows of a service whose instances fail together, or come and go."""

from __future__ import annotations

from bayplan.directory import Listing, Standing
from bayplan.lifecycle import TaskState
from bayplan.model import Health
from controller import listings
from controller.decide.damping import HELD_MS_MIN
from controller.decide.protection import PROTECTED_MS_MAX
from tests.unit.controller.world import World, service, stack


def running(replicas: int) -> World:
    world = World()
    world.node("n1")
    world.deploy(stack(service("web", replicas=replicas)))
    world.pass_time(1_000)
    return world


def says(world: World, slots: set[int], health: Health) -> None:
    (node,) = world.nodes.values()
    for task in world.wanted():
        if task.slot in slots:
            node.reports(task.id, TaskState.RUNNING, health=health)


def shown(world: World) -> Listing:
    found = listings.listing(world.state, "shop", "web")
    assert found is not None
    return found


def given(world: World) -> set[int]:
    return {each.slot for each in shown(world).given()}


def test_when_most_fail_their_checks_at_once_they_are_given_after_the_others() -> None:
    world = running(4)
    before = shown(world).revision
    says(world, {2, 3, 4}, Health.UNHEALTHY)
    assert shown(world).protected
    assert [each.slot for each in shown(world).given()] == [1, 2, 3, 4]
    assert shown(world).revision > before
    says(world, {2}, Health.HEALTHY)
    assert not shown(world).protected
    assert given(world) == {1, 2}


def test_protection_ends_by_itself() -> None:
    world = running(4)
    says(world, {1, 2, 3, 4}, Health.UNHEALTHY)
    assert given(world) == {1, 2, 3, 4}
    during = shown(world).revision
    world.pass_time(PROTECTED_MS_MAX + 1_000)
    assert (shown(world).protected, given(world)) == (False, set())
    assert shown(world).revision > during


def test_one_that_comes_and_goes_is_held_back_until_it_is_steady() -> None:
    world = running(2)
    for _ in range(3):
        says(world, {1}, Health.UNHEALTHY)
        says(world, {1}, Health.HEALTHY)
        world.pass_time(500)
    flapping = next(each for each in shown(world).entries if each.slot == 1)
    assert (flapping.standing, given(world)) == (Standing.STARTING, {2})
    world.pass_time(HELD_MS_MIN)
    assert given(world) == {1, 2}
    assert world.state.damped == {}


def test_the_last_one_is_given_though_it_flaps() -> None:
    world = running(1)
    for _ in range(4):
        says(world, {1}, Health.UNHEALTHY)
        says(world, {1}, Health.HEALTHY)
    assert given(world) == {1}
