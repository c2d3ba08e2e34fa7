"""The agent's core: what it is told and shown, and what it then does."""

from __future__ import annotations

from itertools import pairwise

import pytest

from agent import commands as do
from agent import events as ev
from agent.decide.converge import RECONNECT_GRACE_MS, RESTART_DELAY_MS_MAX
from agent.work import PULLS_IN_FLIGHT_MAX, STARTS_IN_FLIGHT_PER_CORE
from bayplan.lifecycle import TaskState
from bayplan.model import (
    Assignments,
    BoundPort,
    ContainerSpec,
    Desired,
    Health,
    Hook,
    NetworkAttachment,
    RestartCondition,
    TaskStatus,
)
from bayplan.session import Hello, LogPull, LogStop, Preflight, PreflightResult, Pulse, Report
from tests.unit.agent.world import CHECKED, PLAIN, World, assignment, container, ready, remembered

# --- converging -----------------------------------------------------------------------------------------


def test_an_assigned_task_is_created_started_and_reported_running() -> None:
    world = ready()
    world.run("t1")
    assert world.alive() == {"t1"}
    assert world.state("t1") is TaskState.RUNNING


def test_a_task_absent_from_the_set_is_stopped_and_removed() -> None:
    world = ready()
    world.run("t1", "t2")
    world.run("t2")
    world.wait(100)
    assert set(world.engine) == {"t2"}
    assert world.gone == {"t1"}
    assert [command.task_id for command in world.done(do.StopContainer)] == ["t1"]


def test_a_task_to_be_stopped_keeps_its_container() -> None:
    world = ready()
    world.run("t1")
    world.assign(assignment("t1", Desired.STOP))
    assert world.state("t1") is TaskState.SHUTDOWN
    assert set(world.engine) == {"t1"}
    assert world.alive() == set()


def test_a_task_to_be_stopped_before_it_ran_ends_without_a_container() -> None:
    world = ready()
    world.assign(assignment("t1", Desired.STOP))
    assert world.state("t1") is TaskState.SHUTDOWN
    assert world.engine == {}


def test_being_told_the_same_set_twice_changes_nothing() -> None:
    world = ready()
    world.run("t1")
    before = len(world.done(do.CreateContainer)), len(world.changes)
    world.revision -= 1
    world.run("t1")
    assert (len(world.done(do.CreateContainer)), len(world.changes)) == before


def test_an_exit_is_reported_by_its_code() -> None:
    world = ready()
    world.run("bad", "good")
    world.die("good", 0)
    world.die("bad", 139)
    assert world.state("good") is TaskState.COMPLETE
    assert world.state("bad") is TaskState.FAILED
    assert world.told["bad"].message == "killed by SIGSEGV (exit code 139)"
    assert (world.told["bad"].address, world.told["bad"].ports) == ("", ())


def test_an_ended_task_never_runs_again_even_if_someone_starts_its_container() -> None:
    world = ready()
    world.run("t1")
    world.die("t1", 1)
    world.engine["t1"] = container("t1")
    world.post(ev.ContainerObserved(container=container("t1")))
    assert world.alive() == set()
    assert world.state("t1") is TaskState.FAILED


def test_a_container_that_someone_removes_fails_its_task() -> None:
    world = ready()
    world.run("t1")
    del world.engine["t1"]
    world.post(ev.ContainerDestroyed(task_id="t1", container_id="c-t1"))
    assert world.state("t1") is TaskState.FAILED
    assert world.told["t1"].message == "its container was removed by someone else"
    assert len(world.done(do.CreateContainer)) == 1


def test_a_task_without_its_spec_is_rejected() -> None:
    world = ready()
    world.hear(Assignments(revision=1, tasks=(assignment("t1"),)))
    assert world.state("t1") is TaskState.REJECTED
    assert world.told["t1"].message == "the controller sent no container spec 's1'"


# --- health ---------------------------------------------------------------------------------------------


def test_a_task_with_a_health_check_runs_once_it_has_passed() -> None:
    world = ready()
    world.run("t1", spec=CHECKED)
    assert world.state("t1") is TaskState.STARTING
    world.health("t1", Health.HEALTHY)
    assert world.state("t1") is TaskState.RUNNING


