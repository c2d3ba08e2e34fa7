"""What becomes of a request when some of the nodes that it asks do not answer."""

from __future__ import annotations

from typing import Any

import pytest

from bayplan.errors import ProblemKind
from bayplan.model import PreflightFault
from controller.core import requests, trial
from controller.decide import preflight
from controller.events import DeployAsked
from tests.unit.controller.world import Node, World, service, stack


@pytest.fixture
def world() -> World:
    return World()


def fleet(world: World, count: int, mute: int) -> list[Node]:
    """So many nodes; those that do not answer questions, the first ones."""
    nodes = [world.node(f"n{number}") for number in range(1, count + 1)]
    for node in nodes[:mute]:
        node.obedient = False
    return nodes[:mute]


def deploy(world: World, replicas: int, per_node: int = 1) -> None:
    """A task on each node; `per_node` could be."""
    spread = stack(service(replicas=replicas, max_replicas_per_node=per_node))
    world.event(DeployAsked(ticket="deploy", stack=spread))


def warnings(world: World) -> str:
    reply: Any = world.replies["deploy"]
    assert reply.problem is None, reply.problem
    return "; ".join(reply.value.warnings)


def test_a_node_that_goes_away_before_it_has_answered_is_left_out(world: World) -> None:
    (mute,) = fleet(world, 3, mute=1)
    deploy(world, replicas=4, per_node=2)
    assert "deploy" not in world.replies
    mute.disconnect()
    assert (
        warnings(world) == "1 of 2 nodes that were asked did not say whether they can start the new tasks: n1"
    )
    assert sorted(len(node.running()) for node in world.nodes.values()) == [0, 2, 2]
    assert not mute.running()


def test_where_those_that_are_left_are_too_small_it_is_refused_for_that(world: World) -> None:
    (mute,) = fleet(world, 3, mute=1)
    deploy(world, replicas=3)
    mute.disconnect()
    problem = world.replies["deploy"].problem
    assert problem is not None and problem.kind is ProblemKind.UNPLACEABLE


def test_a_few_stragglers_are_waited_for_as_long_as_all_others_took(world: World) -> None:
    fleet(world, 40, mute=3)
    deploy(world, replicas=40)
    world.pass_time(30_000)
    assert "deploy" not in world.replies, "3 of 40 are too many to be called stragglers"
    mute = next(node for node in world.nodes.values() if not node.obedient)
    mute.obedient = True
    mute.hears(mute.asked[-1])
    world.pass_time(29_000)
    assert "deploy" not in world.replies
    world.pass_time(2_000)
    assert "2 of 40 nodes that were asked did not say" in warnings(world)


def test_of_few_nodes_each_is_waited_for(world: World) -> None:
    fleet(world, 3, mute=1)
    deploy(world, replicas=3)
    world.pass_time(590_000)
    assert "deploy" not in world.replies
    world.pass_time(11_000)
    assert "1 of 3 nodes that were asked did not say" in warnings(world)


def test_a_service_of_whose_nodes_none_has_answered_is_refused_and_of_many_a_few_are_named(
    world: World,
) -> None:
    fleet(world, 7, mute=7)
    deploy(world, replicas=7)
    world.pass_time(601_000)
    problem = world.replies["deploy"].problem
    assert problem is not None and problem.kind is ProblemKind.REFUSED
    assert problem.summary.endswith(" and 2 more did not say whether they can start the new tasks")
    assert not world.state.services


def test_what_one_node_says_against_it_counts_however_many_are_silent(world: World) -> None:
    fleet(world, 3, mute=1)
    nodes = list(world.nodes.values())
    nodes[2].faults = (PreflightFault(subject="app:1", reason="image app:1 does not exist"),)
    deploy(world, replicas=3)
    problem = world.replies["deploy"].problem
    assert problem is not None and "n3 cannot start it: image app:1 does not exist" in problem.summary


def test_of_very_many_nodes_only_some_are_asked_for_an_image_and_each_for_its_ports() -> None:
    plain, published = service("a", image="app:1"), service("b", image="app:2", ports=[8080])
    placed = {f"n{number:04}": [plain] for number in range(600)} | {"n9999": [plain, published]}
    asked = preflight.questions("t", placed, {"n0599": {"old:1"}}, lambda node_id: frozenset())
    others = sorted(asked)[preflight.ASKED_PER_IMAGE_MAX :]
    assert others == ["n0599", "n9999"]
    assert asked["n0599"].images == ("app:1", "old:1")
    assert asked["n9999"].images == ("app:1", "app:2")
    assert [each.port for each in asked["n9999"].ports] == [8080]


@pytest.mark.parametrize("limit", ["OPEN_MAX", "AWAITED_MAX"])
def test_beyond_those_that_may_wait_a_request_is_refused_before_it_is_tried(
    world: World, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    fleet(world, 2, mute=2)
    monkeypatch.setattr(requests, limit, 4)
    for number in range(4):
        world.event(DeployAsked(ticket=f"{number}", stack=stack(service(), name=f"s{number}")))
    assert "0" not in world.replies and "3" not in world.replies
    monkeypatch.setattr(trial, "place", lambda *_: pytest.fail("it was tried"))
    world.event(DeployAsked(ticket="one too many", stack=stack(service(), name="late")))
    problem = world.replies["one too many"].problem
    assert problem is not None and problem.summary == "4 requests are waiting for nodes; try again later"
