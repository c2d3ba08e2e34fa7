"""A large request is tried in several turns: others are served between, and it is decided by what is then."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import pytest

from controller.core import ample, trial
from controller.events import CallerLeft, DeployAsked, NodeRemoveAsked, ScaleAsked
from tests.unit.controller.world import GIB, World, service, stack


@pytest.fixture
def world() -> World:
    made = World()
    for name in ("n1", "n2", "n3"):
        made.node(name, cpu=100, memory=100 * GIB)
    return made


def tiny() -> Any:
    """Whatever is more than one service is tried in slices."""
    return patch.object(trial, "UNITS_TRIED_AT_ONCE", 1)


LARGE = stack(*(service(f"s{number}", replicas=3, memory=GIB) for number in range(5)))


def asks(world: World) -> None:
    """A deploy begins; the first turn is over."""
    world.event(DeployAsked(ticket="large", stack=LARGE))
    assert "large" not in world.replies


def goes_on(world: World) -> None:
    world.pass_time(1_000)


def test_a_large_deploy_is_committed_whole_after_some_turns(world: World) -> None:
    with tiny():
        asks(world)
        assert not world.state.services
        goes_on(world)
    assert not world.replies["large"].problems
    assert all(len(world.runs(f"shop_s{number}")) == 3 for number in range(5))


def test_a_small_deploy_is_answered_while_a_large_one_is_tried(world: World) -> None:
    with tiny():
        asks(world)
        assert not world.deploy(stack(service("web"), name="small")).problems
        goes_on(world)
    assert not world.replies["large"].problems


def test_what_others_changed_meanwhile_counts(world: World) -> None:
    world.deploy(stack(service("s0", replicas=1, memory=GIB)))
    with tiny():
        asks(world)
        world.ask(ScaleAsked(ticket="", service="shop_s0", replicas=7))
        goes_on(world)
    assert len(world.runs("shop_s0")) == 3
    assert not world.replies["large"].problems


def test_a_node_that_is_removed_meanwhile_is_not_asked(world: World) -> None:
    with tiny():
        asks(world)
        for node in list(world.nodes.values())[:2]:
            world.ask(NodeRemoveAsked(ticket="", node=node.id, force=True))
        goes_on(world)
    assert not world.replies["large"].problems
    assert {task.node_id for task in world.tasks("shop_s0")} == {list(world.nodes)[2]}


def test_a_large_deploy_whose_caller_has_left_changes_nothing(world: World) -> None:
    with tiny():
        asks(world)
        world.event(CallerLeft(ticket="large"))
        goes_on(world)
    assert not world.state.services and "large" not in world.replies


def test_a_large_deploy_without_room_is_refused_in_the_order_of_its_file(world: World) -> None:
    wished = stack(
        *(service(f"s{number}", replicas=2, memory=(number + 1) * 40 * GIB) for number in range(4))
    )
    with tiny():
        (first, *_) = world.deploy(wished).problems
    assert first.summary == "shop_s2.1 cannot be placed"


def tried(world: World, between: Any) -> int:
    """How often places are looked for when a large request is asked of nodes, where room is not so ample that
    nobody has to look, and this happens meanwhile."""
    first = next(iter(world.nodes.values()))
    first.obedient = False
    scarce = patch.object(ample, "is_ample", return_value=False)
    with tiny(), scarce, patch.object(trial, "place", wraps=trial.place) as place:
        asks(world)
        goes_on(world)
        between()
        first.obedient = True
        first.hears(first.asked[0])
        goes_on(world)
    assert not world.replies["large"].problems
    return sum(len(call.args[2]) == len(LARGE.services) for call in place.call_args_list)


def test_what_was_tried_is_not_tried_again_when_nothing_has_changed_until_the_nodes_have_answered(
    world: World,
) -> None:
    assert tried(world, between=lambda: None) == 1


def test_what_was_tried_is_tried_again_when_others_got_room_meanwhile(world: World) -> None:
    other = stack(service("b", constraints=("node.hostname == n2",)), name="other")
    assert tried(world, between=lambda: world.deploy(other)) == 2


def test_what_was_tried_is_tried_again_when_a_node_has_changed_meanwhile(world: World) -> None:
    assert tried(world, between=list(world.nodes.values())[-1].disconnect) == 2
