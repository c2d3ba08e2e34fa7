"""When the agent's core pulls, and what it makes of a spec that cannot be rendered."""

from __future__ import annotations

from agent import commands as do
from agent import events as ev
from bayplan.lifecycle import TaskState
from bayplan.model import Assignments, ContainerSpec, PullPolicy
from tests.unit.agent.world import assignment, ready


def test_an_image_that_is_always_pulled_is_pulled_before_the_first_create() -> None:
    world = ready(auto=False)
    world.run("t1", spec=ContainerSpec(image="web:1", pull_policy=PullPolicy.ALWAYS))
    assert world.done(do.PullImage) == [do.PullImage(image="web:1")]
    assert world.done(do.CreateContainer) == []
    world.post(ev.ImagePulled(image="web:1"))
    assert [command.task_id for command in world.done(do.CreateContainer)] == ["t1"]


def test_a_failed_pull_of_an_image_that_is_always_pulled_is_final_even_if_it_is_there() -> None:
    world = ready(auto=False)
    world.run("t1", spec=ContainerSpec(image="web:1", pull_policy=PullPolicy.ALWAYS))
    fault = ev.Fault(kind=ev.FaultKind.REFUSED, reason="image web:1 cannot be pulled: denied")
    world.post(ev.PullFailed(image="web:1", fault=fault))
    assert world.state("t1") is TaskState.REJECTED
    assert world.done(do.CreateContainer) == []


def test_an_image_that_is_never_pulled_and_absent_rejects_at_once() -> None:
    world = ready(auto=False)
    world.run("t1", spec=ContainerSpec(image="web:1", pull_policy=PullPolicy.NEVER))
    world.fail("t1", ev.FaultKind.NO_IMAGE)
    assert world.state("t1") is TaskState.REJECTED
    assert world.told["t1"].message == "image web:1 is not on this node, and pull_policy is never"
    assert world.done(do.PullImage) == []


def test_an_image_is_pulled_once_for_each_platform() -> None:
    world = ready(auto=False)
    specs = {name: ContainerSpec(image="web:1", platform=name) for name in ("linux/amd64", "linux/arm64")}
    tasks = tuple(assignment(f"t-{name}", spec_id=name) for name in specs)
    world.hear(Assignments(revision=1, tasks=tasks, specs=specs))
    for name in specs:
        world.fail(f"t-{name}", ev.FaultKind.NO_IMAGE)
    assert [command.platform for command in world.done(do.PullImage)] == list(specs)
    world.post(ev.ImagePulled(image="web:1", platform="linux/arm64"))
    created = [command.task_id for command in world.done(do.CreateContainer)]
    assert created[2:] == ["t-linux/arm64"]


def test_an_unknown_placeholder_rejects_the_task() -> None:
    world = ready()
    world.run("t1", spec=ContainerSpec(image="web:1", hostname="{{.Task.Number}}"))
    assert world.state("t1") is TaskState.REJECTED
    assert world.told["t1"].message.startswith("unknown placeholder {{.Task.Number}}: known are ")
