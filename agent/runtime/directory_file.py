"""The copy of the directory on the disk, so that an agent that restarts without a controller still answers.

The file's time says when the controller was heard last. It is no truth of its own: one that is lost or
garbled is done without, and a disk that takes nothing is only told of.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from pathlib import Path

import msgspec
import structlog

from agent.directory import DirectoryCopy, Saved
from agent.runtime.journal import opened, sealed
from bayplan.files import write_whole

DIRECTORY_FILE = "directory.journal"
#: It is written so often at most (seconds), and takes at most a part of the time: after each write it rests
#: for REST_TIMES as long.
SAVE_EVERY_S, REST_TIMES = 1.0, 20
#: While nothing changes it is noted so often until when the controller was heard, in seconds.
NOTE_EVERY_S = 10.0

_log = structlog.get_logger(__name__)


class DirectoryFile:
    """Keeps a copy in the agent's data folder."""

    def __init__(self, data_dir: Path, copy: DirectoryCopy) -> None:
        self._path, self._copy = data_dir / DIRECTORY_FILE, copy
        self._failed = False

    def load(self) -> None:
        """Restore the copy, if there is one."""
        try:
            heard_ms = int(self._path.stat().st_mtime * 1_000)
            saved = msgspec.msgpack.decode(opened(self._path.read_bytes()), type=Saved)
            self._copy.restore(saved, heard_ms)
        except FileNotFoundError:
            return
        except (OSError, ValueError, msgspec.MsgspecError) as error:
            _log.warning("the registry's copy is garbled; starting without it", cause=str(error))

    async def run(self) -> None:
        """Save what changes, forever, and once more at the end."""
        index = self._copy.directory.index
        try:
            while True:
                try:
                    async with asyncio.timeout(NOTE_EVERY_S):
                        await self._copy.changed(index)
                except TimeoutError:
                    if index:
                        await asyncio.to_thread(self._note, self._copy.heard_ms)
                    continue
                begun, index = time.monotonic(), self._copy.directory.index
                await asyncio.to_thread(self._write, self._copy.saved(), self._copy.heard_ms)
                await asyncio.sleep(max(SAVE_EVERY_S, (time.monotonic() - begun) * REST_TIMES))
        finally:
            if self._copy.directory.index:
                self._write(self._copy.saved(), self._copy.heard_ms)

    def _write(self, saved: Saved, heard_ms: int) -> None:
        try:
            write_whole(self._path, sealed(msgspec.msgpack.encode(saved)))
            self._failed = False
        except OSError as error:
            if not self._failed:
                _log.warning("the registry's copy cannot be saved", cause=str(error))
            self._failed = True
        self._note(heard_ms)

    def _note(self, heard_ms: int) -> None:
        with contextlib.suppress(OSError):
            os.utime(self._path, (heard_ms / 1_000, heard_ms / 1_000))
