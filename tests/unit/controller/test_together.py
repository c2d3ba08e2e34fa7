"""Requests that come together are settled once: each counts with what the others left, and none is refused
for room that one of them frees."""

from __future__ import annotations

import pytest

from controller.core import ample, proposals
from controller.core.turn import Turn
from controller.events import Event, ScaleAsked, ServiceRemoveAsked
from tests.unit.controller.world import GIB, World, service, stack


@pytest.fixture
def world() -> World:
    made = World()
    made.node("n1", cpu=100, memory=8 * GIB)
    made.deploy(stack(service("a", replicas=2, memory=GIB), service("b", replicas=2, memory=GIB)))
    return made


def together(world: World, *events: Event) -> None:
    """Some events of one batch, and what nodes say to that, each round of it a batch again."""
    while events:
        for event in events:
            world.core.take(event, world.now)
        world._busy = True
        world._perform(world.core.settle(world.now))
        world._busy = False
        events, world._queue = tuple(world._queue), []
    world.pass_time(1_000)


def scale(name: str, replicas: int) -> ScaleAsked:
    return ScaleAsked(ticket=f"{name} to {replicas}", service=f"shop_{name}", replicas=replicas)


def refused(world: World) -> set[str]:
    return {ticket for ticket, reply in world.replies.items() if reply.problems}


def test_requests_of_one_batch_are_all_carried_out(world: World) -> None:
    together(world, scale("a", 3), scale("b", 4))
    assert refused(world) == set()
    assert len(world.runs("shop_a")) == 3
    assert len(world.runs("shop_b")) == 4


def test_the_room_that_one_is_promised_is_not_promised_to_another(world: World) -> None:
    together(world, scale("a", 6), scale("b", 6))
    assert len(refused(world)) == 1
    assert len(world.runs("shop_a")) + len(world.runs("shop_b")) == 8


def test_what_has_room_only_once_another_is_settled_is_not_refused(world: World) -> None:
    together(world, ServiceRemoveAsked(ticket="rm", service="shop_a"), scale("b", 8))
    assert refused(world) == set()
    assert len(world.runs("shop_b")) == 8


def test_what_no_settling_gives_room_to_is_refused(world: World) -> None:
    together(world, scale("a", 1), scale("b", 9))
    assert refused(world) == {"b to 9"}


@pytest.mark.parametrize(("replicas", "expected"), [(5, True), (6, True), (7, False)])
def test_room_is_ample_only_beside_all_that_stands(world: World, replicas: int, expected: bool) -> None:
    """Of 8 GiB 2 are a's and 2 are b's: 4 more find room, whoever goes; those of b that stand count twice."""
    turn = Turn(world.state, world.core._rng, world.core._settings, world.now)
    asked = proposals.propose(turn, scale("b", replicas - 2), {})
    assert ample.is_ample(turn, world.core.ground, asked.changes) is expected