def test_an_engine_that_restarts_and_forgets_what_is_healthy_makes_nobody_unready() -> None:
    world = ready()
    world.run("t1", spec=CHECKED)
    world.health("t1", Health.HEALTHY)
    world.post(ev.EngineLost(reason="gone"))
    world.list_engine(container("t1", health=Health.STARTING))
    world.state("t1")
    assert world.told["t1"].health is Health.HEALTHY
    world.health("t1", Health.UNHEALTHY)
    assert world.state("t1") is TaskState.FAILED


def test_a_container_that_is_started_again_in_place_is_not_healthy_yet() -> None:
    world = ready()
    world.run("t1", spec=CHECKED)
    world.health("t1", Health.HEALTHY)
    world.cut()
    world.die("t1", 1)
    world.wait(RECONNECT_GRACE_MS)
    assert world.alive() == {"t1"}
    assert world.core.state.tasks["t1"].status.health is Health.STARTING


def test_an_unhealthy_task_is_stopped_before_it_is_said_to_have_failed() -> None:
    world = ready(auto=True)
    world.run("t1", spec=CHECKED)
    world.auto = False
    world.health("t1", Health.UNHEALTHY, "connection refused\nsecond line")
    assert world.state("t1") is TaskState.STOPPING  # its port is not free yet
    world.obey(world.done(do.StopContainer)[0])
    assert world.state("t1") is TaskState.FAILED
    assert world.told["t1"].message == "unhealthy: connection refused"
    assert world.told["t1"].probe_output == "connection refused\nsecond line"


def test_without_a_controller_an_unhealthy_container_goes_on() -> None:
    world = ready()
    world.run("t1", spec=CHECKED)
    world.cut()
    world.health("t1", Health.UNHEALTHY)
    world.wait(60_000)
    assert world.alive() == {"t1"}
    world.connect()
    assert world.state("t1") is TaskState.FAILED


# --- images, refusals, retries --------------------------------------------------------------------------


def test_a_missing_image_is_pulled_once_for_all_that_wait() -> None:
    world = ready(auto=False)
    world.run("t1", "t2")
    for task_id in ("t1", "t2"):
        world.fail(task_id, ev.FaultKind.NO_IMAGE)
    assert [command.image for command in world.done(do.PullImage)] == ["web:1"]
    assert world.state("t2") is TaskState.PREPARING
    assert world.told["t2"].message == "pulling web:1"
    world.auto = True
    world.post(ev.ImagePulled(image="web:1"))
    assert world.alive() == {"t1", "t2"}
    assert world.state("t2") is TaskState.RUNNING
    assert world.told["t2"].message == ""


def test_an_image_that_cannot_be_had_rejects_all_that_wait() -> None:
    world = ready(auto=False)
    world.run("t1", "t2")
    for task_id in ("t1", "t2"):
        world.fail(task_id, ev.FaultKind.NO_IMAGE)
    fault = ev.Fault(kind=ev.FaultKind.REFUSED, reason="image web:1 cannot be pulled: denied")
    world.post(ev.PullFailed(image="web:1", fault=fault))
    assert world.state("t1") is world.state("t2") is TaskState.REJECTED
    assert world.told["t2"].message == "image web:1 cannot be pulled: denied"


def test_an_image_still_missing_after_its_pull_rejects_the_task() -> None:
    world = ready(auto=False)
    world.run("t1")
    world.fail("t1", ev.FaultKind.NO_IMAGE)
    world.post(ev.ImagePulled(image="web:1"))
    world.fail("t1", ev.FaultKind.NO_IMAGE, "No such image: web:1")
    assert world.state("t1") is TaskState.REJECTED


def test_a_slow_pull_holds_up_nobody_else() -> None:
    world = ready(auto=False, cores=1)
    images = [f"slow:{number}" for number in range(9)]
    slow = [assignment(f"a{number}", spec_id=image) for number, image in enumerate(images)]
    specs = {image: ContainerSpec(image=image) for image in images} | {"s1": PLAIN}
    world.hear(Assignments(revision=1, tasks=(*slow, assignment("z")), specs=specs))
    for found in slow:
        world.fail(found.task_id, ev.FaultKind.NO_IMAGE)
    assert len(world.done(do.PullImage)) == PULLS_IN_FLIGHT_MAX
    assert [command.task_id for command in world.done(do.CreateContainer)][-1] == "z"


