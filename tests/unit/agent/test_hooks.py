"""Hooks in the agent's core: when they run, what their failure means, what a restart of the agent means."""

from __future__ import annotations

import msgspec

from agent import commands as do
from agent import events as ev
from bayplan.lifecycle import TaskState
from bayplan.model import ContainerSpec, Desired, Health, Hook
from tests.unit.agent.world import CHECKED, World, assignment, container, ready, remembered

MIGRATE = Hook(command=("migrate",))
GOODBYE = Hook(command=("goodbye",))
HOOKED = ContainerSpec(image="web:1", post_start=(MIGRATE,), pre_stop=(GOODBYE,))


def starting(spec: ContainerSpec = HOOKED) -> World:
    """A task whose hooks run and do not end by themselves."""
    world = ready(auto=False)
    world.run("t1", spec=spec)
    for kind in (do.CreateContainer, do.StartContainer):
        world.obey(world.done(kind)[-1])
    return world


def fail_hooks(world: World, kind: ev.FaultKind, reason: str = "post_start hook `migrate` failed") -> None:
    world.post(ev.HooksFailed(task_id="t1", fault=ev.Fault(kind=kind, reason=reason)))


def restarted(world: World) -> World:
    """The next run of the agent, on what the journal holds."""
    kept = remembered(assignment("t1"))
    hooked = [change.hooked for change in world.changes if isinstance(change, ev.KeepHooked)]
    assignments = msgspec.structs.replace(kept.assignments, specs={"s1": HOOKED})
    kept = msgspec.structs.replace(kept, assignments=assignments, hooked=hooked[-1] if hooked else {})
    later = World(remembered=kept)
    later.list_engine(*world.engine.values())
    return later


# --- post_start -----------------------------------------------------------------------------------------


def test_a_task_is_starting_until_its_hooks_are_done() -> None:
    world = starting()
    assert world.state("t1") is TaskState.STARTING
    assert world.told["t1"].message == "its post_start hooks run"
    (run,) = world.done(do.RunHooks)
    assert run.hooks == (MIGRATE,)
    world.obey(run)
    assert world.state("t1") is TaskState.RUNNING
    assert (world.told["t1"].message, world.told["t1"].health) == ("", Health.NONE)
    assert len(world.done(do.RunHooks)) == 1


def test_a_healthy_container_whose_hooks_run_is_not_ready_yet() -> None:
    world = starting(msgspec.structs.replace(CHECKED, post_start=(MIGRATE,)))
    world.health("t1", Health.HEALTHY)
    assert world.state("t1") is TaskState.STARTING
    assert world.told["t1"].health is Health.STARTING
    world.obey(world.done(do.RunHooks)[0])
    assert world.state("t1") is TaskState.RUNNING
    assert world.told["t1"].health is Health.HEALTHY


def test_a_hook_that_fails_fails_its_task_once_the_container_is_stopped() -> None:
    world = starting()
    fail_hooks(world, ev.FaultKind.REFUSED, "post_start hook `migrate` failed with exit code 3: no table")
    assert world.state("t1") is TaskState.STOPPING
    world.obey(world.done(do.StopContainer)[0])
    assert world.state("t1") is TaskState.FAILED
    assert world.told["t1"].message == "post_start hook `migrate` failed with exit code 3: no table"


def test_a_hook_that_took_too_long_under_an_engine_that_hangs_fails_nobody() -> None:
    world = starting()
    world.post(ev.EngineLost(reason="no answer"))
    fail_hooks(world, ev.FaultKind.REFUSED, "post_start hook `migrate` did not end within 300 s")
    assert world.state("t1") is TaskState.STARTING
    world.list_engine()
    world.wait(1_000)
    assert len(world.done(do.RunHooks)) == 2


def test_hooks_that_the_engine_did_not_answer_for_run_again() -> None:
    world = starting()
    fail_hooks(world, ev.FaultKind.UNANSWERED)
    assert world.state("t1") is TaskState.STARTING
    world.wait(1_000)
    assert len(world.done(do.RunHooks)) == 2
    assert world.done(do.StopContainer) == []


