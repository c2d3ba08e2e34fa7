"""The embedded store on a real file, through real crashes."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from controller.records import Cluster, Drop, JoinToken, Node, Put, Record
from controller.store.base import StoreError
from controller.store.sqlite import MIGRATIONS, SqliteStore


def token(number: int) -> JoinToken:
    return JoinToken(id=f"t{number}", secret_hash="s", expires_ms=number, uses_left=1)


async def keep(path: Path, *changes: Put | Drop) -> None:
    store = SqliteStore(path)
    await store.load()
    await store.append(changes)
    await store.close()


async def kept(path: Path) -> list[Record]:
    store = SqliteStore(path)
    try:
        return await store.load()
    finally:
        await store.close()


async def test_what_was_appended_is_there_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    await keep(path, Put(record=Cluster(id="c")), Put(record=token(1)), Put(record=token(2)))
    await keep(path, Put(record=Cluster(id="c", epoch=2)), Drop(kind="JoinToken", key="t1"))
    assert sorted(await kept(path), key=repr) == [Cluster(id="c", epoch=2), token(2)]


async def test_a_failed_append_leaves_nothing_of_itself(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "state.db")
    await store.load()
    with pytest.raises(AttributeError):
        await store.append([Put(record=token(1)), "no change"])  # type: ignore[list-item]
    await store.append([Put(record=token(2))])
    await store.close()
    assert await kept(tmp_path / "state.db") == [token(2)]


async def test_a_second_controller_is_kept_out(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "state.db")
    with pytest.raises(StoreError, match="in use by another controller"):
        SqliteStore(tmp_path / "state.db")
    await store.close()
    SqliteStore(tmp_path / "state.db")


async def test_a_store_of_a_newer_program_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    await keep(path)
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    connection.close()
    with pytest.raises(StoreError, match="newer"):
        await kept(path)


async def test_a_file_that_is_no_store_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    path.write_bytes(b"this is not a database, and long enough to be told from an empty one" * 20)
    with pytest.raises(StoreError, match="cannot be read"):
        await kept(path)


async def test_fields_that_a_newer_program_added_are_ignored(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    await keep(path, Put(record=Node(id="n", name="n1")))
    with sqlite3.connect(path) as connection:
        (value,) = connection.execute("SELECT value FROM records").fetchone()
        longer = bytes([value[0] + 1]) + value[1:] + b"\xa6newest\x01"
        connection.execute("UPDATE records SET value = ?", (longer,))
    connection.close()
    assert await kept(path) == [Node(id="n", name="n1")]


_WRITER = """
import asyncio, sys
from pathlib import Path
from controller.records import JoinToken, Put
from controller.store.sqlite import SqliteStore

async def main():
    store = SqliteStore(Path(sys.argv[1]))
    await store.load()
    number = 0
    while True:
        ids = [f"t{number + i}" for i in range(3)]
        batch = [Put(record=JoinToken(id=i, secret_hash="s", expires_ms=1, uses_left=1)) for i in ids]
        await store.append(batch)
        number += 3
        print(number, flush=True)

asyncio.run(main())
"""


def test_nothing_acknowledged_is_lost_when_the_writer_is_killed(tmp_path: Path) -> None:
    for round_number, acknowledgements in enumerate((1, 7, 40)):
        path = tmp_path / f"{round_number}.db"
        command = [sys.executable, "-c", _WRITER, str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            acknowledged = [int(writer.stdout.readline()) for _ in range(acknowledgements)][-1]
            os.kill(writer.pid, signal.SIGKILL)
        found = {record.key for record in asyncio.run(kept(path))}
        assert {f"t{number}" for number in range(acknowledged)} <= found
        assert len(found) % 3 == 0, "a batch is there whole or not at all"