def test_a_task_that_is_withdrawn_waits_for_no_image() -> None:
    world = ready(auto=False)
    world.run("t1")
    world.fail("t1", ev.FaultKind.NO_IMAGE)
    world.run()
    world.wait(100)
    assert world.gone == {"t1"}


@pytest.mark.parametrize("step", ["create", "start"])
def test_what_the_engine_refuses_is_rejected_with_its_reason(step: str) -> None:
    world = ready(auto=False)
    world.run("t1")
    if step == "start":
        world.obey(world.done(do.CreateContainer)[0])
    world.fail("t1", ev.FaultKind.REFUSED, "port is already allocated")
    assert world.state("t1") is TaskState.REJECTED
    assert world.told["t1"].message == "port is already allocated"


def test_an_unanswered_command_is_tried_again_ever_more_slowly() -> None:
    world = ready(auto=False)
    world.run("t1")
    tries = []
    for _ in range(5):
        tries.append(world.mono_ms)
        world.fail("t1", ev.FaultKind.UNANSWERED)
        issued = len(world.done(do.CreateContainer))
        while len(world.done(do.CreateContainer)) == issued:
            world.wait(50)
    waits = [later - earlier for earlier, later in pairwise(tries)]
    assert waits == sorted(waits) and waits[-1] >= 8 * waits[0]


# --- slots ----------------------------------------------------------------------------------------------


def test_no_more_starts_are_in_flight_than_the_cores_can_take() -> None:
    world = ready(auto=False, cores=2)
    world.run(*(f"t{number:02}" for number in range(20)))
    limit = 2 * STARTS_IN_FLIGHT_PER_CORE
    assert [command.task_id for command in world.done(do.CreateContainer)] == ["t00", "t01", "t02", "t03"]
    for command in list(world.done(do.CreateContainer)):
        world.obey(command)
    in_flight = len(world.done(do.CreateContainer)) + len(world.done(do.StartContainer)) - limit
    assert in_flight == limit


def test_every_task_gets_its_turn() -> None:
    world = ready(cores=1)
    names = {f"t{number:02}" for number in range(50)}
    world.run(*names)
    assert world.alive() == names
    world.run()
    assert world.engine == {}


# --- the session ----------------------------------------------------------------------------------------


def test_hello_waits_until_the_engine_has_answered() -> None:
    world = World()
    world.open_link()
    assert world.done(do.Say) == []
    world.list_engine(container("t1"))
    hello = world.done(do.Say)[0].message
    assert isinstance(hello, Hello)
    assert [(status.task_id, status.state) for status in hello.tasks] == [("t1", TaskState.RUNNING)]


def test_hello_carries_epoch_revision_and_all_tasks() -> None:
    journal = remembered(assignment("t1"), assignment("t2"), epoch=3, revision=9)
    world = World(remembered=journal, auto=False)
    world.list_engine(container("t1"))
    world.open_link()
    hello = world.done(do.Say)[0].message
    assert isinstance(hello, Hello)
    assert (hello.epoch, hello.revision, hello.boot_id) == (3, 9, "b1")
    assert [status.task_id for status in hello.tasks] == ["t1", "t2"]


def test_a_lower_epoch_is_not_obeyed() -> None:
    world = ready()
    world.cut()
    world.connect(epoch=5)
    world.run("t1")
    world.cut()
    world.connect(epoch=4)
    world.run()
    assert world.alive() == {"t1"}
    assert world.done(do.CloseLink)[0].reason.startswith("the controller's epoch 4 is older than 5")


def test_a_higher_epoch_begins_anew_and_is_remembered() -> None:
    world = ready()
    world.run("t1", "t2")
    world.cut()
    world.connect(epoch=2)
    kept = [change for change in world.changes if isinstance(change, ev.KeepAssignments)][-1]
    assert (kept.epoch, kept.assignments.revision, len(kept.assignments.tasks)) == (2, 0, 2)
    assert world.alive() == {"t1", "t2"}
    world.revision = 0
    world.run("t1")
    assert world.alive() == {"t1"}


def test_a_message_of_an_old_link_is_not_obeyed() -> None:
    world = ready()
    world.run("t1")
    world.cut()
    world.connect()
    world.hear(Assignments(revision=99), link=1)
    assert world.alive() == {"t1"}