def test_a_process_that_ends_while_its_hooks_run_has_ended_by_itself() -> None:
    world = starting()
    world.die("t1", 0)
    fail_hooks(world, ev.FaultKind.REFUSED, "container is not running")
    assert world.state("t1") is TaskState.COMPLETE
    assert world.told["t1"].message == ""


def test_a_stop_does_not_wait_for_hooks_and_their_late_end_means_nothing() -> None:
    world = starting()
    world.run(spec=HOOKED)
    (stop,) = world.done(do.StopContainer)
    fail_hooks(world, ev.FaultKind.REFUSED)
    world.obey(stop)
    world.obey(world.done(do.RemoveContainer)[0])
    world.obey(world.done(do.RunHooks)[0])
    world.wait(100)
    assert world.gone == {"t1"}
    assert len(world.done(do.StopContainer)) == 1


def test_nothing_is_started_in_place_before_the_hooks_of_the_last_run_have_ended() -> None:
    world = starting()
    world.cut()
    world.die("t1", 1)
    world.wait(60_000)
    assert len(world.done(do.StartContainer)) == 1
    fail_hooks(world, ev.FaultKind.REFUSED)
    world.wait(60_000)
    assert len(world.done(do.StartContainer)) == 2


def test_a_start_in_place_runs_the_hooks_again() -> None:
    world = ready()
    world.run("t1", spec=HOOKED)
    world.cut()
    world.wait(100)
    world.die("t1", 1)
    world.wait(60_000)
    assert world.alive() == {"t1"}
    assert len(world.done(do.RunHooks)) == 2


# --- a restart of the agent -----------------------------------------------------------------------------


def test_a_restarted_agent_does_not_run_hooks_that_are_done() -> None:
    world = ready()
    world.run("t1", spec=HOOKED)
    later = restarted(world)
    assert later.done(do.RunHooks) == []
    later.connect()
    assert later.told["t1"].state is TaskState.RUNNING


def test_a_restarted_agent_runs_hooks_of_which_it_does_not_know_that_they_are_done() -> None:
    later = restarted(starting())
    assert len(later.done(do.RunHooks)) == 1
    later.connect()
    assert later.state("t1") is TaskState.RUNNING


def test_that_hooks_are_done_is_kept_before_it_is_told() -> None:
    world = starting()
    before = len(world.changes)
    world.obey(world.done(do.RunHooks)[0])
    assert world.changes[before:] == [ev.KeepHooked(hooked={"t1": 1_000})]


# --- pre_stop -------------------------------------------------------------------------------------------


def test_a_stop_of_ours_runs_the_pre_stop_hooks() -> None:
    world = ready()
    world.run("t1", spec=HOOKED)
    world.run(spec=HOOKED)
    assert [command.pre_stop for command in world.done(do.StopContainer)] == [(GOODBYE,)]


def test_a_process_that_ends_by_itself_has_no_pre_stop() -> None:
    world = ready()
    world.run("t1", spec=HOOKED)
    world.die("t1", 1)
    assert world.state("t1") is TaskState.FAILED
    assert world.done(do.StopContainer) == []


def test_what_a_pre_stop_hook_had_to_say_stays_with_the_task() -> None:
    world = ready(auto=False)
    world.run("t1", spec=HOOKED)
    for kind in (do.CreateContainer, do.StartContainer, do.RunHooks):
        world.obey(world.done(kind)[-1])
    world.assign(assignment("t1", Desired.STOP), spec=HOOKED)
    world.engine["t1"] = container("t1", ev.Phase.EXITED, exit_code=0)
    world.post(ev.ContainerStopped(container=world.engine["t1"], note="pre_stop hook `goodbye` failed"))
    assert world.state("t1") is TaskState.SHUTDOWN
    assert world.told["t1"].message == "pre_stop hook `goodbye` failed"
