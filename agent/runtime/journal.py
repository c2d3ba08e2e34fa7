"""The agent's durable memory: what it shall run, how ended tasks ended, whose hooks are done.

Three small files, each written whole and durably. A lost or garbled one is not fatal: the engine's
labels are the truth, and the controller sends the rest. Nor is a disk that takes nothing: the agent
goes on, acknowledges only what was kept, and what is owed is written once there is room.
"""

from __future__ import annotations

import asyncio
import contextlib
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import msgspec
import structlog

from agent.events import Change, JournalKept, KeepAssignments, KeepEnds, KeepHooked, Remembered
from bayplan.files import write_whole
from bayplan.session import Report
from bayplan.systemd import notify

ASSIGNMENTS_FILE = "assignments.journal"
ENDS_FILE = "ends.journal"
HOOKED_FILE = "hooked.journal"
#: What could not be written is tried again after this long.
RETRY_S = 5.0

KeptT = TypeVar("KeptT", KeepAssignments, KeepEnds, KeepHooked)
_FILES = {KeepAssignments: ASSIGNMENTS_FILE, KeepEnds: ENDS_FILE, KeepHooked: HOOKED_FILE}
_log = structlog.get_logger(__name__)


class Journal:
    """See bayplan.pump.Keeper."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        #: What could not be written yet, by file.
        self._owed: dict[str, Change] = {}
        #: The assignments on the disk: their epoch and revision.
        self._kept = (0, 0)
        #: Why the disk took nothing, until all of it is made up for.
        self._trouble = ""
        self._writing = asyncio.Lock()
        # A thread of its own: the agent stands still until it is done, and the shared ones may be busy.
        self._thread = ThreadPoolExecutor(1, "journal")

    def load(self) -> Remembered:
        """What was kept last; the defaults for what is lost."""
        self._sweep()
        assignments = self._read(ASSIGNMENTS_FILE, KeepAssignments)
        ends = self._read(ENDS_FILE, KeepEnds)
        hooked = self._read(HOOKED_FILE, KeepHooked)
        remembered = Remembered(ends=ends.ends if ends else (), hooked=hooked.hooked if hooked else {})
        if assignments is None:
            return remembered
        self._kept = (assignments.epoch, assignments.assignments.revision)
        return msgspec.structs.replace(
            remembered, epoch=assignments.epoch, assignments=assignments.assignments
        )

    async def append(self, changes: Sequence[Change]) -> None:
        """Make the newest of each kind durable, or owe it. Never raises for what the disk does."""
        self._owed |= {_FILES[type(change)]: change for change in changes}
        await self._settle()

    def honest(self, report: Report) -> Report:
        """The report without the acknowledgement of a revision that could not be kept."""
        owed = self._owed.get(ASSIGNMENTS_FILE)
        if not isinstance(owed, KeepAssignments):
            return report
        epoch, revision = self._kept
        return msgspec.structs.replace(report, revision=revision if epoch == owed.epoch else 0)

    async def keep_trying(self, post: Callable[[JournalKept], None]) -> None:
        """Write what is owed as soon as there is room, forever; tell when nothing is owed any more."""
        while True:
            await asyncio.sleep(RETRY_S)
            if not self._trouble:
                continue
            await self._settle()
            if not self._owed:
                self._trouble = ""
                _log.info("the journal is written again")
                notify("STATUS=")
                post(JournalKept())

    async def _settle(self) -> None:
        """Write what is owed, as far as it goes."""
        async with self._writing:
            try:
                while self._owed:
                    name, change = next(iter(self._owed.items()))
                    await asyncio.get_running_loop().run_in_executor(self._thread, self._write, name, change)
                    self._written(name, change)
            except OSError as error:
                self._tell(str(error))

    def _tell(self, trouble: str) -> None:
        """Tell people, once."""
        if not self._trouble:
            _log.error("the journal cannot be written; the agent goes on without it", cause=trouble)
            notify(f"STATUS=The journal cannot be written: {trouble}")
        self._trouble = trouble

    def _written(self, name: str, change: Change) -> None:
        if self._owed.get(name) is change:  # else a newer one has come meanwhile
            del self._owed[name]
        if isinstance(change, KeepAssignments):
            self._kept = (change.epoch, change.assignments.revision)

    def _write(self, name: str, change: Change) -> None:
        write_whole(self._data_dir / name, sealed(msgspec.json.encode(change)))

    def _sweep(self) -> None:
        """Remove what writes that were killed have left behind."""
        for path in self._data_dir.glob(".*.journal.*"):
            with contextlib.suppress(OSError):
                path.unlink()

    def _read(self, name: str, kind: type[KeptT]) -> KeptT | None:
        try:
            return msgspec.json.decode(opened((self._data_dir / name).read_bytes()), type=kind)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, msgspec.MsgspecError) as error:
            _log.warning("the journal is garbled; starting without it", file=name, cause=str(error))
            return None


def sealed(body: bytes) -> bytes:
    """The body with its checksum before it: JSON with a flipped bit may still be JSON."""
    return b"%08x\n" % zlib.crc32(body) + body


def opened(data: bytes) -> bytes:
    """The body of sealed data. Raises ValueError."""
    checksum, _, body = data.partition(b"\n")
    if checksum != b"%08x" % zlib.crc32(body):
        raise ValueError("the checksum does not fit")
    return body