def test_assignments_before_the_welcome_are_not_obeyed() -> None:
    world = World()
    world.list_engine()
    world.open_link()
    world.run("t1")
    assert world.engine == {}


def test_an_older_revision_is_a_late_echo() -> None:
    world = ready()
    world.revision = 5
    world.run("t1")
    world.hear(Assignments(revision=5))
    assert world.alive() == {"t1"}
    assert world.core.state.assignments.revision == 6


def test_the_set_is_kept_before_it_is_acted_on_or_acknowledged() -> None:
    world = ready(auto=False)
    world.changes.clear()
    step = world.core.step(
        ev.Heard(link=1, message=Assignments(revision=7, tasks=(assignment("t1"),), specs={"s1": PLAIN})),
        world._now(),
    )
    assert [type(change) for change in step.changes] == [ev.KeepAssignments]
    world._take(step)
    world.wait(100)
    report = next(say.message for say in world.done(do.Say) if isinstance(say.message, Report))
    assert report.revision == 7


def test_a_set_that_changes_no_task_is_acknowledged_too() -> None:
    world = ready()
    world.run("t1")
    world.wait(1_000)
    world.run("t1")
    world.wait(100)
    report = world.done(do.Say)[-1].message
    assert report == Report(revision=world.revision)


def test_what_is_durable_after_all_is_acknowledged() -> None:
    world = ready()
    world.run("t1")
    world.wait(1_000)
    told = len(world.done(do.Say))
    world.post(ev.JournalKept())
    assert [say.message for say in world.done(do.Say)[told:]] == [Report(revision=world.revision)]


def test_many_changes_at_once_are_one_report_and_the_first_goes_at_once() -> None:
    world = ready(cores=50)
    world.wait(1_000)
    before = len(world.done(do.Say))
    world.run(*(f"t{number:02}" for number in range(50)))
    assert len(world.done(do.Say)) - before == 1
    world.wait(50)
    assert len(world.done(do.Say)) - before == 2
    assert {status.state for status in world.told.values()} == {TaskState.RUNNING}


def test_reports_wait_as_long_as_the_controller_wants_but_ends_do_not() -> None:
    world = ready(cores=50)
    world.hear(Pulse(number=1, window_ms=700))
    world.wait(1_000)

    def reports() -> int:
        return sum(isinstance(say.message, Report) for say in world.done(do.Say))

    before = reports()
    world.run("t1", "t2")
    world.wait(600)
    assert reports() == before, "also what is told first waits: it would not be all"
    world.wait(100)
    assert reports() == before + 1
    assert world.told["t1"].state is TaskState.RUNNING
    world.die("t2", 3)
    world.wait(20)
    assert world.told["t2"].state is TaskState.FAILED


def test_a_controller_cannot_silence_its_agents() -> None:
    world = ready(cores=50)
    world.hear(Pulse(number=1, window_ms=2**31))
    world.wait(10_000)
    world.run("t1")
    world.wait(5_000)
    assert world.told["t1"].state is TaskState.RUNNING


def test_no_report_goes_while_one_is_in_flight() -> None:
    world = ready(auto=False)
    world.wait(1_000)
    world.link_takes = False
    world.run("t1")
    told = len(world.done(do.Say))
    world.obey(world.done(do.CreateContainer)[0])
    world.obey(world.done(do.StartContainer)[0])
    world.wait(1_000)
    assert len(world.done(do.Say)) == told
    world.post(ev.Said(link=1))
    world.wait(50)
    assert len(world.done(do.Say)) == told + 1


def test_questions_of_the_controller_are_passed_on_and_answered() -> None:
    world = ready()
    world.hear(Preflight(ticket="p"))
    world.hear(LogPull(request_id="r", task_ids=("t1",)))
    world.hear(LogStop(request_id="r"))
    assert len(world.done(do.CheckPreflight)) == len(world.done(do.PushLogs)) == 1
    assert world.done(do.StopLogs) == [do.StopLogs(request_id="r")]
    world.post(ev.PreflightChecked(link=1, result=PreflightResult(ticket="p")))
    assert world.done(do.Say)[-1].message == PreflightResult(ticket="p")


