"""The agent's durable memory: what it shall run, how ended tasks ended, whose hooks are done.

Three small files, each written whole and durably. A lost or garbled one is not fatal: the engine's
labels are the truth, and the controller sends the rest.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import msgspec
import structlog

from agent.events import Change, KeepAssignments, KeepEnds, KeepHooked, Remembered
from bayplan.files import write_whole

ASSIGNMENTS_FILE = "assignments.journal"
ENDS_FILE = "ends.journal"
HOOKED_FILE = "hooked.journal"

KeptT = TypeVar("KeptT", KeepAssignments, KeepEnds, KeepHooked)
_FILES = {KeepAssignments: ASSIGNMENTS_FILE, KeepEnds: ENDS_FILE, KeepHooked: HOOKED_FILE}
_log = structlog.get_logger(__name__)


class Journal:
    """See bayplan.pump.Keeper."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir

    def load(self) -> Remembered:
        """What was kept last; the defaults for what is lost."""
        assignments = self._read(ASSIGNMENTS_FILE, KeepAssignments)
        ends = self._read(ENDS_FILE, KeepEnds)
        hooked = self._read(HOOKED_FILE, KeepHooked)
        remembered = Remembered(ends=ends.ends if ends else (), hooked=hooked.hooked if hooked else {})
        if assignments is None:
            return remembered
        return msgspec.structs.replace(
            remembered, epoch=assignments.epoch, assignments=assignments.assignments
        )

    async def append(self, changes: Sequence[Change]) -> None:
        """Make the newest of each kind durable. Raises OSError."""
        newest = {_FILES[type(change)]: change for change in changes}
        await asyncio.to_thread(self._write, newest)

    def _write(self, newest: dict[str, Change]) -> None:
        for name, change in newest.items():
            write_whole(self._data_dir / name, _sealed(msgspec.json.encode(change)))

    def _read(self, name: str, kind: type[KeptT]) -> KeptT | None:
        try:
            return msgspec.json.decode(_opened((self._data_dir / name).read_bytes()), type=kind)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, msgspec.MsgspecError) as error:
            _log.warning("the journal is garbled; starting without it", file=name, cause=str(error))
            return None


def _sealed(body: bytes) -> bytes:
    """The body with its checksum before it: JSON with a flipped bit may still be JSON."""
    return b"%08x\n" % zlib.crc32(body) + body


def _opened(data: bytes) -> bytes:
    """The body of sealed data. Raises ValueError."""
    checksum, _, body = data.partition(b"\n")
    if checksum != b"%08x" % zlib.crc32(body):
        raise ValueError("the checksum does not fit")
    return body
