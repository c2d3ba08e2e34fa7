"""When a deploy is done, when it has failed, and what is said of it on the way."""

from __future__ import annotations

import pytest

from bayplan.cli.rollout import Goal, failure, fingerprint, is_reached, is_settled, summary, unplaced
from bayplan.client import StackNow
from bayplan.lifecycle import TaskState
from bayplan.model import Desired, RestartCondition, ServiceMode
from bayplan.views import TaskView
from tests.doors.cli.canned_controller import service, task

ANY, ON_FAILURE, NONE = RestartCondition.ANY, RestartCondition.ON_FAILURE, RestartCondition.NONE
FAILED, COMPLETE, RUNNING = TaskState.FAILED, TaskState.COMPLETE, TaskState.RUNNING


def goal(restart: RestartCondition = ANY, **fields: frozenset[str]) -> Goal:
    return Goal("shop", {"shop_web": restart}, **fields)


def ended(number: int, state: TaskState = FAILED, slot: int = 1, version: int = 1) -> list[TaskView]:
    return [
        task(
            f"shop_web.{slot}", state, id=f"{slot}-{attempt}", created_ms=attempt, version=version,
            desired=Desired.STOP, exit_code=1,
        )
        for attempt in range(number)
    ]  # fmt: skip


def test_it_is_reached_when_all_wanted_tasks_are_current() -> None:
    view = StackNow((service("shop_web", 2),), (task("shop_web.1"), task("shop_web.2")))
    assert is_reached(goal(), view)
    assert not is_reached(goal(), StackNow((service("shop_web", 2, ready=1),), view.tasks))


def test_a_service_that_is_not_there_yet_is_not_reached() -> None:
    assert not is_reached(goal(), StackNow())


@pytest.mark.parametrize("old", [{"version": 1}, {"version": 2, "desired": Desired.STOP}])
def test_it_is_not_reached_while_a_task_that_goes_is_alive(old: dict[str, object]) -> None:
    new = task("shop_web.1", id="new", version=2)
    services = (service("shop_web", 1, version=2),)
    assert is_reached(goal(), StackNow(services, (new,)))
    assert not is_reached(goal(), StackNow(services, (new, task("shop_web.1", id="old", **old))))


def test_a_task_that_did_its_work_counts_as_ready() -> None:
    tasks = tuple(ended(1, COMPLETE))
    assert is_reached(goal(NONE), StackNow((service("shop_web", 1, ready=0, completed=1),), tasks))
    assert not is_reached(goal(ANY), StackNow((service("shop_web", 1, ready=0),), tasks))


def test_what_goes_must_be_gone_with_its_tasks() -> None:
    leaving = Goal("shop", {}, gone=frozenset({"shop_web"}))
    assert not is_reached(leaving, StackNow((service("shop_web"),), ()))
    assert not is_reached(leaving, StackNow((), (task("shop_web.1", TaskState.STOPPING),)))
    assert is_reached(leaving, StackNow((service("shop_api"),), tuple(ended(1))))


def test_three_ended_tasks_in_one_slot_are_a_failure_and_two_are_not() -> None:
    services = (service("shop_web", 1, ready=0),)
    assert failure(goal(), StackNow(services, tuple(ended(2)))) is None
    problem = failure(goal(), StackNow(services, tuple(ended(3))))
    assert problem is not None
    assert problem.exit_code == 1
    assert problem.summary == "shop_web.1 keeps failing: 3 attempts"


def test_failures_of_several_slots_do_not_add_up() -> None:
    tasks = (*ended(2, slot=1), *ended(2, slot=2), *ended(2, slot=3))
    assert failure(goal(), StackNow((service("shop_web", 3, ready=0),), tasks)) is None


def test_a_slot_that_recovered_has_not_failed() -> None:
    tasks = (*ended(3), task("shop_web.1", created_ms=9))
    assert failure(goal(), StackNow((service("shop_web", 1),), tasks)) is None


