"""When the agent's core pulls, and what it makes of a spec that cannot be rendered."""

from __future__ import annotations

from agent import commands as do
from agent import events as ev
from agent.work import PULLS_IN_FLIGHT_MAX
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


def test_a_task_whose_image_is_here_does_not_wait_for_another_tasks_pull_of_it() -> None:
    world = ready(auto=False)
    specs = {
        "s1": ContainerSpec(image="web:1"),
        "s2": ContainerSpec(image="web:1", pull_policy=PullPolicy.ALWAYS),
    }
    tasks = (assignment("always", spec_id="s2"), assignment("missing", spec_id="s1"))
    world.hear(Assignments(revision=1, tasks=tasks, specs=specs))
    assert world.done(do.PullImage) == [do.PullImage(image="web:1")]
    assert [command.task_id for command in world.done(do.CreateContainer)] == ["missing"]
    world.fail("missing", ev.FaultKind.NO_IMAGE)
    assert world.state("missing") is TaskState.PREPARING
    world.post(ev.ImagePulled(image="web:1"))
    created = [command.task_id for command in world.done(do.CreateContainer)]
    assert created == ["missing", "always", "missing"]


def test_pulls_for_which_nobody_waits_any_more_are_in_nobodys_way() -> None:
    world = ready(auto=False)
    images = [f"big:{number}" for number in range(PULLS_IN_FLIGHT_MAX)]
    specs = {image: ContainerSpec(image=image, pull_policy=PullPolicy.ALWAYS) for image in [*images, "web:1"]}
    tasks = tuple(assignment(f"t-{image}", spec_id=image) for image in specs)
    world.hear(Assignments(revision=1, tasks=tasks, specs=specs))
    assert [command.image for command in world.done(do.PullImage)] == images
    world.hear(Assignments(revision=2, tasks=tasks[1:], specs=specs))
    assert [command.image for command in world.done(do.PullImage)] == [*images, "web:1"]


def test_a_pull_that_stalled_is_told_and_tried_again_behind_those_that_did_not() -> None:
    world = ready(auto=False)
    images = [f"web:{number}" for number in range(PULLS_IN_FLIGHT_MAX + 2)]
    specs = {image: ContainerSpec(image=image, pull_policy=PullPolicy.ALWAYS) for image in images}
    tasks = tuple(assignment(f"t-{image}", spec_id=image) for image in images)
    world.hear(Assignments(revision=1, tasks=tasks, specs=specs))
    fault = ev.Fault(
        kind=ev.FaultKind.UNANSWERED, reason="image web:0 cannot be pulled: nothing came for 60 s"
    )
    world.post(ev.PullFailed(image="web:0", fault=fault))
    assert world.state("t-web:0") is TaskState.PREPARING
    message = "image web:0 cannot be pulled: nothing came for 60 s; it is tried again"
    assert world.told["t-web:0"].message == message
    world.wait(60_000)
    world.post(ev.ImagePulled(image="web:1"))
    world.post(ev.ImagePulled(image="web:2"))
    assert [command.image for command in world.done(do.PullImage)] == [*images, "web:0"]
