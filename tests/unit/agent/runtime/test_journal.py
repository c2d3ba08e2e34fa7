"""The agent's durable memory, whole or lost, never wrong."""

from __future__ import annotations

import asyncio
import os
import shutil
import threading
from pathlib import Path

import pytest
import structlog

from agent.events import JournalKept, KeepAssignments, KeepEnds, KeepHooked, Remembered
from agent.runtime import journal as journals
from agent.runtime.journal import ASSIGNMENTS_FILE, ENDS_FILE, HOOKED_FILE, Journal
from bayplan.lifecycle import TaskState
from bayplan.model import Assignment, Assignments, ContainerSpec, Desired, TaskStatus
from bayplan.session import Report

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


LOST = {
    ASSIGNMENTS_FILE: Remembered(ends=(END,), hooked={"t1": 5}),
    ENDS_FILE: Remembered(epoch=3, assignments=SET, hooked={"t1": 5}),
    HOOKED_FILE: Remembered(epoch=3, assignments=SET, ends=(END,)),
}


@pytest.mark.parametrize("name", LOST)
async def test_no_truncation_and_no_flipped_bit_is_taken_for_true(tmp_path: Path, name: str) -> None:
    journal = await written(tmp_path)
    await journal.append([KeepHooked(hooked={"t1": 5})])
    true = journal.load()
    whole = (tmp_path / name).read_bytes()
    damaged = [whole[:length] for length in range(len(whole))]
    damaged += [flipped(whole, bit) for bit in range(8 * len(whole))]
    damaged += [bytes(len(whole)), whole + b"x", whole + whole]
    with structlog.testing.capture_logs() as logged:
        for data in damaged:
            (tmp_path / name).write_bytes(data)
            assert journal.load() == LOST[name]
    assert len(logged) == len(damaged)
    (tmp_path / name).write_bytes(whole)
    assert journal.load() == true


def flipped(data: bytes, bit: int) -> bytes:
    return data[: bit // 8] + bytes([data[bit // 8] ^ (1 << bit % 8)]) + data[bit // 8 + 1 :]


async def test_what_a_killed_write_left_behind_is_removed(tmp_path: Path) -> None:
    (tmp_path / f".{ENDS_FILE}.a1b2").touch()
    journal = await written(tmp_path)
    journal.load()
    assert sorted(os.listdir(tmp_path)) == [ASSIGNMENTS_FILE, ENDS_FILE]


async def test_threads_that_hang_elsewhere_hold_no_journal_up(tmp_path: Path) -> None:
    released = threading.Event()
    loop = asyncio.get_running_loop()
    hanging = [loop.run_in_executor(None, released.wait) for _ in range(100)]
    try:
        async with asyncio.timeout(5):
            assert (await written(tmp_path)).load().epoch == 3
    finally:
        released.set()
        await asyncio.gather(*hanging)


# --- a disk that takes nothing ----------------------------------------------------------------------------


def report(revision: int) -> Report:
    return Report(revision=revision)


async def test_a_revision_that_could_not_be_kept_is_not_acknowledged(tmp_path: Path) -> None:
    journal = await written(tmp_path)
    assert journal.honest(report(7)) == report(7)
    shutil.move(tmp_path, away := tmp_path.with_name("away"))
    await journal.append([KeepAssignments(epoch=3, assignments=Assignments(revision=8))])
    assert journal.honest(report(8)) == report(7)
    await journal.append([KeepAssignments(epoch=4, assignments=Assignments(revision=7))])
    assert journal.honest(report(7)) == report(0)  # the 7 on the disk is another controller's
    shutil.move(away, tmp_path)


async def test_what_is_owed_is_written_once_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journals, "RETRY_S", 0.01)
    folder, told = tmp_path / "later", asyncio.Queue[JournalKept]()
    journal = Journal(folder)
    trying = asyncio.create_task(journal.keep_trying(told.put_nowait))
    with structlog.testing.capture_logs() as logged:
        for revision in (7, 8):
            await journal.append([KeepAssignments(epoch=3, assignments=Assignments(revision=revision))])
            await asyncio.sleep(0.05)
        assert [entry["log_level"] for entry in logged] == ["error"]  # told once
        assert told.empty()
        folder.mkdir()
        await journal.append([KeepEnds(ends=(END,))])
        assert journal.honest(report(8)) == report(8)
        await asyncio.wait_for(told.get(), 5)
    assert Journal(folder).load() == Remembered(epoch=3, assignments=Assignments(revision=8), ends=(END,))
    await asyncio.sleep(0.05)
    assert told.empty()
    trying.cancel()
