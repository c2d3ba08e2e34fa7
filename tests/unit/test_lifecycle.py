"""The one table of task states."""

from __future__ import annotations

from pathlib import Path

from bayplan.lifecycle import ALIVE, ENDED, MEANING, NEXT, ON_NODE, TaskState, may_follow, may_report
from bayplan.lifecycle_document import document
from bayplan.v1 import task_pb2

PAGE = Path(__file__).parents[2] / "docs" / "lifecycle.md"


def test_every_state_is_in_the_table_and_in_the_contract() -> None:
    assert set(NEXT) == set(MEANING) == set(TaskState)
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


def test_an_agent_reports_only_what_is_its_own_to_see() -> None:
    assert may_report(TaskState.RUNNING, TaskState.FAILED)
    assert not may_report(TaskState.FAILED, TaskState.RUNNING)
    assert not may_report(TaskState.RUNNING, TaskState.LOST)
    assert not may_report(TaskState.PENDING, TaskState.PENDING)


def test_the_page_is_the_one_that_the_table_writes() -> None:
    assert PAGE.read_text() == document(), "run: python -m bayplan.lifecycle_document > docs/lifecycle.md"


def test_every_step_of_the_table_is_in_the_picture() -> None:
    picture = document().partition("```mermaid")[2].partition("```")[0]
    drawn = {tuple(line.split(" --> ")) for line in map(str.strip, picture.splitlines()) if "-->" in line}
    for before, after in ((state, after) for state in NEXT for after in NEXT[state]):
        assert {(before.value, after.value), ("living", after.value)} & drawn
