"""What users ask of nodes, and what becomes of the tasks on them."""

from __future__ import annotations

from typing import Any

import pytest

from bayplan.errors import ProblemKind
from bayplan.model import Availability, ServiceMode
from controller.core.nodes import DRAIN_MS_MAX
from controller.events import NodeRemoveAsked, NodeUpdateAsked, Reply
from tests.unit.controller.world import ENDS, World, service, stack


def update(world: World, node: str, **fields: Any) -> Reply:
    reply = world.ask(NodeUpdateAsked(ticket="", node=node, **fields))
    assert isinstance(reply, Reply)
    return reply


def remove(world: World, node: str, *, force: bool = False) -> Reply:
    reply = world.ask(NodeRemoveAsked(ticket="", node=node, force=force))
    assert isinstance(reply, Reply)
    return reply


def told(world: World, node: str) -> list[str]:
    """What people are told of a node."""
    return [event.text for event in world.state.events if event.subject == node]


def test_labels_are_set_and_taken_away_and_services_follow_them() -> None:
    world = World()
    world.node("n1")
    second = world.node("n2")
    assert update(world, "n2", label_add={"disk": "ssd", "rack": "a"}).problem is None
    world.deploy(stack(service(constraints=("node.labels.disk == ssd",))))
    assert len(second.running()) == 1
    update(world, "n2", label_remove=("rack",))
    assert world.state.nodes[second.id].labels == {"disk": "ssd"}
    assert told(world, "n2")[-3:] == ["label disk=ssd", "label rack=a", "label rack removed"]


@pytest.mark.parametrize(
    "label", [("", "x"), ("a b", "x"), ("a=b", "x"), ("a!", "x"), ("a", " x"), ("a", "x\ny")]
)
def test_a_label_that_no_constraint_could_name_is_refused(label: tuple[str, str]) -> None:
    world = World()
    node = world.node("n1")
    problem = update(world, "n1", label_add=dict([label])).problem
    assert problem is not None and problem.kind is ProblemKind.INVALID
    assert world.state.nodes[node.id].labels == {}


def test_a_paused_node_keeps_what_it_has_and_takes_no_more() -> None:
    world = World()
    node = world.node("n1")
    world.deploy(stack(service(replicas=1)))
    update(world, "n1", availability=Availability.PAUSE)
    assert len(node.running()) == 1
    assert world.scale("shop_web", 2).problem is not None
    update(world, "n1", availability=Availability.ACTIVE)
    assert world.scale("shop_web", 2).problem is None
    assert len(node.running()) == 2


def test_a_drains_deadline_is_kept_until_the_node_is_active_again() -> None:
    world = World()
    node = world.node("n1")
    until_ms = world.now.wall_ms + 60_000
    reply = update(world, "n1", availability=Availability.DRAIN, deadline_ms=60_000)
    assert (reply.value.availability, reply.value.drain_until_ms) == (Availability.DRAIN, until_ms)
    update(world, "n1", label_add={"why": "disk"})
    assert world.state.nodes[node.id].drain_until_ms == until_ms
    update(world, "n1", availability=Availability.ACTIVE)
    assert world.state.nodes[node.id].drain_until_ms == 0


@pytest.mark.parametrize(
    "fields",
    [
        {"deadline_ms": 1},
        {"availability": Availability.PAUSE, "deadline_ms": 1},
        {"availability": Availability.DRAIN, "deadline_ms": -1},
        {"availability": Availability.DRAIN, "deadline_ms": DRAIN_MS_MAX + 1},
    ],
)
def test_a_deadline_belongs_to_a_drain(fields: dict[str, Any]) -> None:
    world = World()
    world.node("n1")
    problem = update(world, "n1", **fields).problem
    assert problem is not None and problem.kind is ProblemKind.INVALID


def test_a_request_about_no_node_says_which_is_near() -> None:
    world = World()
    world.node("web1")
    problem = update(world, "web2", availability=Availability.PAUSE).problem
    assert problem is not None and problem.kind is ProblemKind.NOT_FOUND
    assert "web1" in problem.hint


def test_a_node_that_runs_something_is_removed_only_by_force() -> None:
    world = World()
    first, second = world.node("n1"), world.node("n2")
    world.deploy(stack(service(replicas=2)))
    problem = remove(world, "n1").problem
    assert problem is not None and problem.kind is ProblemKind.REFUSED
    assert remove(world, "n1", force=True).problem is None
    assert [each.final for each in first.dismissed] == [True]
    assert first.id not in world.state.nodes
    assert len(second.running()) == 2


def test_a_node_that_is_down_or_empty_can_be_removed() -> None:
    world = World()
    first, second = world.node("n1"), world.node("n2")
    world.deploy(stack(service(replicas=2)))
    first.disconnect()
    world.pass_time(7_000)
    assert remove(world, "n1").problem is None
    assert len(second.running()) == 2
    world.remove()
    assert remove(world, "n2").problem is None
    assert world.state.nodes == {}


def test_a_removed_node_is_refused_for_good_when_it_comes_again() -> None:
    world = World()
    node = world.node("n1")
    remove(world, "n1")
    node.connect()
    assert [each.final for each in node.dismissed] == [True, True]


def test_a_removed_nodes_global_tasks_go_with_it() -> None:
    world = World()
    world.node("n1")
    world.node("n2")
    world.deploy(stack(service(mode=ServiceMode.GLOBAL)))
    remove(world, "n1", force=True)
    assert [task.slot for task in world.tasks()] == [2]
    assert world.view().desired == 1


def test_a_job_that_did_its_work_on_a_removed_node_is_not_done_again() -> None:
    world = World()
    world.fates["job:1"] = ENDS
    world.node("n1")
    second = world.node("n2")
    world.deploy(stack(service(image="job:1", mode=ServiceMode.REPLICATED_JOB, replicas=2)))
    assert world.view().completed == 2
    remove(world, "n1", force=True)
    world.pass_time(30_000)
    assert world.view().completed == 2
    assert len(second.statuses) == 1


def test_a_deploy_that_waits_for_a_removed_node_is_answered() -> None:
    world = World()
    node = world.node("n1")
    world.node("n2")
    node.obedient = False
    assert world.deploy(stack(service(replicas=2))) is None
    remove(world, "n1", force=True)
    answer = next(reply for ticket, reply in world.replies.items() if ticket == "ticket-3")
    assert answer.problem is None
    assert "1 of 2 nodes that were asked did not say" in answer.value.warnings[0]
