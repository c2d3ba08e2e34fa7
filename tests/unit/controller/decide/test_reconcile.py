"""One service's slots: never two running where one is meant, and rest once all is done."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from bayplan.lifecycle import ALIVE, ENDED, TaskState
from bayplan.model import Desired, Schedule, ServiceMode, ServiceSpec, UpdateOrder, UpdatePolicy
from controller.decide.reconcile import Decision, New, Row, reconcile
from controller.decide.slots import NO_SLOTS, Slots
from controller.records import Service, Task
from tests.unit.controller.world import service

STOPS_FIRST = service(update=UpdatePolicy(order=UpdateOrder.STOP_FIRST))
STARTS_FIRST = service(update=UpdatePolicy(order=UpdateOrder.START_FIRST))
FENCED = service(fence=True)
JOB = service(mode=ServiceMode.REPLICATED_JOB)
CRON = service(mode=ServiceMode.REPLICATED_JOB, schedule=Schedule(cron="* * * * *"))

#: What can be seen of a task that was never told to run.
NOT_RUN = (TaskState.PENDING, TaskState.ASSIGNED, TaskState.PREPARING, TaskState.REJECTED, TaskState.LOST)


def row(number: int, slot: int, state: TaskState, **fields: Any) -> Row:
    """Task t<number> in a slot; PENDING has no node."""
    node_down = fields.pop("node_down", False)
    seen = {name: fields.pop(name) for name in ("prepared", "displaced", "leave_ms") if name in fields}
    node_id = "" if state is TaskState.PENDING else "n"
    fields.setdefault("version", 1)
    task = Task(id=f"t{number:02}", service_id="s", slot=slot, node_id=node_id, **fields)
    return Row(task, state, node_down and bool(node_id), **seen)


def decided(
    rows: list[Row],
    replicas: int = 1,
    version: int = 1,
    removed: bool = False,
    spec: ServiceSpec = STOPS_FIRST,
    held: bool = False,
    fits: bool = True,
    now_ms: int = 0,
    **fields: Any,
) -> Decision:
    wanted = Service(
        id="s", name="shop_web", stack="shop", version=version, replicas=replicas, removed=removed, **fields
    )
    slots = NO_SLOTS if removed else Slots(dict.fromkeys(range(1, replicas + 1), ""))
    return reconcile(wanted, spec, slots, rows, {}, now_ms, held=held, fits=lambda elder: fits)


def carried_out(rows: list[Row], decision: Decision, version: int = 1) -> list[Row]:
    """The world once all tasks have a node, and agents have done as told."""
    gone = {*decision.drop, *decision.remove}
    after = [
        _obeyed(each, decision)
        for each in rows
        if each.task.id not in gone and (not each.task.removing or each.node_down)
    ]
    newest = max((int(each.task.id[1:]) for each in rows), default=0)
    fills = [New(slot, version) for slot in decision.fill]
    for number, new in enumerate([*decision.create, *fills], newest + 1):
        node_id = new.node_id or "m"
        task = Task(id=f"t{number:02}", service_id="s", **{**new._asdict(), "node_id": node_id})
        after.append(_seen(Row(task, TaskState.ASSIGNED)))
    return sorted(after, key=lambda each: (each.task.slot, each.task.id))


def _obeyed(each: Row, decision: Decision) -> Row:
    if each.task.id in decision.stop:
        each = each._replace(task=replace(each.task, desired=Desired.STOP))
    elif each.task.id in decision.run:
        each = each._replace(task=replace(each.task, desired=Desired.RUN))
    if each.task.wanted and not each.task.node_id:
        each = each._replace(task=replace(each.task, node_id="m"))
    return each if each.ended or each.node_down or not each.task.node_id else _seen(each)


def _seen(each: Row) -> Row:
    """What the agent does about a task that has not ended."""
    match each.task.desired:
        case Desired.STOP:
            return each._replace(state=TaskState.SHUTDOWN)
        case Desired.READY:
            return each._replace(state=TaskState.PREPARING, prepared=True)
        case Desired.RUN:
            return each._replace(state=TaskState.RUNNING, prepared=True)


def test_missing_slots_are_filled_and_surplus_ones_emptied() -> None:
    rows = [row(1, 2, TaskState.RUNNING), row(2, 3, TaskState.RUNNING)]
    assert decided(rows, replicas=2) == Decision(fill=(1,), remove=("t02",))


def test_a_stopping_task_keeps_its_slot_until_it_has_left_the_node() -> None:
    assert decided([row(1, 1, TaskState.STOPPING, desired=Desired.STOP)]) == Decision()
    assert decided([row(1, 1, TaskState.SHUTDOWN, desired=Desired.STOP)]).create == (New(1, 1),)


def test_an_heir_without_a_node_goes_when_the_elder_is_back() -> None:
    heir = row(2, 1, TaskState.PENDING)
    assert decided([row(1, 1, TaskState.RUNNING, node_down=True), heir]) == Decision()
    assert decided([row(1, 1, TaskState.RUNNING), heir]) == Decision(drop=("t02",))


def test_a_stop_first_heir_is_made_ready_in_the_place_of_its_elder() -> None:
    rows = [row(1, 1, TaskState.RUNNING)]
    heir = New(1, 2, node_id="n", desired=Desired.READY)
    assert decided(rows, version=2) == Decision(create=(heir,))
    assert decided(rows, version=2, fits=False) == Decision(stop=("t01",))


def test_an_elder_goes_only_once_its_heir_is_prepared() -> None:
    def beside(state: TaskState, **fields: Any) -> Decision:
        heir = row(2, 1, state, version=2, desired=Desired.READY, **fields)
        return decided([row(1, 1, TaskState.RUNNING), heir], version=2)

    assert beside(TaskState.ASSIGNED) == beside(TaskState.PREPARING) == Decision()
    assert beside(TaskState.PREPARING, prepared=True) == Decision(stop=("t01",))
    assert beside(TaskState.REJECTED) == Decision(stop=("t02",))


def test_a_prepared_heir_runs_once_its_elder_is_gone() -> None:
    heir = row(2, 1, TaskState.PREPARING, version=2, desired=Desired.READY, prepared=True)
    stopping = row(1, 1, TaskState.RUNNING, desired=Desired.STOP)
    assert decided([stopping, heir], version=2) == Decision()
    gone = row(1, 1, TaskState.SHUTDOWN, desired=Desired.STOP)
    assert decided([gone, heir], version=2) == Decision(run=("t02",))


def test_a_prepared_heir_goes_when_it_is_superseded_or_gone_back_from() -> None:
    heir = row(2, 1, TaskState.PREPARING, version=2, desired=Desired.READY, prepared=True)
    rows = [row(1, 1, TaskState.RUNNING), heir]
    assert decided(rows, version=3) == Decision(remove=("t02",))
    assert decided(rows, version=1) == Decision(remove=("t02",))


def test_a_displaced_task_stays_until_its_heir_is_ready() -> None:
    elder = row(1, 1, TaskState.RUNNING, displaced=True)
    assert decided([elder]) == Decision(create=(New(1, 1),))
    assert decided([elder, row(2, 1, TaskState.PENDING)]) == Decision()
    assert decided([elder, row(2, 1, TaskState.STARTING)]) == Decision()
    assert decided([elder, row(2, 1, TaskState.RUNNING)]) == Decision(stop=("t01",))


def test_a_displaced_task_of_a_fenced_service_stays_until_its_heir_is_prepared_elsewhere() -> None:
    elder = row(1, 1, TaskState.RUNNING, displaced=True)
    assert decided([elder], spec=FENCED) == Decision(create=(New(1, 1, desired=Desired.READY),))
    waiting = row(2, 1, TaskState.PENDING, desired=Desired.READY)
    assert decided([elder, waiting], spec=FENCED) == Decision()
    prepared = row(2, 1, TaskState.PREPARING, desired=Desired.READY, prepared=True)
    assert decided([elder, prepared], spec=FENCED) == Decision(stop=("t01",))


def test_a_displaced_task_goes_at_the_deadline_whatever_became_of_its_heir() -> None:
    elder = row(1, 1, TaskState.RUNNING, displaced=True, leave_ms=5_000)
    rows = [elder, row(2, 1, TaskState.PENDING)]
    assert decided(rows, now_ms=4_999) == Decision(wake_ms=5_000)
    assert decided(rows, now_ms=5_000) == Decision(stop=("t01",))
    assert decided([elder], now_ms=5_000).stop == ("t01",)


def test_who_need_not_move_any_more_stays_and_its_heir_goes() -> None:
    elder = row(1, 1, TaskState.RUNNING)
    for state in (TaskState.ASSIGNED, TaskState.STARTING):
        assert decided([elder, row(2, 1, state)]) == Decision(stop=("t02",))
    assert decided([elder, row(2, 1, TaskState.RUNNING)]) == Decision(stop=("t01",))


def test_a_displaced_task_of_a_job_finishes_or_goes_at_the_deadline() -> None:
    working = row(1, 1, TaskState.RUNNING, displaced=True, leave_ms=5_000)
    assert decided([working], spec=JOB) == Decision(wake_ms=5_000)
    assert decided([working], spec=JOB, now_ms=5_000) == Decision(stop=("t01",))


def test_a_scheduled_job_has_no_task_before_its_first_run() -> None:
    assert decided([], spec=CRON) == Decision()
    assert decided([], spec=CRON, run=1) == Decision(create=(New(1, 1, run=1),))


def test_what_an_earlier_run_of_a_schedule_left_is_no_work_of_this_one() -> None:
    done = row(1, 1, TaskState.COMPLETE, completed=True, run=1)
    assert decided([done], spec=CRON, run=1) == Decision()
    assert decided([done], spec=CRON, run=2) == Decision(create=(New(1, 1, run=2),), stop=("t01",))


def test_a_new_version_of_a_scheduled_job_waits_for_its_next_run() -> None:
    done = row(1, 1, TaskState.COMPLETE, completed=True, run=1)
    assert decided([done], spec=CRON, run=1, version=2) == Decision()


@st.composite
def worlds(draw: st.DrawFn) -> list[Row]:
    rows = []
    for number in range(draw(st.integers(0, 8))):
        desired = draw(st.sampled_from(list(Desired)))
        state = draw(st.sampled_from(NOT_RUN if desired is Desired.READY else list(TaskState)))
        rows.append(
            row(
                number,
                draw(st.integers(1, 4)),
                state,
                desired=desired,
                removing=draw(st.booleans()) and draw(st.booleans()),
                node_down=draw(st.booleans()),
                displaced=state is not TaskState.PENDING and draw(st.booleans()),
            )
        )
    return sorted(rows, key=lambda each: (each.task.slot, each.task.id))


@settings(max_examples=500, deadline=None)
@given(
    worlds(),
    st.integers(0, 4),
    st.integers(1, 2),
    st.booleans(),
    st.sampled_from((STOPS_FIRST, STARTS_FIRST, FENCED)),
    st.booleans(),
)
def test_it_comes_to_rest_with_one_running_task_in_each_slot(
    rows: list[Row], replicas: int, version: int, removed: bool, spec: ServiceSpec, fits: bool
) -> None:
    for _ in range(60):
        decision = decided(rows, replicas, version, removed, spec, fits=fits)
        if spec is FENCED:
            _never_two(rows, decision)
        before, rows = rows, carried_out(rows, decision, version)
        if decision == Decision() and rows == before:
            break
    else:
        raise AssertionError("never comes to rest")
    wanted = 0 if removed else replicas
    for slot in range(1, wanted + 1):
        here = [each for each in rows if each.task.slot == slot and each.task.wanted and not each.node_down]
        assert [each.task.desired for each in here] == [Desired.RUN]
    assert not [each for each in rows if each.task.slot > wanted and each.state in ALIVE - ENDED]


def _never_two(rows: list[Row], decision: Decision) -> None:
    """None is made to run, or let run, while another one of its slot may be running."""
    begins = {new.slot for new in decision.create if new.desired is Desired.RUN}
    begins |= {each.task.slot for each in rows if each.task.id in decision.run}
    assert not begins & {
        each.task.slot for each in rows if each.occupies and each.task.id not in decision.drop
    }