def test_failures_of_an_old_version_and_of_before_do_not_count() -> None:
    services = (service("shop_web", 1, ready=0, version=2),)
    assert failure(goal(), StackNow(services, tuple(ended(5, version=1)))) is None
    tasks = tuple(ended(5, version=2))
    known = frozenset(each.id for each in tasks)
    assert failure(goal(known=known), StackNow(services, tasks)) is None
    assert failure(goal(), StackNow(services, tasks)) is not None


def test_a_task_that_is_never_restarted_fails_the_deploy_at_once() -> None:
    services = (service("shop_web", 1, ready=0),)
    problem = failure(goal(NONE), StackNow(services, tuple(ended(1))))
    assert problem is not None
    assert problem.summary == "shop_web.1 failed and is not started again"
    assert failure(goal(ON_FAILURE), StackNow(services, tuple(ended(1)))) is None


def test_a_command_that_ends_by_itself_is_told_so() -> None:
    tasks = tuple(task(f"shop_web.{1}", COMPLETE, id=str(n), exit_code=0, created_ms=n) for n in range(3))
    problem = failure(goal(), StackNow((service("shop_web", 1, ready=0),), tasks))
    assert problem is not None
    assert "exit code 0: the command ended by itself; a service's command has to go on" in problem.details


def test_waiting_tasks_are_a_problem_with_exit_code_5() -> None:
    waiting = [
        task(
            f"shop_web.{slot}", TaskState.PENDING, node="", pending_reasons=("needs 8 CPU",), place="c.yml:3"
        )
        for slot in (1, 2)
    ]
    problem = unplaced(goal(), StackNow((service("shop_web", 2, ready=0),), tuple(waiting)))
    assert problem is not None
    assert problem.exit_code == 5
    assert problem.lines()[:2] == [
        "error: c.yml:3: shop_web.1 cannot be placed (and 1 more task)",
        "  needs 8 CPU",
    ]


def test_a_summary_tells_what_the_others_do() -> None:
    tasks = (
        task("shop_web.1"), task("shop_web.2", TaskState.STARTING), task("shop_web.3", TaskState.STARTING),
        task("shop_web.3", TaskState.STOPPING, id="old", desired=Desired.STOP),
    )  # fmt: skip
    view = StackNow((service("shop_web", 3, ready=1),), tasks)
    assert summary(view.services[0], view) == "1/3 ready · 2 starting · 1 stopping"


JOB = ServiceMode.REPLICATED_JOB


def test_a_job_is_reached_when_its_tasks_are_complete_and_not_while_they_run() -> None:
    running = service("shop_web", 2, mode=JOB, completed=1)
    assert not is_reached(goal(ON_FAILURE), StackNow((running,), (task("shop_web.1"),)))
    done = service("shop_web", 2, ready=0, mode=JOB, completed=2)
    assert is_reached(goal(ON_FAILURE), StackNow((done,), tuple(ended(2, COMPLETE))))


def test_ended_tasks_of_a_service_that_counts_them_as_completed_have_not_failed() -> None:
    tasks = tuple(ended(3, COMPLETE))
    assert failure(goal(ANY), StackNow((service("shop_web", 2, ready=0, completed=1),), tasks)) is None
    assert failure(goal(ANY), StackNow((service("shop_web", 2, ready=0),), tasks)) is not None


def test_a_global_service_is_reached_by_as_many_as_the_view_wants() -> None:
    view = StackNow((service("shop_web", 3, mode=ServiceMode.GLOBAL),), ())
    assert is_reached(goal(), view)


def test_a_service_that_waits_is_not_reached_even_if_it_wants_no_tasks() -> None:
    held = service("shop_web", 0, waits_for="shop_db to be healthy")
    assert not is_reached(goal(), StackNow((held,), ()))
    assert summary(held, StackNow((held,), ())) == "0/0 ready · waits for shop_db to be healthy"


