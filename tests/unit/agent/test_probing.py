"""Probes in the agent's core: who is probed, and what becomes of what probes find."""

from __future__ import annotations

from msgspec.structs import replace

from agent import commands as do
from agent import events as ev
from bayplan.lifecycle import TaskState
from bayplan.model import ContainerSpec, Desired, Health, Hook, Probe, ProbeKind, TaskStatus
from tests.unit.agent.world import World, assignment, container, ready, remembered

PROBE = Probe(kind=ProbeKind.TCP, port=80, rise=2, fall=3, start_period_ms=1_000)
PROBED = ContainerSpec(image="web:1", probe=PROBE)
#: The world's wall clock, when its monotonic one shows 0.
EPOCH_MS = 1_700_000_000_000


def probed(spec: ContainerSpec = PROBED) -> World:
    """A task that runs, whose run began when its clock says so, and of which no probe has spoken."""
    world = ready(auto=False)
    world.run("t1", spec=spec)
    for kind in (do.CreateContainer, do.StartContainer):
        world.obey(world.done(kind)[-1])
    return world


def told(world: World) -> TaskStatus:
    world.wait(100)
    return world.told["t1"]


def test_a_task_is_starting_until_its_first_probe_passes() -> None:
    world = probed()
    assert (told(world).state, told(world).health) == (TaskState.STARTING, Health.STARTING)
    world.probe("t1", "")
    assert (told(world).state, told(world).health) == (TaskState.RUNNING, Health.HEALTHY)


def test_failures_in_a_row_make_it_unready_and_nothing_is_stopped_for_it() -> None:
    world = probed()
    world.probe("t1", "", "no", "no", "", "no", "no")
    assert told(world).health is Health.HEALTHY
    world.probe("t1", "gone away")
    assert (told(world).health, told(world).probe_output) == (Health.UNHEALTHY, "gone away")
    world.wait(60_000)
    assert told(world).state is TaskState.RUNNING and not world.done(do.StopContainer)


def test_successes_in_a_row_make_it_ready_again() -> None:
    world = probed()
    world.probe("t1", "", "no", "no", "no", "", "no", "")
    assert told(world).health is Health.UNHEALTHY
    world.probe("t1", "")
    assert (told(world).health, told(world).probe_output) == (Health.HEALTHY, "")


def test_failures_in_the_start_period_do_not_count() -> None:
    world = probed()
    begun = EPOCH_MS + world.mono_ms - 500
    world.engine["t1"] = replace(world.engine["t1"], changed_ms=begun)
    world.post(ev.ContainerObserved(container=world.engine["t1"]))
    world.probe("t1", *["no"] * 9)
    assert told(world).health is Health.STARTING
    world.wait(1_000)
    world.probe("t1", *["no"] * 3)
    assert told(world).health is Health.UNHEALTHY


def test_each_run_is_probed_once_and_no_longer_than_it_lasts() -> None:
    world = probed()
    (start,) = world.done(do.StartProbe)
    assert (start.run, start.probe) == (world.engine["t1"].run, PROBE)
    world.probe("t1", "", "no", "")
    assert len(world.done(do.StartProbe)) == 1
    world.assign(assignment("t1", Desired.STOP), spec=PROBED)
    assert not world.done(do.StopProbe)  # it serves until it has ended
    world.die("t1", 0)
    assert len(world.done(do.StopProbe)) == 1


def test_another_run_has_to_pass_anew() -> None:
    world = probed()
    world.probe("t1", "")
    old = world.engine["t1"].run
    world.engine["t1"] = replace(world.engine["t1"], changed_ms=world.engine["t1"].changed_ms + 5_000)
    world.post(ev.ContainerObserved(container=world.engine["t1"]))
    assert [each.run for each in world.done(do.StartProbe)] == [old, world.engine["t1"].run]
    assert told(world).health is Health.STARTING
    world.post(ev.Probed(task_id="t1", run=old))
    assert told(world).health is Health.STARTING
    world.probe("t1", "")
    assert told(world).health is Health.HEALTHY


def test_the_worst_of_docker_s_check_and_the_probe_counts() -> None:
    world = probed()
    world.probe("t1", "")
    world.health("t1", Health.STARTING)
    world.health("t1", Health.HEALTHY)
    assert told(world).health is Health.HEALTHY
    world.probe("t1", "no", "no", "no")
    assert told(world).health is Health.UNHEALTHY


def test_hooks_come_before_the_probe() -> None:
    world = probed(ContainerSpec(image="web:1", probe=PROBE, post_start=(Hook(command=("migrate",)),)))
    assert not world.done(do.StartProbe)
    world.obey(world.done(do.RunHooks)[-1])
    assert len(world.done(do.StartProbe)) == 1


def found_again(*, ran_ms: int) -> World:
    """A new run of the agent, and the container that it finds."""
    kept = remembered(assignment("t1"))
    kept = replace(kept, assignments=replace(kept.assignments, specs={"s1": PROBED}))
    world = World(remembered=kept)
    world.list_engine(container("t1", changed_ms=EPOCH_MS + world.mono_ms - ran_ms))
    world.connect()
    return world


def test_what_has_run_for_long_stays_in_use_when_the_agent_restarts() -> None:
    world = found_again(ran_ms=60_000)
    assert world.told["t1"].health is Health.HEALTHY
    assert len(world.done(do.StartProbe)) == 1
    world.probe("t1", "no", "no")
    assert told(world).health is Health.HEALTHY
    world.probe("t1", "no")
    assert told(world).health is Health.UNHEALTHY


def test_what_has_just_begun_has_to_pass_when_the_agent_restarts() -> None:
    world = found_again(ran_ms=5_000)
    assert world.told["t1"].health is Health.STARTING
    world.probe("t1", "")
    assert told(world).health is Health.HEALTHY
