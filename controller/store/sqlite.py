"""The embedded store: SQLite in WAL mode with full synchronous commit.

One connection, used by one thread: SQLite 3.40's WAL can be corrupted by two (the WAL-reset bug,
https://sqlite.org/wal.html), and the pump already groups commits. An advisory lock on the file keeps a
second controller out. Contents of configs and secrets are sealed on their way in and opened on their way out.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar, assert_never

import msgspec

from controller.records import Change, Drop, DropTasks, FileContent, Put, PutTasks, Record, Task
from controller.store.base import StoreError, TaskSource
from controller.store.seal import Seal, SealError
from controller.store.task_log import Slice, TaskLog

T = TypeVar("T")

#: Statements that lead from schema version n (its index) to n + 1. Only ever appended to.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        "CREATE TABLE records (kind TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL,"
        " PRIMARY KEY (kind, key)) WITHOUT ROWID",
    ),
    # New kinds of records, no new tables: a program that does not know them must not open the store.
    (),
    (),
    ("CREATE TABLE task_log (seq INTEGER PRIMARY KEY, value BLOB NOT NULL)",),
    (),
)
#: The schema version from which on tasks are in the log.
TASK_LOG_VERSION = 4

#: Kinds of records whose values are sealed.
SEALED = frozenset({FileContent.__name__})

_PUT = "INSERT INTO records VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET value = excluded.value"
_DROP = "DELETE FROM records WHERE kind = ? AND key = ?"

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Record)


class SqliteStore:
    """See `controller.store.base.Store`."""

    def __init__(self, path: Path, seal: Seal) -> None:
        self._path = path
        self._seal = seal
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")
        self._lock_fd = _lock(path)
        self._connection: sqlite3.Connection | None = None
        self._log = TaskLog()

    async def load(self) -> list[Change]:
        """Opens, migrates, reads. Raises StoreError."""
        return await self._run(self._load)

    async def append(self, changes: Sequence[Change]) -> None:
        """One transaction."""
        part = self._log.next_slice()
        await self._run(lambda: self._append(changes, part))

    def checkpoint_from(self, tasks: TaskSource) -> None:
        """Keeps the log of tasks short."""
        self._log.checkpoint_from(tasks)

    async def close(self) -> None:
        """Closes the file and lets another controller have it."""
        await self._run(self._close)
        self._thread.shutdown()
        os.close(self._lock_fd)

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _load(self) -> list[Change]:
        try:
            connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=True)
            self._connection = connection
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            _migrate(connection)
            rows: list[Any] = connection.execute("SELECT kind, key, value FROM records").fetchall()
            records = [_decoder.decode(self._opened(*row)) for row in rows]
            return [*(Put(record=record) for record in records), *self._log.load(connection)]
        except SealError as error:
            raise StoreError(
                f"{self._path}: a config or secret was sealed with another content key; "
                "put the key that belongs to this database beside it"
            ) from error
        except (sqlite3.Error, msgspec.DecodeError) as error:
            raise StoreError(
                f"{self._path} cannot be read: {error}; move it away, or put a backup of it in its place"
            ) from error

    def _append(self, changes: Sequence[Change], part: Slice | None) -> None:
        connection = self._connection
        assert connection is not None, "load comes before append"
        connection.execute("BEGIN IMMEDIATE")
        try:
            self._write(connection, changes)
            if part is not None:
                self._log.append_slice(connection, part)
            self._log.forget(connection)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def _write(self, connection: sqlite3.Connection, changes: Sequence[Change]) -> None:
        logged: list[Change] = []
        for change in changes:
            match change:
                case Put(record=Task()) | Drop(kind="Task") | PutTasks() | DropTasks():
                    logged.append(change)
                case Put(record=record):
                    connection.execute(_PUT, self._row(record))
                case Drop(kind=kind, key=key):
                    connection.execute(_DROP, (kind, key))
                case _:
                    assert_never(change)
        if logged:
            self._log.append(connection, logged)

    def _row(self, record: Record) -> tuple[str, str, bytes]:
        kind, key, value = type(record).__name__, record.key, _encoder.encode(record)
        return kind, key, self._seal.close(value, f"{kind}/{key}") if kind in SEALED else value

    def _opened(self, kind: str, key: str, value: bytes) -> bytes:
        return self._seal.open(value, f"{kind}/{key}") if kind in SEALED else value

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()


def _migrate(connection: sqlite3.Connection) -> None:
    """Brings the schema forward, a transaction a version. Raises StoreError when it is newer than we are."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(MIGRATIONS):
        raise StoreError(
            f"the store has schema version {version}, newer than this program's {len(MIGRATIONS)}: "
            "run the newer bayplan-controller, or put a backup from before the upgrade in its place"
        )
    for number in range(version, len(MIGRATIONS)):
        connection.execute("BEGIN IMMEDIATE")
        for statement in MIGRATIONS[number]:
            connection.execute(statement)
        if number + 1 == TASK_LOG_VERSION:
            _move_tasks(connection)
        connection.execute(f"PRAGMA user_version = {number + 1}")
        connection.execute("COMMIT")


def _move_tasks(connection: sqlite3.Connection) -> None:
    """Tasks were records with a row each: they become the first row of their log."""
    rows = connection.execute("SELECT value FROM records WHERE kind = 'Task'").fetchall()
    if rows:
        TaskLog().append(connection, [Put(record=_decoder.decode(value)) for (value,) in rows])
        connection.execute("DELETE FROM records WHERE kind = 'Task'")


def _lock(path: Path) -> int:
    fd = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(fd)
        raise StoreError(f"{path} is in use by another controller; there can be one at a time") from error
    return fd
