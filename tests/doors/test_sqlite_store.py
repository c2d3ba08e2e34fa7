"""The embedded store on a real file, through real crashes."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from bayplan.model import ContainerSpec, FileKind, ServiceSpec, StackSpec
from controller.records import (
    Change,
    Cluster,
    Drop,
    File,
    FileContent,
    JoinToken,
    Node,
    Put,
    Record,
    ServiceVersion,
    StackRevision,
)
from controller.store.base import StoreError
from controller.store.seal import Seal
from controller.store.sqlite import MIGRATIONS, SqliteStore
from controller.task_columns import singly

SEAL = Seal(bytes(32))
#: What must not be found in any file of the store.
CANARY = b"the canary sings at midnight"


def token(number: int) -> JoinToken:
    return JoinToken(id=f"t{number}", secret_hash="s", expires_ms=number, uses_left=1)


async def keep(path: Path, *changes: Put | Drop) -> None:
    store = SqliteStore(path, SEAL)
    await store.load()
    await store.append(changes)
    await store.close()


def folded(changes: list[Change]) -> list[Record]:
    """What is kept after all changes."""
    found: dict[tuple[str, str], Record] = {}
    for change in singly(changes):
        if isinstance(change, Put):
            found[type(change.record).__name__, change.record.key] = change.record
        else:
            found.pop((change.kind, change.key), None)
    return list(found.values())


async def kept(path: Path) -> list[Record]:
    store = SqliteStore(path, SEAL)
    try:
        return folded(await store.load())
    finally:
        await store.close()


async def test_what_was_appended_is_there_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    await keep(path, Put(record=Cluster(id="c")), Put(record=token(1)), Put(record=token(2)))
    await keep(path, Put(record=Cluster(id="c", epoch=2)), Drop(kind="JoinToken", key="t1"))
    assert sorted(await kept(path), key=repr) == [Cluster(id="c", epoch=2), token(2)]


async def test_a_failed_append_leaves_nothing_of_itself(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "state.db", SEAL)
    await store.load()
    with pytest.raises(AssertionError):
        await store.append([Put(record=token(1)), "no change"])  # type: ignore[list-item]
    await store.append([Put(record=token(2))])
    await store.close()
    assert await kept(tmp_path / "state.db") == [token(2)]


async def test_a_second_controller_is_kept_out(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "state.db", SEAL)
    with pytest.raises(StoreError, match="in use by another controller"):
        SqliteStore(tmp_path / "state.db", SEAL)
    await store.close()
    SqliteStore(tmp_path / "state.db", SEAL)


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


def content(digest: str = "d", text: bytes = CANARY) -> FileContent:
    return FileContent(digest=digest, content=text)


async def test_contents_of_configs_and_secrets_come_back(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    records: list[Record] = [
        content(),
        File(kind=FileKind.SECRET, name="shop_key", digest="d", version=1, size_bytes=9),
        StackRevision(
            stack="shop", revision=3, spec=StackSpec(name="shop"), cause="deploy", time_ms=1,
            digests={"secret/shop_key": "d"},
        ),
    ]  # fmt: skip
    await keep(path, *(Put(record=record) for record in records))
    assert sorted(await kept(path), key=repr) == sorted(records, key=repr)


async def test_no_byte_of_a_content_is_in_the_database_or_its_log(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "state.db", SEAL)
    await store.load()
    await store.append([Put(record=content())])
    await store.append([Put(record=content()), Put(record=content("e", CANARY * 1_000))])
    await store.append([Drop(kind="FileContent", key="d")])
    written = {path: path.read_bytes() for path in (tmp_path / "state.db", tmp_path / "state.db-wal")}
    assert b"FileContent" in b"".join(written.values()), "the record itself is there"
    assert [path for path, data in written.items() if CANARY in data] == []
    await store.close()


async def test_the_same_content_is_sealed_in_another_way_each_time(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    values = set()
    for _ in range(3):
        await keep(path, Put(record=content()))
        with sqlite3.connect(path) as connection:
            values |= set(connection.execute("SELECT value FROM records").fetchall())
        connection.close()
    assert len(values) == 3


async def test_a_store_does_not_open_with_another_key(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    await keep(path, Put(record=content()))
    store = SqliteStore(path, Seal(bytes(31) + b"x"))
    with pytest.raises(StoreError, match="another content key"):
        await store.load()
    await store.close()


async def test_a_sealed_content_does_not_open_under_another_name(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    await keep(path, Put(record=content("d")), Put(record=content("e", b"other")))
    with sqlite3.connect(path) as connection:
        connection.execute(
            "UPDATE records SET value = (SELECT value FROM records WHERE key = 'd') WHERE key = 'e'"
        )
    connection.close()
    with pytest.raises(StoreError, match="another content key"):
        await kept(path)


async def test_a_store_from_before_configs_and_secrets_still_loads(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    with sqlite3.connect(path) as connection:
        for statement in MIGRATIONS[0]:
            connection.execute(statement)
        # A version of a service as the program before wrote it: without a digest of its image.
        value = msgspec.msgpack.encode(
            {
                "type": "ServiceVersion",
                "service_id": "s",
                "version": 2,
                "spec": {"name": "web", "container": {"image": "app:1"}},
            }
        )
        connection.execute("INSERT INTO records VALUES ('ServiceVersion', 's/2', ?)", (value,))
        connection.execute("PRAGMA user_version = 1")
    connection.close()
    spec = ServiceSpec(name="web", container=ContainerSpec(image="app:1"))
    assert await kept(path) == [ServiceVersion(service_id="s", version=2, spec=spec)]
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
    connection.close()


_WRITER = """
import asyncio, sys
from pathlib import Path
from controller.records import JoinToken, Put
from controller.store.seal import Seal
from controller.store.sqlite import SqliteStore

async def main():
    store = SqliteStore(Path(sys.argv[1]), Seal(bytes(32)))
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
