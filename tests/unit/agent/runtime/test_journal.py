"""The agent's durable memory, whole or lost, never wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.events import KeepAssignments, KeepEnds, Remembered
from agent.runtime.journal import ASSIGNMENTS_FILE, ENDS_FILE, Journal
from bayplan.lifecycle import TaskState
from bayplan.model import Assignment, Assignments, ContainerSpec, Desired, TaskStatus

ASSIGNMENT = Assignment(
    task_id="t1", service="shop_web", stack="shop", slot=1, version=1, desired=Desired.RUN, spec_id="s"
)
SET = Assignments(revision=7, tasks=(ASSIGNMENT,), specs={"s": ContainerSpec(image="web:1", command=())})
END = TaskStatus(task_id="t2", state=TaskState.REJECTED, message="no mount")


async def written(folder: Path) -> Journal:
    journal = Journal(folder)
    await journal.append([KeepAssignments(epoch=3, assignments=SET), KeepEnds(ends=(END,))])
    return journal


async def test_what_was_kept_is_remembered(tmp_path: Path) -> None:
    journal = await written(tmp_path)
    assert journal.load() == Remembered(epoch=3, assignments=SET, ends=(END,))


async def test_the_newest_of_each_kind_counts(tmp_path: Path) -> None:
    journal = await written(tmp_path)
    older, newer = Assignments(revision=8), Assignments(revision=9)
    await journal.append(
        [KeepAssignments(epoch=3, assignments=older), KeepAssignments(epoch=4, assignments=newer)]
    )
    assert journal.load() == Remembered(epoch=4, assignments=newer, ends=(END,))


def test_a_lost_journal_is_an_empty_one(tmp_path: Path) -> None:
    assert Journal(tmp_path).load() == Remembered()


@pytest.mark.parametrize("name", [ASSIGNMENTS_FILE, ENDS_FILE])
async def test_no_truncation_and_no_flipped_bit_is_taken_for_true(tmp_path: Path, name: str) -> None:
    journal = await written(tmp_path)
    true = journal.load()
    whole = (tmp_path / name).read_bytes()
    lost = Remembered(ends=(END,)) if name == ASSIGNMENTS_FILE else Remembered(epoch=3, assignments=SET)
    damaged = [whole[:length] for length in range(len(whole))]
    damaged += [whole[:at] + bytes([whole[at] ^ (1 << at % 8)]) + whole[at + 1 :] for at in range(len(whole))]
    for data in damaged:
        (tmp_path / name).write_bytes(data)
        assert journal.load() == lost
    (tmp_path / name).write_bytes(whole)
    assert journal.load() == true


async def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        await Journal(tmp_path / "nosuch").append([KeepEnds(ends=())])
