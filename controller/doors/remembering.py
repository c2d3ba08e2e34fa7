"""The directory on disk, so that a controller that starts knows what was last known of tasks whose nodes have
not come back yet. It may be a little old, or missing: then what it lacks is found once the nodes are back.
"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import msgspec
import structlog

from bayplan.directory import Directory, News
from controller import upkeep
from controller.doors.directory import Keeper
from controller.state import State

#: Written so often at most, in seconds, and rests so many times as long as it took: a fiftieth of the time.
PERIOD_S, REST_TIMES = 1.0, 50
#: A larger file is not read.
FILE_BYTES_MAX = 1024 * 1024 * 1024

log = structlog.get_logger()


def recall(path: Path, state: State) -> None:
    """Tell the state what was last known of its tasks. A file that cannot be read is as none."""
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise ValueError("it is too large")
        news = msgspec.msgpack.decode(path.read_bytes(), type=News)
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        log.warning("what was last known of the registry cannot be read", file=str(path), error=str(error))
        return
    upkeep.recall(state, news)


class Remembering:
    """Writes a keeper's directory to a file as it changes."""

    def __init__(self, keeper: Keeper, path: Path) -> None:
        self._keeper = keeper
        self._path = path
        self._written = 0

    async def run(self) -> None:
        """Write, from when somebody asks for the directory until cancelled."""
        directory = await self._keeper.until_opened()
        while True:
            await self._keeper.changed(self._written)
            begun = time.perf_counter()
            try:
                await self._write(directory)
            except OSError as error:
                log.warning("the registry cannot be written", file=str(self._path), error=str(error))
            await asyncio.sleep(PERIOD_S + REST_TIMES * (time.perf_counter() - begun))

    async def _write(self, directory: Directory) -> None:
        news = directory.since(0)
        await asyncio.to_thread(_replace, self._path, news)
        self._written = news.index

    def close(self) -> None:
        """Write what has changed since the last time."""
        directory = self._keeper.directory
        if self._written and directory.index > self._written:
            _replace(self._path, directory.since(0))


def _replace(path: Path, news: News) -> None:
    """All or nothing; that it outlives a loss of power is not needed."""
    fresh = path.with_name(f"{path.name}.new")
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(msgspec.msgpack.encode(news))
    fresh.replace(path)
