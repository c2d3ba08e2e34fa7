"""Large work is done in slices, small services first; who only comes a step further is looked at later."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import pytest

from bayplan import columns
from bayplan.lifecycle import TaskState
from bayplan.model import TaskStatus
from bayplan.session import Report
from controller.core import settling, surveys
from controller.events import Assign
from tests.unit.controller.world import GIB, Node, World, service, stack

LARGE = 200


@pytest.fixture
def narrow() -> Iterator[None]:
    """A turn makes ten tasks."""
    with patch.object(settling, "UNITS_PER_TURN", 10), patch.object(surveys, "SLOTS_AT_ONCE_MAX", 10):
        yield


def deaf() -> Any:
    """For as long as this is entered the nodes do not do what they are told."""
    return patch.object(Node, "obey", lambda node: None)


def world_with_room() -> World:
    world = World()
    world.node("n1", cpu=64, memory=64 * GIB)
    return world


@pytest.mark.usefixtures("narrow")
def test_a_small_deploy_does_not_wait_for_a_large_one() -> None:
    world = world_with_room()
    with deaf():
        assert world.deploy(stack(service("large", replicas=LARGE), name="big")).problem is None
        assert world.deploy(stack(service("small", replicas=3), name="tiny")).problem is None
        assert [bool(task.node_id) for task in world.tasks("tiny_small")] == [True] * 3
        assert len(world.tasks("big_large")) < LARGE / 2
        world.pass_time(1_000)
    assert len(world.tasks("big_large")) == LARGE


@pytest.mark.usefixtures("narrow")
def test_a_large_service_is_emptied_in_slices() -> None:
    world = world_with_room()
    world.deploy(stack(service("large", replicas=LARGE), name="big"))
    world.pass_time(1_000)
    (node,) = world.nodes.values()
    with deaf():
        world.scale("big_large", 1)
        assert len(world.wanted("big_large")) > 1
    world.pass_time(5_000)
    node.obey()
    world.pass_time(5_000)
    assert [task.slot for task in world.tasks("big_large")] == [1]


@pytest.mark.usefixtures("narrow")
def test_a_scale_down_overtakes_the_rest_of_a_deploy() -> None:
    world = world_with_room()
    world.deploy(stack(service("large", replicas=LARGE), name="big"))
    world.scale("big_large", 5)
    world.pass_time(5_000)
    assert len(world.tasks("big_large")) == 5


def test_after_a_look_at_a_step_further_those_that_follow_are_looked_at_together() -> None:
    world = world_with_room()
    (node,) = world.nodes.values()
    looks = patch.object(settling.reconcile, "reconcile", wraps=settling.reconcile.reconcile)
    with deaf(), patch.object(settling, "CALM_LOOKS_PER_MS", 0.01), looks as looked:
        world.deploy(stack(service("web", replicas=3)))
        looked.reset_mock()
        for task in world.tasks():
            steps_on(node, task.id)
            assert looked.call_count == 1
        world.pass_time(99)
        assert looked.call_count == 1
        world.pass_time(1)
        assert looked.call_count == 2
        node.reports(world.tasks()[0].id, TaskState.FAILED, message="exit code 1")
        assert looked.call_count > 2  # an end is no step further


def steps_on(node: Node, task_id: str) -> None:
    """An agent says that a task runs, in columns, as it does where there is no more to say of it."""
    status = TaskStatus(task_id=task_id, state=TaskState.RUNNING, since_ms=1)
    told = columns.packed(Report(revision=node.assigned.revision, tasks=(status,)))
    assert told.groups and not told.tasks
    node.says(told)


def test_what_large_work_changes_on_a_node_waits_for_what_small_work_changes() -> None:
    world = world_with_room()
    said: list[Assign] = []
    perform = world._perform

    def note(step: Any) -> None:
        said.extend(each for each in step.commands if isinstance(each, Assign))
        perform(step)

    with patch.object(world, "_perform", note):
        world.deploy(stack(service("large", replicas=LARGE), name="big"))
        assert [each.bulk for each in said] == [True]
        world.deploy(stack(service("small", replicas=3), name="tiny"))
        assert [each.bulk for each in said] == [True, False]