@pytest.mark.parametrize(
    "words", ["paused: 1 of 2 failed", "rolled back to version 1: 1 of 2 failed", "rollback paused: no"]
)
def test_a_rollout_that_was_given_up_ends_the_command_with_its_reason(words: str) -> None:
    failed = task("shop_web.1", FAILED, message="boom", exit_code=3, version=2)
    view = StackNow((service("shop_web", 2, version=3, rollout=words),), (failed, task("shop_web.2")))
    problem = failure(goal(), view)
    assert problem is not None
    assert problem.exit_code == 1
    assert problem.summary == f"the update of shop_web was {words}"
    assert problem.details == ("shop_web.1 on n1: boom · exit code 3",)


def test_a_rollout_that_was_rolled_back_before_is_not_this_commands_failure() -> None:
    view = StackNow((service("shop_web", 2, rollout="rolled back to version 1: boom"),), ())
    assert failure(goal(), view) is not None
    accepted = goal(accepted=frozenset({"shop_web"}))
    assert failure(accepted, view) is None
    assert is_settled(accepted, view)


def test_a_rollout_that_is_still_watched_is_waited_for() -> None:
    view = StackNow((service("shop_web", 2, rollout="rolling 2/2"),), ())
    assert is_reached(goal(), view)
    assert not is_settled(goal(), view)
    assert summary(view.services[0], view) == "2/2 ready · watched for a while"
    assert is_settled(goal(), StackNow((service("shop_web", 2),), ()))


def test_a_rollout_that_goes_on_is_told_and_ends_nothing() -> None:
    words = "rolling back to version 1 2/2: 1 of 2 failed: boom"
    view = StackNow((service("shop_web", 2, rollout=words),), ())
    assert failure(goal(), view) is None
    assert summary(view.services[0], view) == "2/2 ready · rolling back to version 1 2/2"


def test_a_job_tells_how_many_are_complete_and_what_the_others_do() -> None:
    view = StackNow((service("shop_web", 3, mode=JOB, completed=1),), (task("shop_web.2"),))
    assert summary(view.services[0], view) == "1/3 completed · 1 running"


@pytest.mark.parametrize("moved", [{"completed": 1}, {"waits_for": "shop_db"}, {"rollout": "rolling back"}])
def test_what_a_service_waits_for_and_completes_is_progress(moved: dict[str, object]) -> None:
    before, after = StackNow((service("shop_web"),), ()), StackNow((service("shop_web", **moved),), ())  # type: ignore[arg-type]
    assert fingerprint(before) != fingerprint(after)


def test_while_it_rolls_the_updated_slots_are_counted_for_the_others_are_ready_too() -> None:
    tasks = (task("shop_web.1", version=2), task("shop_web.2", id="old"))
    rolling = service("shop_web", 2, current=1, version=2, rollout="rolling 1/2")
    assert summary(rolling, StackNow((rolling,), tasks)) == "1/2 updated · 1 of the old version"


def test_canaries_that_wait_are_reached_but_not_converged() -> None:
    waiting = service("shop_web", 2, current=1, version=2, rollout="awaiting promotion: 1 canary is ready")
    tasks = (task("shop_web.1", version=2), task("shop_web.1", id="old"), task("shop_web.2"))
    assert is_settled(goal(), StackNow((waiting,), tasks))


def test_a_service_that_was_to_go_back_has_not_failed_when_it_did() -> None:
    back = StackNow((service("shop_web", 1, rollout="rolled back to version 1: by a user"),), ())
    assert failure(goal(), back) is not None
    assert failure(goal(undone=frozenset({"shop_web"})), back) is None


def test_a_first_version_that_fails_is_not_told_to_go_back() -> None:
    words = "paused: 1 of 1 failed: exit code 4; there is no version to go back to"
    problem = failure(goal(), StackNow((service("shop_web", 1, ready=0, rollout=words),), ()))
    assert problem is not None
    assert problem.summary.startswith("the start of shop_web was paused")
    assert problem.hint == "correct it and deploy again"