# --- without a controller -------------------------------------------------------------------------------


def test_a_container_that_ends_without_a_controller_is_started_again_after_the_grace() -> None:
    world = ready()
    world.run("t1")
    world.cut()
    world.die("t1", 1)
    world.wait(RECONNECT_GRACE_MS - 1)
    assert world.alive() == set()
    world.wait(1)
    assert world.alive() == {"t1"}
    assert world.core.state.tasks["t1"].status.restarts == 1


def test_a_controller_that_comes_back_in_time_hears_of_the_end() -> None:
    world = ready()
    world.run("t1")
    world.cut()
    world.die("t1", 1)
    world.wait(RECONNECT_GRACE_MS - 1)
    world.connect()
    world.wait(60_000)
    assert world.told["t1"].state is TaskState.FAILED
    assert world.alive() == set()


def test_nothing_is_restarted_between_hello_and_welcome() -> None:
    world = ready()
    world.run("t1")
    world.cut()
    world.die("t1", 1)
    world.open_link()
    assert world.told["t1"].state is TaskState.FAILED
    world.wait(60_000)
    assert world.alive() == set()
    world.cut()
    world.wait(60_000)
    assert world.alive() == {"t1"}


def test_restarts_in_place_back_off_up_to_five_minutes() -> None:
    world = ready()
    world.run("t1")
    world.cut()
    world.wait(RECONNECT_GRACE_MS)
    waits = []
    for _ in range(12):
        world.die("t1", 1)
        died = world.mono_ms
        while not world.alive():
            world.wait(500)
        waits.append(world.mono_ms - died)
    assert waits[0] <= 1_500
    assert waits == sorted(waits)
    assert waits[-1] == RESTART_DELAY_MS_MAX


@pytest.mark.parametrize(
    ("condition", "exit_code", "restarted"),
    [
        (RestartCondition.ANY, 0, True),
        (RestartCondition.ON_FAILURE, 1, True),
        (RestartCondition.ON_FAILURE, 0, False),
        (RestartCondition.NONE, 1, False),
    ],
)
def test_restarts_in_place_obey_the_restart_condition(
    condition: RestartCondition, exit_code: int, restarted: bool
) -> None:
    world = ready()
    world.run("t1", restart=condition)
    world.cut()
    world.die("t1", exit_code)
    world.wait(60_000)
    assert (world.alive() == {"t1"}) is restarted


def test_after_a_reboot_without_a_controller_the_tasks_come_back() -> None:
    world = World(remembered=remembered(assignment("t1"), assignment("t2", Desired.STOP)))
    exited = ev.Phase.EXITED
    world.list_engine(container("t1", exited, exit_code=255), container("t2", exited))
    world.wait(RECONNECT_GRACE_MS + 1_000)
    assert world.alive() == {"t1"}


def test_a_task_whose_end_is_remembered_does_not_come_back() -> None:
    end = TaskStatus(task_id="t1", state=TaskState.FAILED, message="unhealthy: no")
    world = World(remembered=remembered(assignment("t1"), ends=(end,)))
    world.list_engine(container("t1", ev.Phase.EXITED))
    world.wait(60_000)
    assert world.alive() == set()
    world.connect()
    assert world.told["t1"].message == "unhealthy: no"


def test_ends_are_kept_before_they_are_told() -> None:
    world = ready(auto=False)
    world.run("t1")
    world.fail("t1", ev.FaultKind.REFUSED, "no mount")
    kept = [change for change in world.changes if isinstance(change, ev.KeepEnds)]
    assert [(end.task_id, end.message) for end in kept[-1].ends] == [("t1", "no mount")]


def test_a_restart_in_place_that_is_refused_is_tried_again() -> None:
    world = ready()
    world.run("t1")
    world.cut()
    world.auto = False
    world.die("t1", 1)
    world.wait(RECONNECT_GRACE_MS)
    world.fail("t1", ev.FaultKind.REFUSED, "port is already allocated")
    world.auto = True
    world.wait(60_000)
    assert world.alive() == {"t1"}


