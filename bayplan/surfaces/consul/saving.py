"""What registered through a daemon, in a file beside its other state, so that a restart forgets nobody."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import structlog

from bayplan.errors import ProblemKind, refuse
from bayplan.files import write_whole
from bayplan.surfaces.consul.held import Kept

_log = structlog.get_logger()


class KeptFile:
    """The file. Those who save together are written together."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._turn = asyncio.Lock()
        self._asked = self._written = 0
        self._newest = Kept()

    def load(self) -> Kept:
        """What was saved. What cannot be read is logged and counts as empty: who lives registers again."""
        try:
            return msgspec.msgpack.decode(self._path.read_bytes(), type=Kept)
        except FileNotFoundError:
            return Kept()
        except (OSError, msgspec.MsgspecError) as error:
            _log.warning("registrations cannot be read", path=str(self._path), cause=str(error))
            return Kept()

    async def save(self, kept: Kept) -> None:
        """Return when this, or what came after it, is durable. Raises ProblemError."""
        self._asked += 1
        mine, self._newest = self._asked, kept
        async with self._turn:
            if self._written >= mine:
                return
            upto, data = self._asked, msgspec.msgpack.encode(self._newest)
            try:
                await asyncio.to_thread(write_whole, self._path, data)
            except OSError as error:
                raise refuse(
                    ProblemKind.TIMEOUT, f"the registration cannot be saved: {error.strerror}"
                ) from error
            self._written = upto
