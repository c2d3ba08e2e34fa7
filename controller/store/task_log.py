"""The log of changes of tasks: a row for each batch, replayed in order at the start, and kept short.

A checkpoint writes all tasks anew behind the log, a slice with each batch; then what is before its first
slice is forgotten, a few rows with each batch. A slice holds its tasks as they are at that moment, so what
comes between two slices does no harm. Runs within the store's transactions.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from bayplan.columns import ColumnsError
from controller.records import Change
from controller.store.base import StoreError, TaskSource
from controller.task_columns import TASK_BYTES, check, pack

#: A log is not shortened before it has this many bytes more than twice what its tasks take.
LOG_BYTES_MIN = 4 * 1024 * 1024
#: Of an old log so many bytes and rows are forgotten with one batch.
FORGET_BYTES_MAX = 4 * 1024 * 1024
FORGET_ROWS_MAX = 1_000

_CHECKSUM_BYTES = 4
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[Change])


class Slice(NamedTuple):
    """A part of a checkpoint."""

    changes: list[Change]
    first: bool
    last: bool


class TaskLog:
    """The table `task_log`. All but `next_slice` runs in the store's thread."""

    def __init__(self) -> None:
        self._bytes = 0
        self._source: TaskSource | None = None
        #: Where the checkpoint goes on; None while there is none.
        self._slice_at: int | None = None
        #: The first row of the newest checkpoint, and the row below which all is to be forgotten.
        self._begun = self._forget_below = 0

    def checkpoint_from(self, source: TaskSource) -> None:
        """Take checkpoints of these tasks."""
        self._source = source

    def next_slice(self) -> Slice | None:
        """The slice that goes with a batch, if one does: in the thread in which the tasks change, while they
        stand as after that batch."""
        source, begin = self._source, self._slice_at
        if source is None:
            return None
        if begin is None and (self._forget_below or self._bytes < self._long(len(source))):
            return None
        changes, following = source.slice(begin or 0)
        self._slice_at = following or None
        return Slice(changes, first=begin is None, last=not following)

    @staticmethod
    def _long(tasks: int) -> int:
        """How many bytes of log are worth a checkpoint."""
        return LOG_BYTES_MIN + 2 * TASK_BYTES * tasks

    def load(self, connection: sqlite3.Connection) -> Iterator[Change]:
        """All changes, in order. Raises StoreError."""
        for seq, value in connection.execute("SELECT seq, value FROM task_log ORDER BY seq"):
            self._bytes += len(value)
            yield from _opened(seq, value)

    def append(self, connection: sqlite3.Connection, changes: Sequence[Change]) -> int:
        """A row for these changes. Returns its number."""
        body = _encoder.encode(pack(changes))
        value = zlib.crc32(body).to_bytes(_CHECKSUM_BYTES, "little") + body
        row = connection.execute("INSERT INTO task_log (value) VALUES (?)", (value,)).lastrowid
        self._bytes += len(value)
        assert row is not None
        return row

    def append_slice(self, connection: sqlite3.Connection, part: Slice) -> None:
        """A row for a slice, behind the batch that it goes with."""
        row = self.append(connection, part.changes)
        if part.first:
            self._begun = row
        if part.last:
            self._forget_below = self._begun

    def forget(self, connection: sqlite3.Connection) -> None:
        """Forget some of what is before the newest whole checkpoint."""
        if not self._forget_below:
            return
        rows = "SELECT seq, length(value) FROM task_log WHERE seq < ? ORDER BY seq LIMIT ?"
        freed, last = 0, 0
        for seq, size in connection.execute(rows, (self._forget_below, FORGET_ROWS_MAX)).fetchall():
            freed, last = freed + size, seq
            if freed >= FORGET_BYTES_MAX:
                break
        connection.execute("DELETE FROM task_log WHERE seq <= ?", (last,))
        self._bytes -= freed
        if not last:
            self._forget_below = 0


def _opened(seq: int, value: bytes) -> list[Change]:
    """The changes of a row. Raises StoreError."""
    checksum, body = value[:_CHECKSUM_BYTES], value[_CHECKSUM_BYTES:]
    try:
        if checksum != zlib.crc32(body).to_bytes(_CHECKSUM_BYTES, "little"):
            raise ColumnsError("its checksum does not fit")
        changes = _decoder.decode(body)
        for change in changes:
            check(change)
    except (msgspec.DecodeError, ColumnsError) as error:
        raise StoreError(
            f"the log of tasks is garbled in row {seq}: {error}; put a backup of the store in its place"
        ) from error
    return changes
