"""The one loop around a pure core: inbox -> step -> persist -> perform.

Both daemons run it. It knows neither what events mean nor what commands do. Changes are durable
before any command of the same batch is performed, so nothing is said that a crash could unsay;
draining the inbox in batches gives group commit for free.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Generic, Protocol, TypeVar

from bayplan.model import Now
from bayplan.step import Core, Step

#: Events that may wait. A door that can wait does; others answer "busy".
INBOX_EVENTS_MAX = 50_000
#: Events handled before one commit, and for how long they are taken: bounds the latency of the first of them,
#: and how long everything else on the loop stands still. What settling them takes is the core's to bound.
BATCH_EVENTS_MAX = 1_000
BATCH_MS_MAX = 5

EventT = TypeVar("EventT")


class Keeper(Protocol):
    """Durable memory: the controller's store, the agent's journal."""

    async def append(self, changes: Sequence[Any]) -> None:
        """Make the changes durable, all or none. Raises when it cannot: the daemon then ends."""


class InboxFullError(Exception):
    """More than INBOX_EVENTS_MAX events wait; the caller tries again later."""


def read_clock() -> Now:
    """This moment by the machine's clocks."""
    return Now(time.monotonic_ns() // 1_000_000, time.time_ns() // 1_000_000)


class Pump(Generic[EventT]):
    """Feeds a core from an inbox, one batch at a time, until cancelled.

    `perform` takes each command after its batch is durable; it must not block or raise.
    """

    def __init__(
        self,
        core: Core[EventT],
        keeper: Keeper,
        perform: Callable[[Any], None],
        clock: Callable[[], Now] = read_clock,
    ) -> None:
        self._core = core
        self._keeper = keeper
        self._perform = perform
        self._clock = clock
        #: Events that wait, and beside each when it came (monotonic ms).
        self._inbox: deque[EventT] = deque()
        self._came_ms: deque[int] = deque()
        self._arrived = asyncio.Event()
        self._settled = asyncio.Event()
        self._settled.set()
        self.turned_mono_ms = clock().mono_ms

    def post(self, event: EventT) -> None:
        """Put an event into the inbox. Raises InboxFullError."""
        if len(self._inbox) >= INBOX_EVENTS_MAX:
            raise InboxFullError
        self._inbox.append(event)
        self._came_ms.append(self._clock().mono_ms)
        self._arrived.set()

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing is being made durable."""
        return not self._inbox and self._settled.is_set()

    async def settled(self) -> None:
        """Wait until all that the core has decided is durable: readers see nothing that can be unsaid."""
        while not self._settled.is_set():
            await self._settled.wait()

    async def run(self) -> None:
        """Pump until cancelled. An exception of the core or the keeper ends it: the daemon reloads."""
        while True:
            await self._wait_for_work()
            self._arrived.clear()
            changes, commands = self._turn()
            if changes:
                self._settled.clear()
                await self._keeper.append(changes)
                self._settled.set()
            for command in commands:
                self._perform(command)
            await asyncio.sleep(0)  # let doors run between two full batches

    async def _wait_for_work(self) -> None:
        wake_at = self._core.wake_at()
        if self._inbox:
            return
        delay = None if wake_at is None else max(0.0, (wake_at - self._clock().mono_ms) / 1000)
        try:
            async with asyncio.timeout(delay):
                await self._arrived.wait()
        except TimeoutError:
            pass

    def _turn(self) -> Step:
        now, until = self._clock(), time.perf_counter() + BATCH_MS_MAX / 1000
        for _ in range(min(len(self._inbox), BATCH_EVENTS_MAX)):
            self._came_ms.popleft()
            self._core.take(self._inbox.popleft(), now)
            if time.perf_counter() > until:
                break
        heard_ms = self._came_ms[0] if self._came_ms else now.mono_ms
        step = self._core.settle(now, heard_ms)
        self.turned_mono_ms = now.mono_ms
        return step
