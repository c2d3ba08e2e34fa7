"""Waits for changes of a directory: many who ask, one who wakes them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from bayplan.directory.directory import Directory
from bayplan.errors import Problem, ProblemError


class Waiters:
    """Those who wait for changes of a directory, `most` of them at the same time; others are told `busy`."""

    def __init__(self, directory: Directory, most: int, busy: Problem) -> None:
        self._directory, self._most, self._busy = directory, most, busy
        self._waiting: dict[str, set[asyncio.Future[None]]] = {}
        self._count = 0

    async def changed(self, index: int, key: str) -> None:
        """Return when the service of this key (all: "") has changed after an index: at once, if it already
        has, or if the directory has not come as far. Raises ProblemError when too many wait."""
        while self._changed_at(key) <= index <= self._directory.index:
            if self._count >= self._most:
                raise ProblemError(self._busy)
            woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.setdefault(key, set()).add(woken)
            self._count += 1
            try:
                await woken
            finally:
                self._count -= 1
                self._forget(key, woken)

    def wake(self, keys: Iterable[str]) -> None:
        """Wake those who wait for one of these services, or for anything."""
        for key in {*keys, ""} & self._waiting.keys():
            for waiter in self._waiting[key]:
                if not waiter.done():
                    waiter.set_result(None)

    def _forget(self, key: str, waiter: asyncio.Future[None]) -> None:
        mine = self._waiting[key]
        mine.discard(waiter)
        if not mine:
            del self._waiting[key]

    def _changed_at(self, key: str) -> int:
        if not key:
            return self._directory.index
        service, _, stack = key.rpartition(".")
        return self._directory.changed_at(stack, service)
