"""The one table of task states."""

from __future__ import annotations

from bayplan.lifecycle import ALIVE, ENDED, NEXT, ON_NODE, TaskState, may_follow
from bayplan.v1 import task_pb2


def test_every_state_is_in_the_table_and_in_the_contract() -> None:
    assert set(NEXT) == set(TaskState)
    assert [
        name for name in task_pb2.TaskState.DESCRIPTOR.values_by_name if not name.endswith("UNSPECIFIED")
    ] == [f"TASK_STATE_{state.name}" for state in TaskState]


def test_states_only_go_forward() -> None:
    order = list(TaskState)
    for before, after in NEXT.items():
        assert all(order.index(state) > order.index(before) for state in after)


def test_nothing_follows_an_end_and_every_state_leads_to_one() -> None:
    assert {
        TaskState.COMPLETE,
        TaskState.SHUTDOWN,
        TaskState.FAILED,
        TaskState.REJECTED,
        TaskState.LOST,
    } == ENDED
    assert all(NEXT[state] & ENDED for state in TaskState if state not in ENDED)


def test_what_runs_is_on_a_node_and_has_not_ended() -> None:
    assert ALIVE < ON_NODE
    assert not ON_NODE & ENDED


def test_staying_is_always_allowed() -> None:
    assert all(may_follow(state, state) for state in TaskState)
    assert not may_follow(TaskState.FAILED, TaskState.RUNNING)
