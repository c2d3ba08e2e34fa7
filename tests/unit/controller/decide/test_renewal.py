"""Which slots get a new task, and when: never more at once than may be away."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bayplan.lifecycle import TaskState
from bayplan.model import ServiceMode, UpdatePolicy
from bayplan.views import RolloutState
from controller.decide.renewal import Renewal, slots_to_renew
from controller.decide.rows import Row
from controller.records import Rollout, Service, Task
from tests.unit.controller.world import service

STARTING, RUNNING = TaskState.STARTING, TaskState.RUNNING


def row(slot: int, version: int = 1, state: TaskState = RUNNING, **fields: Any) -> Row:
    """The newest task of a slot."""
    task = Task(id=f"t{slot}", service_id="s", slot=slot, version=version, node_id="n")
    return Row(task, state, **fields)


def renewed(
    *rows: Row,
    version: int = 2,
    state: RolloutState = RolloutState.ROLLING,
    failed: tuple[int, ...] = (),
    promoted: bool = False,
    mode: ServiceMode = ServiceMode.REPLICATED,
    now_ms: int = 0,
    empty: int = 0,
    **update: Any,
) -> Renewal:
    """What is next on the way from version 1 to another (or none, if it is 1). `empty`: so many slots have no
    task that shall run."""
    rollout = Rollout(version=version, from_version=1, state=state, failed=failed, promoted=promoted)
    made = Service(
        id="s",
        name="shop_web",
        stack="shop",
        version=version,
        replicas=len(rows) + empty,
        settled=1,
        rollout=rollout if version != 1 else None,
    )
    spec = service(update=UpdatePolicy(**update), mode=mode)
    newest = {each.task.slot: each for each in rows}
    slots = newest.keys() | set(range(100, 100 + empty))
    return slots_to_renew(made, spec, newest, slots, now_ms)


def test_the_lowest_slots_come_first_and_only_as_many_as_may_be_away() -> None:
    old = [row(slot) for slot in (1, 2, 3, 4)]
    assert renewed(*old).slots == {1}
    assert renewed(*old, parallelism=2).slots == {1, 2}
    assert renewed(*old, parallelism=0).slots == {1, 2, 3, 4}
    assert renewed(*old, parallelism=0, empty=3).slots == {1, 2, 3, 4}
    assert renewed(*old, parallelism=2, empty=2).slots == set()
    assert renewed(row(1, 2, STARTING), *old[1:]).slots == set()
    assert renewed(row(1, 2, STARTING), *old[1:], parallelism=2).slots == {2}


def test_what_does_not_serve_goes_before_what_does() -> None:
    assert renewed(row(1), row(2), row(3, state=STARTING)).slots == {3}


def test_slots_that_failed_already_come_last_and_hold_nothing_up() -> None:
    assert renewed(row(1), row(2), failed=(1,)).slots == {2}
    assert renewed(row(1, 2, STARTING), row(2), failed=(1,)).slots == {2}


def test_the_next_one_waits_for_the_delay_since_the_last() -> None:
    rows = [row(1, 2, since_ms=1_000), row(2)]
    assert renewed(*rows, delay_ms=5_000, now_ms=5_999) == Renewal(wake_ms=6_000, ahead=frozenset({2}))
    assert renewed(*rows, delay_ms=5_000, now_ms=6_000).slots == {2}


def test_the_slots_that_come_next_are_prepared_as_many_as_go_at_once() -> None:
    outdated = [row(1), row(2), row(3), row(4), row(5)]
    found = renewed(*outdated, parallelism=2)
    assert (found.slots, found.ahead) == ({1, 2}, {3, 4})
    away = [row(1, 2, state=STARTING), row(2, 2, state=STARTING)]
    found = renewed(*away, *outdated[2:], parallelism=2)
    assert (found.slots, found.ahead) == (set(), {3, 4})


def test_nothing_is_outdated_while_a_rollout_halts() -> None:
    assert renewed(row(1), row(2, 2), state=RolloutState.PAUSED).slots == set()


def test_who_shall_leave_its_node_is_renewed_with_or_without_a_rollout() -> None:
    leaving = row(2, displaced=True)
    assert renewed(row(1), leaving, row(3), version=1).slots == {2}
    assert renewed(row(1), leaving, row(3), state=RolloutState.PAUSED).slots == {2}
    assert renewed(row(1, state=STARTING), leaving, row(3), version=1).slots == set()


def test_rolling_and_leaving_share_what_may_be_away() -> None:
    rows = [row(1), row(2, displaced=True), row(3, 2, displaced=True)]
    assert renewed(*rows, parallelism=2).slots == {1, 2}


def test_canaries_come_all_at_once_and_nobody_else_before_they_are_promoted() -> None:
    rows = [row(slot) for slot in (1, 2, 3)]
    assert renewed(*rows, canaries=2).slots == {1, 2}
    assert renewed(row(1, 2), row(2, 2), row(3), canaries=2).slots == set()
    assert renewed(row(1, 2), row(2, 2), row(3), canaries=2, promoted=True).slots == {3}
    assert renewed(*rows, canaries=2, state=RolloutState.PAUSED).slots == set()


def test_who_shall_leave_its_node_does_so_while_canaries_start() -> None:
    assert renewed(row(1, 2, STARTING), row(2, displaced=True), row(3), canaries=1).slots == {2}


def test_the_tasks_of_a_job_are_renewed_all_at_once_but_those_that_leave_may_finish() -> None:
    job = ServiceMode.REPLICATED_JOB
    assert renewed(row(1), row(2), row(3, 2, displaced=True), mode=job).slots == {1, 2}


@given(
    st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), min_size=1, max_size=8),
    st.integers(1, 4),
    st.integers(0, 3),
)
def test_never_more_ready_tasks_give_way_than_may_be_away(
    tasks: list[tuple[bool, bool, bool]], parallelism: int, canaries: int
) -> None:
    rows = [
        row(slot, 2 if new else 1, RUNNING if ready else STARTING, displaced=displaced)
        for slot, (new, ready, displaced) in enumerate(tasks, 1)
    ]
    found = renewed(*rows, parallelism=parallelism, canaries=canaries).slots
    beside = {each.task.slot for each in rows[:canaries]}
    serving = {each.task.slot for each in rows if each.ready} & found - beside
    away = {each.task.slot for each in rows if not each.ready} - beside
    assert not serving or len(serving) + len(away) <= parallelism
