"""The store's log of tasks on a real file: replayed, kept short, through crashes and garbled rows."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from bayplan import ids
from bayplan.lifecycle import TaskState
from bayplan.model import Desired, Good, TaskStatus
from controller.records import Change, Cluster, Drop, Put, PutTasks, Task
from controller.state import State
from controller.store import task_log
from controller.store.base import StoreError
from controller.store.seal import Seal
from controller.store.sqlite import MIGRATIONS, SqliteStore
from controller.task_columns import pack, singly, unpack

SEAL = Seal(bytes(32))


def task(number: int, **fields: object) -> Task:
    usual = {"service_id": "s", "slot": number, "version": 1, "created_ms": 5, "node_id": f"n{number % 3}"}
    return Task(id=ids.to_id(number), **{**usual, **fields})  # type: ignore[arg-type]


ODD = (
    task(1, end=TaskStatus(task_id=ids.to_id(1), state=TaskState.FAILED, exit_code=3), failures=2),
    task(2, past_ms=(1, 2), run=4),
    task(3, goods=(Good(kind="gpu", name="a"),)),
    Task(id="of-old", service_id="s", slot=1, version=2),
)
PLAIN = (
    task(4),
    task(5, node_id="", desired=Desired.READY),
    task(6, service_id="other", desired=Desired.STOP, removing=True),
    task(7, completed=True, displaced=True),
)


async def opened(path: Path) -> tuple[SqliteStore, State]:
    """A store, and the state that it gives."""
    store, state = SqliteStore(path, SEAL), State()
    for change in await store.load():
        state.apply(change)
    store.checkpoint_from(state.tasks)
    return store, state


async def kept(path: Path) -> dict[str, Task]:
    store, state = await opened(path)
    await store.close()
    return dict(state.tasks)


def replayed(path: Path) -> dict[str, Task]:
    """What the log comes to at this moment."""
    state, connection = State(), sqlite3.connect(path)
    for change in task_log.TaskLog().load(connection):
        state.apply(change)
    connection.close()
    return dict(state.tasks)


async def append(store: SqliteStore, state: State, *changes: Change) -> None:
    """As the core does: the state first."""
    for change in changes:
        state.apply(change)
    await store.append(changes)


def rows(path: Path) -> list[tuple[int, int]]:
    connection = sqlite3.connect(path)
    found = connection.execute("SELECT seq, length(value) FROM task_log ORDER BY seq").fetchall()
    connection.close()
    return found


async def test_tasks_come_back_whether_in_columns_or_whole(tmp_path: Path) -> None:
    store, state = await opened(tmp_path / "state.db")
    await append(store, state, *(Put(record=each) for each in (*PLAIN, *ODD)))
    await store.close()
    assert await kept(tmp_path / "state.db") == {each.id: each for each in (*PLAIN, *ODD)}
    assert len(rows(tmp_path / "state.db")) == 1


async def test_the_last_change_of_a_task_counts(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    store, state = await opened(path)
    plain, odd = task(9), task(9, failures=1)
    await append(store, state, Put(record=plain), Put(record=task(8)), Put(record=ODD[3]))
    await append(store, state, Put(record=odd), Drop(kind="Task", key=task(8).id))
    assert state.tasks == {odd.id: odd, "of-old": ODD[3]}
    await append(store, state, Put(record=plain), Put(record=task(8)), Drop(kind="Task", key="of-old"))
    await append(store, state, *state.tasks.puts(state.tasks.table.used()))
    await append(store, state, state.tasks.drops(state.tasks.table.rows(ids.decode([task(8).id]))))
    await store.close()
    assert await kept(path) == {plain.id: plain}


async def test_what_was_told_of_a_task_outlives_a_change_of_it() -> None:
    state = State([task(4), task(5)])
    told = TaskStatus(task_id=task(4).id, state=TaskState.RUNNING, message="odd")
    state.statuses[told.task_id] = told
    for change in pack([Put(record=task(4, version=2)), Put(record=task(5, version=2))]):
        state.apply(change)
    assert state.statuses[told.task_id] == told
    assert [each.version for each in state.tasks_of("s")] == [2, 2]
    assert [each.id for each in state.tasks_on("n1")] == [task(4).id]


def test_a_state_and_one_that_took_columns_are_the_same() -> None:
    dice = random.Random(3)
    one_by_one, at_once = State([Cluster(id="c")]), State([Cluster(id="c")])
    for _ in range(30):
        changes: list[Change] = []
        for number in dice.sample(range(1, 60), 12):
            key = ids.to_id(number)
            if key in one_by_one.tasks and dice.random() < 0.3:
                changes.append(Drop(kind="Task", key=key))
            else:
                odd = {"failures": 2} if dice.random() < 0.2 else {}
                node = dice.choice(["", "n1", "n2"])
                changes.append(Put(record=task(number, node_id=node, version=dice.randint(1, 3), **odd)))
        for change in changes:
            one_by_one.apply(change)
        for change in pack(changes):
            at_once.apply(change)
        assert dict(at_once.tasks) == dict(one_by_one.tasks)
        for node in ("n1", "n2"):
            assert at_once.tasks_on(node) == one_by_one.tasks_on(node)
        assert at_once.tasks_of("s") == one_by_one.tasks_of("s")
        assert {each.id for each in at_once.waiting()} == {each.id for each in one_by_one.waiting()}


async def test_a_long_log_is_replaced_by_what_it_comes_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_log, "LOG_BYTES_MIN", 5_000)
    monkeypatch.setattr(task_log, "FORGET_ROWS_MAX", 5)
    monkeypatch.setattr("controller.tasks.SLICE_ROWS", 8_000)  # a checkpoint takes many batches
    path, dice = tmp_path / "state.db", random.Random(1)
    store, state = await opened(path)
    longest = 0
    for turn in range(160):
        number = dice.randrange(1, 40_000)
        drop = ids.to_id(number) in state.tasks and turn % 2
        odd = {"failures": 1} if turn % 7 == 0 else {}
        change = Drop(kind="Task", key=ids.to_id(number)) if drop else Put(record=task(number, **odd))
        await append(store, state, change)
        longest = max(longest, sum(size for _, size in rows(path)))
        assert turn % 3 or replayed(path) == dict(state.tasks)
        if turn % 90 == 13:
            await store.close()
            store, state = await opened(path)
    await store.close()
    assert await kept(path) == dict(state.tasks)
    assert rows(path)[0][0] > 30, "the beginning of the log was forgotten"
    assert longest < 60_000


@pytest.mark.parametrize("garble", [lambda v: v[:-3], lambda v: b"", lambda v: v[:9] + b"\xff" + v[10:]])
async def test_a_garbled_log_is_told_and_not_believed(tmp_path: Path, garble: object) -> None:
    path = tmp_path / "state.db"
    store, state = await opened(path)
    await append(store, state, *(Put(record=each) for each in PLAIN))
    await store.close()
    connection = sqlite3.connect(path)
    (value,) = connection.execute("SELECT value FROM task_log").fetchone()
    connection.execute("UPDATE task_log SET value = ?", (garble(value),))  # type: ignore[operator]
    connection.commit()
    connection.close()
    store = SqliteStore(path, SEAL)
    with pytest.raises(StoreError, match="the log of tasks is garbled in row 1"):
        await store.load()
    await store.close()


async def test_columns_that_do_not_fit_are_told_though_their_checksum_does(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    store, _ = await opened(path)
    (whole,) = pack([Put(record=each) for each in PLAIN])
    assert isinstance(whole, PutTasks)
    await store.append([msgspec.structs.replace(whole, slots=whole.slots[4:])])
    await store.close()
    store = SqliteStore(path, SEAL)
    with pytest.raises(StoreError, match="a column of 4 tasks has 12 bytes"):
        await store.load()
    await store.close()


async def test_tasks_that_were_records_move_into_the_log(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    connection = sqlite3.connect(path)
    for statement in MIGRATIONS[0]:
        connection.execute(statement)
    for each in (*PLAIN, *ODD, Cluster(id="c")):
        row = type(each).__name__, each.key, msgspec.msgpack.encode(each)
        connection.execute("INSERT INTO records VALUES (?, ?, ?)", row)
    connection.execute("PRAGMA user_version = 3")
    connection.commit()
    connection.close()
    assert await kept(path) == {each.id: each for each in (*PLAIN, *ODD)}
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT kind FROM records").fetchall() == [("Cluster",)]
    connection.close()


def test_columns_and_values_are_the_same_tasks() -> None:
    (change,) = pack([Put(record=each) for each in PLAIN])
    assert isinstance(change, PutTasks)
    assert unpack(change) == list(PLAIN)
    assert {type(each) for each in pack([Put(record=each) for each in ODD])} == {Put}


_WRITER = """
import asyncio, sys
from pathlib import Path
from bayplan import ids
from controller.records import Drop, Put, Task
from controller.state import State
from controller.store import task_log
from controller.store.seal import Seal
from controller.store.sqlite import SqliteStore

