"""One service's slots: never two running where one is meant, and rest once all is done."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from bayplan.lifecycle import ALIVE, ENDED, TaskState
from bayplan.model import Desired, ServiceSpec, UpdateOrder, UpdatePolicy
from controller.decide.reconcile import Decision, New, Row, reconcile
from controller.decide.slots import NO_SLOTS, Slots
from controller.records import Service, Task
from tests.unit.controller.world import service

SPEC = service(update=UpdatePolicy(order=UpdateOrder.STOP_FIRST))


def row(number: int, slot: int, state: TaskState, **fields: object) -> Row:
    """Task t<number> in a slot; PENDING has no node."""
    node_down = bool(fields.pop("node_down", False))
    node_id = "" if state is TaskState.PENDING else "n"
    fields.setdefault("version", 1)
    task = Task(id=f"t{number:02}", service_id="s", slot=slot, node_id=node_id, **fields)  # type: ignore[arg-type]
    return Row(task, state, node_down and bool(node_id))


def decided(
    rows: list[Row],
    replicas: int = 2,
    version: int = 1,
    removed: bool = False,
    spec: ServiceSpec = SPEC,
    held: bool = False,
    **fields: Any,
) -> Decision:
    wanted = Service(
        id="s", name="shop_web", stack="shop", version=version, replicas=replicas, removed=removed, **fields
    )
    slots = NO_SLOTS if removed else Slots(dict.fromkeys(range(1, replicas + 1), ""))
    return reconcile(wanted, spec, slots, rows, {}, now_ms=0, held=held)


def carried_out(rows: list[Row], decision: Decision) -> list[Row]:
    """The world once agents have done as told and new tasks run."""
    after = []
    for each in rows:
        if each.task.id in decision.drop or each.task.id in decision.remove:
            continue
        if each.task.id in decision.stop:
            task = Task(
                **{**{f: getattr(each.task, f) for f in each.task.__struct_fields__}, "desired": Desired.STOP}
            )
            after.append(Row(task, each.state if each.ended else TaskState.SHUTDOWN, each.node_down))
        elif each.task.removing or (not each.task.wanted and not each.ended and not each.node_down):
            if not each.task.removing:
                after.append(Row(each.task, TaskState.SHUTDOWN, each.node_down))
        else:
            after.append(each)
    for slot, version in decision.create:
        task = Task(id=f"u{len(after):03}", service_id="s", slot=slot, version=version, node_id="m")
        after.append(Row(task, TaskState.RUNNING))
    return sorted(after, key=lambda each: (each.task.slot, each.task.id))


def test_missing_slots_are_filled_and_surplus_ones_emptied() -> None:
    rows = [row(1, 2, TaskState.RUNNING), row(2, 3, TaskState.RUNNING)]
    assert decided(rows) == Decision(create=(New(1, 1),), remove=("t02",))


def test_a_stopping_task_keeps_its_slot_until_it_has_left_the_node() -> None:
    assert decided([row(1, 1, TaskState.STOPPING, desired=Desired.STOP)], replicas=1) == Decision()
    assert decided([row(1, 1, TaskState.SHUTDOWN, desired=Desired.STOP)], replicas=1).create == (New(1, 1),)


def test_an_heir_without_a_node_goes_when_the_elder_is_back() -> None:
    heir = row(2, 1, TaskState.PENDING)
    assert decided([row(1, 1, TaskState.RUNNING, node_down=True), heir], replicas=1) == Decision()
    assert decided([row(1, 1, TaskState.RUNNING), heir], replicas=1) == Decision(drop=("t02",))


@st.composite
def worlds(draw: st.DrawFn) -> list[Row]:
    rows = []
    for number in range(draw(st.integers(0, 8))):
        state = draw(st.sampled_from(list(TaskState)))
        desired = draw(st.sampled_from(list(Desired)))
        rows.append(
            row(
                number,
                draw(st.integers(1, 4)),
                state,
                desired=desired,
                removing=draw(st.booleans()) and draw(st.booleans()),
                node_down=draw(st.booleans()),
            )
        )
    return sorted(rows, key=lambda each: (each.task.slot, each.task.id))


@settings(max_examples=300, deadline=None)
@given(worlds(), st.integers(0, 4), st.integers(1, 2), st.booleans())
def test_it_comes_to_rest_with_one_running_task_in_each_slot(
    rows: list[Row], replicas: int, version: int, removed: bool
) -> None:
    for _ in range(30):
        decision = decided(rows, replicas, version, removed)
        alive = {each.task.slot for each in rows if each.occupies and each.task.id not in decision.stop}
        full = [slot for slot, _ in decision.create if slot in alive and not _gives_way(rows, slot, decision)]
        assert not full, f"slot {full} gets a second task beside a running one"
        before, rows = rows, carried_out(rows, decision)
        if decision == Decision() and rows == before:
            break
    else:
        raise AssertionError("never comes to rest")
    wanted = 0 if removed else replicas
    for slot in range(1, wanted + 1):
        here = [each for each in rows if each.task.slot == slot and each.task.wanted and not each.node_down]
        assert len(here) == 1
    assert not [each for each in rows if each.task.slot > wanted and each.state in ALIVE - ENDED]


def _gives_way(rows: list[Row], slot: int, decision: Decision) -> bool:
    """Whether all that lives in the slot is dropped by the same decision (it never had a container)."""
    return all(each.task.id in decision.drop for each in rows if each.task.slot == slot and each.occupies)