def test_a_container_that_ends_as_it_is_restarted_counts_as_a_quick_exit() -> None:
    world = ready()
    world.run("t1")
    world.cut()
    world.auto = False
    world.die("t1", 1)
    for _ in range(6):  # no exit is ever posted on its own: the start's outcome shows it
        world.wait(600_000)
        starts = len(world.done(do.StartContainer))
        world.post(ev.ContainerStarted(container=world.engine["t1"]))
    world.wait(30_000)
    assert len(world.done(do.StartContainer)) == starts


# --- adoption and the engine's absence ------------------------------------------------------------------


def test_a_restarted_agent_adopts_what_runs() -> None:
    world = World(remembered=remembered(assignment("t1")))
    world.list_engine(container("t1"))
    world.connect()
    assert world.told["t1"].state is TaskState.RUNNING
    assert world.done(do.CreateContainer) == world.done(do.StartContainer) == []


def test_an_unknown_container_is_kept_until_a_whole_set_of_the_epoch_arrives() -> None:
    world = World()
    world.list_engine(container("zombie"))
    world.wait(60_000)
    world.connect()
    assert world.alive() == {"zombie"}
    world.run()
    world.wait(100)
    assert world.engine == {}
    assert world.gone == {"zombie"}


def test_a_container_that_appears_late_for_a_forgotten_task_is_removed() -> None:
    world = ready()
    world.run("t1")
    world.run()
    late = container("t1", ev.Phase.CREATED)
    world.engine["t1"] = late
    world.post(ev.ContainerObserved(container=late))
    assert world.engine == {}


def test_nothing_is_asked_of_an_engine_that_is_away() -> None:
    world = ready()
    world.run("t1")
    world.post(ev.EngineLost(reason="gone"))
    issued = len(world.commands)
    world.run("t1", "t2")
    world.wait(60_000)
    assert [type(command) for command in world.commands[issued:]] == [do.Say] * (len(world.commands) - issued)
    world.list_engine()
    assert world.alive() == {"t1", "t2"}


def test_it_is_known_since_when_an_engine_is_silent() -> None:
    world = ready()
    assert world.engine_silent_ms() == 0
    world.post(ev.EngineLost(reason="no answer", silent_ms=8_000))
    world.wait(1_000)
    world.post(ev.EngineLost(reason="no answer", silent_ms=9_000))
    assert world.engine_silent_ms() == 9_000
    world.list_engine()
    assert world.engine_silent_ms() == 0


def test_what_ended_while_the_engine_was_away_is_seen_by_comparing() -> None:
    world = ready()
    world.run("dead", "lives", "removed")
    world.post(ev.EngineLost(reason="gone"))
    world.engine["dead"] = container("dead", ev.Phase.EXITED, exit_code=2)
    del world.engine["removed"]
    world.list_engine()
    assert world.state("dead") is TaskState.FAILED
    assert world.state("removed") is TaskState.FAILED
    assert world.state("lives") is TaskState.RUNNING
    assert len(world.done(do.StartContainer)) == 3


def test_an_exit_of_a_container_that_the_task_no_longer_has_is_ignored() -> None:
    world = ready()
    world.run("t1")
    world.post(ev.ContainerExited(task_id="t1", container_id="older", exit_code=1))
    assert world.state("t1") is TaskState.RUNNING


def test_a_container_that_ends_while_it_is_started_is_one_end() -> None:
    world = ready(auto=False)
    world.run("t1")
    world.obey(world.done(do.CreateContainer)[0])
    world.engine["t1"] = container("t1", ev.Phase.EXITED, exit_code=4)
    world.post(ev.ContainerExited(task_id="t1", container_id="c-t1", exit_code=4))
    world.post(ev.ContainerStarted(container=world.engine["t1"]))
    assert world.state("t1") is TaskState.FAILED
    assert world.told["t1"].exit_code == 4


# --- networks -------------------------------------------------------------------------------------------


def test_a_network_goes_with_its_last_user() -> None:
    spec = ContainerSpec(image="web:1", networks=(NetworkAttachment(network="shop_default"),))
    world = ready()
    world.run("t1", "t2", spec=spec)
    world.run("t2", spec=spec)
    assert world.done(do.RemoveNetwork) == []
    world.run()
    assert [command.network for command in world.done(do.RemoveNetwork)] == ["shop_default"]
    assert world.engine == {}


