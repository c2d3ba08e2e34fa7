"""Tasks that are made ready and start when their turn comes."""

from __future__ import annotations

import pytest

from agent import commands as do
from agent import events as ev
from bayplan.lifecycle import TaskState
from bayplan.model import ContainerSpec, Desired
from tests.unit.agent.world import World, assignment, container, mount, ready, remembered


def prepared(spec: ContainerSpec | None = None, **fields: object) -> World:
    """A world in which t1 is to be ready."""
    world = ready(**fields)
    world.assign(assignment("t1", Desired.READY), **({"spec": spec} if spec else {}))
    return world


def test_a_task_to_be_ready_has_a_container_that_does_not_run() -> None:
    world = prepared()
    assert world.state("t1") is TaskState.PREPARING
    assert world.told["t1"].container_id == "c-t1"
    world.wait(600_000)
    assert world.done(do.StartContainer) == []
    assert world.engine["t1"].phase is ev.Phase.CREATED


def test_its_image_is_pulled_and_its_files_are_brought() -> None:
    world = ready(auto=False)
    world.contents = {"d1": b"one"}
    spec = ContainerSpec(image="web:1", files=(mount("app.conf", "d1"),))
    world.assign(assignment("t1", Desired.READY), spec=spec)
    (write,) = world.done(do.WriteFile)
    world.obey(write)
    world.fail("t1", ev.FaultKind.NO_IMAGE)
    assert world.done(do.PullImage) == [do.PullImage(image="web:1")]
    assert world.state("t1") is TaskState.PREPARING
    assert world.told["t1"].container_id == ""
    world.auto = True
    world.post(ev.ImagePulled(image="web:1"))
    world.state("t1")
    assert (world.told["t1"].container_id, world.alive()) == ("c-t1", set())


def test_when_its_turn_comes_the_very_container_starts() -> None:
    world = prepared()
    world.run("t1")
    assert world.state("t1") is TaskState.RUNNING
    assert len(world.done(do.CreateContainer)) == 1


@pytest.mark.parametrize("connected", [True, False])
@pytest.mark.parametrize("journal", [True, False])
def test_a_restarted_agent_does_not_start_it_either(journal: bool, connected: bool) -> None:
    known = remembered(assignment("t1", Desired.READY)) if journal else None
    world = World(remembered=known)
    world.list_engine(container("t1", ev.Phase.CREATED))
    if connected:
        world.connect()
        world.revision = 1
        world.assign(assignment("t1", Desired.READY))
        assert world.state("t1") is TaskState.PREPARING
        assert world.told["t1"].container_id == "c-t1"
    world.wait(600_000)
    assert world.done(do.StartContainer) == world.done(do.RemoveContainer) == []


def test_a_task_whose_turn_never_came_leaves_nothing() -> None:
    world = prepared()
    world.assign(assignment("t1", Desired.STOP))
    assert world.state("t1") is TaskState.SHUTDOWN
    assert world.engine == {}
    world = prepared()
    world.run()
    world.wait(100)
    assert world.engine == {}
    assert world.gone == {"t1"}


def test_a_ready_container_that_someone_removes_is_made_again() -> None:
    world = prepared()
    del world.engine["t1"]
    world.post(ev.ContainerDestroyed(task_id="t1", container_id="c-t1"))
    assert world.engine["t1"].phase is ev.Phase.CREATED
    assert world.state("t1") is TaskState.PREPARING


def test_a_ready_container_that_someone_started_and_that_ended_is_not_started_again() -> None:
    world = prepared()
    world.cut()
    world.post(ev.ContainerObserved(container=container("t1", ev.Phase.EXITED)))
    world.wait(600_000)
    assert world.done(do.StartContainer) == []


def test_what_cannot_be_made_ready_is_rejected() -> None:
    world = prepared(auto=False)
    world.fail("t1", ev.FaultKind.REFUSED, "no such mount")
    assert world.state("t1") is TaskState.REJECTED
    assert world.told["t1"].message == "no such mount"
