"""What waits for one agent, and when the next of its desired sets is made.

Of the desired set only the newest matters, and few are in flight at a time: the core says no more than that
it has changed, and it is made when the agent has acknowledged (Report.revision) those before and all that was
decided is durable. So a slow agent costs no memory, and many changes are one message.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable

from bayplan.model import Assignments
from bayplan.session import ControllerSays, Files
from bayplan.session_wire import Shelf, Speaker

#: Messages other than assignments that may wait for one agent; more end the session.
OUTBOX_MESSAGES_MAX = 1_000
#: Contents of files that may wait for one agent; of more it is told when it asks again.
OUTBOX_BYTES_MAX = 16 * 1024 * 1024
#: Desired sets that an agent has not acknowledged, which it does with its next report (up to a second later):
#: large work waits for that, and becomes few messages; small work waits only behind several.
IN_FLIGHT_BULK_MAX, IN_FLIGHT_MAX = 1, 4
#: Desired sets are made for so long, then whatever else waits has its turn.
MAKING_MS_MAX = 5

#: Gives all that a node shall have now; None for a node that is no more.
SetOf = Callable[[str], Assignments | None]


class Outbox:
    """What waits for one agent. `wanted` is told when a set is to be made for it: whether as large work."""

    def __init__(self, node_id: str, shelf: Shelf, wanted: Callable[[Outbox, bool], None]) -> None:
        self.node_id = node_id
        self._speaker = Speaker(shelf)
        self._wanted = wanted
        self._others: deque[ControllerSays] = deque()
        self._bytes = 0
        self._made = b""
        #: The set is not what was said last; and whether only large work has changed it.
        self._changed = False
        self._bulk = True
        #: The revision of the set that was made last, and those of the sets that are not acknowledged.
        self._newest = 0
        self._in_flight: deque[int] = deque()
        self._something = asyncio.Event()
        self._closed = False

    def put(self, message: ControllerSays) -> None:
        """Queue a message that is no desired set. An agent that does not read is dropped."""
        if isinstance(message, Files):
            size = sum(map(len, message.contents.values()))
            if self._bytes and self._bytes + size > OUTBOX_BYTES_MAX:
                return
            self._bytes += size
        if len(self._others) >= OUTBOX_MESSAGES_MAX:
            self._closed = True
        else:
            self._others.append(message)
        self._something.set()

    def changed(self, *, bulk: bool = False) -> None:
        """What the node shall have has changed; `bulk`: large work did it, which lets small work go first."""
        before = self._changed, self._bulk
        self._bulk = bulk and (self._bulk or not self._changed)
        self._changed = True
        if before != (self._changed, self._bulk):
            self._want()

    def acknowledged(self, revision: int) -> None:
        """The agent has taken over assignments up to here."""
        while self._in_flight and revision >= self._in_flight[0]:
            self._in_flight.popleft()
        self._want()

    def _want(self) -> None:
        if self._may_make():
            self._wanted(self, self._bulk)

    def _may_make(self) -> bool:
        """Whether another set is wanted, the one before has left, and not too many are on their way."""
        most = IN_FLIGHT_BULK_MAX if self._bulk else IN_FLIGHT_MAX
        return self._changed and not self._made and not self._closed and len(self._in_flight) < most

    def make(self, set_of: SetOf) -> None:
        """Make the newest set and queue it, if one is still wanted. All that was decided is durable now."""
        if not self._may_make():
            return
        self._changed = False
        message = set_of(self.node_id)
        # One that was made after the change it is to tell of was decided has told it.
        if message is not None and message.revision > self._newest:
            self._newest = message.revision
            self._in_flight.append(message.revision)
            self._made = self._speaker.say(message)
            self._something.set()

    def close(self) -> None:
        """End the stream after what is queued already."""
        self._closed = True
        self._something.set()

    async def messages(self) -> AsyncIterator[bytes]:
        """What to send, in order, until closed."""
        while True:
            self._something.clear()
            while self._others:
                message = self._others.popleft()
                if isinstance(message, Files):
                    self._bytes -= sum(map(len, message.contents.values()))
                yield self._speaker.say(message)
            if self._closed:
                return
            if self._made:
                made, self._made = self._made, b""
                self._want()
                yield made
                continue
            await self._something.wait()


class SetMaker:
    """Makes desired sets for outboxes, a few at a time: small work first, then in the order of wishes.

    `settled` waits until all that was decided is durable.
    """

    def __init__(self, settled: Callable[[], Awaitable[None]], set_of: SetOf) -> None:
        self._settled = settled
        self._set_of = set_of
        self._small: deque[Outbox] = deque()
        self._large: deque[Outbox] = deque()
        self._some = asyncio.Event()

    def want(self, outbox: Outbox, bulk: bool) -> None:
        """Make a set for an outbox soon. To be told twice does no harm."""
        (self._large if bulk else self._small).append(outbox)
        self._some.set()

    async def run(self) -> None:
        """Make what is wanted, until cancelled."""
        while True:
            await self._some.wait()
            await self._settled()
            self._make()
            await asyncio.sleep(0)

    def _make(self) -> None:
        until = time.perf_counter() + MAKING_MS_MAX / 1000
        while waiting := self._small or self._large:
            waiting.popleft().make(self._set_of)
            if time.perf_counter() > until:
                return
        self._some.clear()