def test_a_network_that_a_call_which_was_given_up_made_again_goes_too() -> None:
    """Sim seed 3553."""
    spec = ContainerSpec(image="web:1", networks=(NetworkAttachment(network="shop_default"),))
    world = ready()
    world.run("t1", spec=spec)
    world.run()
    assert len(world.done(do.RemoveNetwork)) == 1
    world.engine["t1"] = container("t1", ev.Phase.CREATED, networks=("shop_default",))
    world.post(ev.ContainerObserved(container=world.engine["t1"]))
    assert world.engine == {}
    assert len(world.done(do.RemoveNetwork)) == 2


def test_a_new_user_waits_until_the_network_is_gone() -> None:
    spec = ContainerSpec(image="web:1", networks=(NetworkAttachment(network="shop_default"),))
    world = ready()
    world.run("t1", spec=spec)
    world.auto = False
    world.run()
    world.obey(world.done(do.StopContainer)[0])
    world.obey(world.done(do.RemoveContainer)[0])
    world.run("t2", spec=spec)
    assert len(world.done(do.CreateContainer)) == 1
    world.post(ev.NetworkRemoved(network="shop_default"))
    assert [command.task_id for command in world.done(do.CreateContainer)] == ["t1", "t2"]


def test_a_network_that_someone_else_uses_is_tried_again_later() -> None:
    world = World(auto=False)
    world.list_engine(networks=("shop_default",))
    world.connect()
    world.run()
    world.post(ev.NetworkKept(network="shop_default", reason="has active endpoints"))
    world.wait(9_000)
    assert len(world.done(do.RemoveNetwork)) == 1
    world.wait(2_000)
    assert len(world.done(do.RemoveNetwork)) == 2


def test_networks_are_kept_until_a_whole_set_arrives() -> None:
    world = World()
    world.list_engine(networks=("shop_default",))
    world.connect()
    world.wait(60_000)
    assert world.done(do.RemoveNetwork) == []


def test_networks_that_every_engine_has_are_left_alone() -> None:
    spec = ContainerSpec(image="web:1", networks=(NetworkAttachment(network="host"),))
    world = ready()
    world.run("t1", spec=spec)
    world.run()
    assert world.done(do.RemoveNetwork) == []


def test_removal_follows_the_stop_without_a_wait() -> None:
    world = ready()
    world.run("t1")
    world.run()
    assert world.engine == {}


# --- stopping -------------------------------------------------------------------------------------------

PORT = BoundPort(target=80, published=8080)
FIXED = NetworkAttachment(network="shop_default", ipv4_address="10.0.0.5")


@pytest.mark.parametrize(
    ("spec", "ports", "at_once"),
    [
        (PLAIN, (), True),
        (PLAIN, (PORT,), False),
        (ContainerSpec(image="web:1", networks=(FIXED,)), (), False),
        (ContainerSpec(image="web:1", pre_stop=(Hook(command=("bye",)),)), (), False),
    ],
)
def test_an_end_is_told_before_the_stop_is_over_if_nothing_of_the_task_is_held(
    spec: ContainerSpec, ports: tuple[BoundPort, ...], at_once: bool
) -> None:
    world = ready()
    world.run("t1", spec=spec)
    world.post(ev.ContainerObserved(container=container("t1", ports=ports)))
    world.auto = False
    world.assign(assignment("t1", Desired.STOP), spec=spec)
    world.engine["t1"] = container("t1", ports=ports)
    world.die("t1", 0)
    assert world.state("t1") is (TaskState.SHUTDOWN if at_once else TaskState.STOPPING)
    world.post(ev.ContainerStopped(container=container("t1", ev.Phase.EXITED, exit_code=0)))
    assert world.state("t1") is TaskState.SHUTDOWN
    assert len(world.done(do.StopContainer)) == 1
    world.run()
    assert [command.task_id for command in world.done(do.RemoveContainer)] == ["t1"]


def test_a_task_that_ends_while_it_is_stopped_is_not_removed_before_the_stop_is_over() -> None:
    world = ready()
    world.run("t1")
    world.auto = False
    world.assign(assignment("t1", Desired.STOP))
    world.die("t1", 0)
    world.run()
    assert world.done(do.RemoveContainer) == []
    world.fail("t1", ev.FaultKind.UNANSWERED)
    world.wait(1_000)
    assert len(world.done(do.RemoveContainer)) == 1