task_log.LOG_BYTES_MIN = 5_000

async def main():
    store, state = SqliteStore(Path(sys.argv[1]), Seal(bytes(32))), State()
    for change in await store.load():
        state.apply(change)
    store.checkpoint_from(state.tasks)
    number = len(state.tasks)
    while True:
        numbers = [*range(min(number, 60)), *range(number, number + 3)]  # some of old, and three new ones
        tasks = [Task(id=ids.to_id(n), service_id="s", slot=1, version=number) for n in numbers]
        changes = [Put(record=task) for task in tasks]
        for change in changes:
            state.apply(change)
        await store.append(changes)
        number += 3
        print(number, flush=True)

asyncio.run(main())
"""


def test_no_acknowledged_task_is_lost_when_the_writer_is_killed_amid_checkpoints(tmp_path: Path) -> None:
    path, known = tmp_path / "state.db", 0
    for acknowledgements in (1, 60, 7, 150, 2, 40):
        command = [sys.executable, "-c", _WRITER, str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            known = [int(writer.stdout.readline()) for _ in range(acknowledgements)][-1]
            os.kill(writer.pid, signal.SIGKILL)
        found = asyncio.run(kept(path))
        assert {ids.to_id(number) for number in range(known)} <= found.keys()
        assert len(found) % 3 == 0, "a batch is there whole or not at all"
    assert rows(path)[0][0] > 1, "checkpoints were taken"


def test_single_changes_of_columns_are_those_that_went_in() -> None:
    changes = [Put(record=each) for each in PLAIN] + [Drop(kind="Task", key=task(20).id)]
    assert list(singly(pack(changes))) == changes
