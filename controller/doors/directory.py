"""The directory as the controller keeps it: a `Source` for surfaces here and for the nodes' copies.

It is made when somebody first asks, and kept up from then on with what the core marks as touched. Only what
is durable gets into it. It knows neither gRPC nor HTTP.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable

from bayplan.directory import Directory, Listing, Origin, key_of
from bayplan.directory.waiting import Waiters
from bayplan.errors import Problem, ProblemKind
from controller import listings
from controller.doors.followers import LOOK_S, Followers
from controller.doors.gate import Gate
from controller.state import State
from controller.upkeep import Upkeep

#: Changes of what can be routed to within this time are told together, in ms.
WINDOW_MS = 10
#: What cannot be routed to (reasons, who is not ready) is told so often, in seconds.
REST_S = 1.0
#: After work the keeper rests for this many times as long: it takes a fifth of the loop's time at most.
PAUSE_TIMES = 4
#: For so long listings are made before others on the loop have a turn, in ms.
SLICE_MS = 5
#: Those who wait for a change at the same time.
WAITERS_MAX = 20_000

_BUSY = Problem(
    kind=ProblemKind.REFUSED,
    summary="too many wait for changes of the registry",
    hint="ask without waiting, or ask the agent of another node",
)


class Keeper:
    """See `bayplan.directory.Source`. Who asks it for anything awaits `opened` before."""

    def __init__(self, gate: Gate, epoch: int) -> None:
        self._gate = gate
        self._upkeep = Upkeep(epoch)
        self.directory = self._upkeep.directory
        self.followers = Followers(gate.post, self._upkeep.revision_at)
        self._asked, self._opened = asyncio.Event(), asyncio.Event()
        self._waiters = Waiters(self.directory, WAITERS_MAX, _BUSY)

    # --- for those who ask ---

    async def opened(self) -> Directory:
        """The directory with everything in it; made now if nobody has asked before."""
        self._asked.set()
        await self._opened.wait()
        return self.directory

    async def until_opened(self) -> Directory:
        """The same, once somebody else has asked."""
        await self._opened.wait()
        return self.directory

    @property
    def is_open(self) -> bool:
        """Whether the directory has everything in it."""
        return self._opened.is_set()

    def origin(self) -> Origin:
        """The controller itself."""
        return Origin(whole=self._upkeep.whole)

    async def changed(self, index: int, key: str = "") -> None:
        """Return when the service of this key (all: "") has changed after an index: at once, if it already
        has, or if this directory has not come as far. Raises ProblemError (REFUSED)."""
        await self.opened()
        await self._waiters.changed(index, key)

    async def fresh(self, stack: str, service: str) -> State:
        """See to it that a service is in the directory as it is in the durable state, which is returned."""
        if not self._opened.is_set():
            await self.opened()
        state = await self._gate.read()
        key = key_of(stack, service)
        if state.touched and key in state.touched:
            self._tell(self._upkeep.put(state, [key]))
        return state

    async def look(self, stack: str, service: str) -> tuple[State, Listing | None]:
        """The durable state, and a listing of it. Who only looks does not make the whole directory."""
        if self.is_open:
            return await self.fresh(stack, service), self.directory.get(stack, service) if stack else None
        state = await self._gate.read()
        return state, listings.listing(state, stack, service) if stack else None

    async def views(self, stack: str, service: str) -> AsyncIterator[Listing | None]:
        """A listing now, and again whenever its revision may have moved, without end."""
        if not self.is_open:
            async for listing in self._views_without(stack, service):
                yield listing
        while True:
            _, listing = await self.look(stack, service)
            index = self.directory.index
            yield listing
            await self.changed(index, key_of(stack, service))

    async def _views_without(self, stack: str, service: str) -> AsyncIterator[Listing | None]:
        """The same until somebody has the directory made."""
        seen: int | None = None
        async for state in self._gate.changes(stack, WINDOW_MS):
            revision = listings.revision(state, stack, service) if stack else 0
            if revision != seen:
                seen = revision
                yield listings.listing(state, stack, service) if stack else None
            if self.is_open:
                return

    # --- keeping it up ---

    async def run(self) -> None:
        """Keep the directory, from when somebody asks until cancelled."""
        await self._asked.wait()
        state = await self._gate.read()
        await self._take(state, self._upkeep.begin(state))
        self._note(state)
        self._opened.set()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow_routes())
            group.create_task(self._follow_rest())
            group.create_task(self._look_at_followers())

    async def _follow_routes(self) -> None:
        """What can be routed to: as soon as it changes."""
        async for state in self._gate.changes(window_ms=WINDOW_MS):
            begun = time.perf_counter()
            await self._take(state, self._upkeep.moved(state))
            self._note(await self._gate.read())
            await asyncio.sleep((time.perf_counter() - begun) * PAUSE_TIMES)

    async def _follow_rest(self) -> None:
        """Everything else, and whether all nodes have come back."""
        while True:
            begun = time.perf_counter()
            state = await self._gate.read()
            await self._take(state, list(state.touched or ()))
            if self._upkeep.complete(await self._gate.read()):
                self._tell({""})
            await asyncio.sleep(REST_S + (time.perf_counter() - begun) * PAUSE_TIMES)

    async def _look_at_followers(self) -> None:
        """Wait no more for those that do not answer."""
        while True:
            await asyncio.sleep(LOOK_S)
            self.followers.look(asyncio.get_running_loop().time())

    async def _take(self, state: State, keys: list[str]) -> None:
        """Take over listings as they are now. Between two slices others have a turn."""
        while keys:
            self._tell(self._upkeep.put(state, keys, _after(SLICE_MS)))
            if keys:
                await asyncio.sleep(0)
                state = await self._gate.read()

    def _note(self, state: State) -> None:
        if self._upkeep.note(state):
            self.followers.tell()

    def _tell(self, keys: set[str]) -> None:
        """Wake those who wait for one of these, or for anything."""
        if keys:
            self._waiters.wake(keys)


def _after(ms: float) -> Callable[[], bool]:
    """Whether so much time has passed."""
    until = time.perf_counter() + ms / 1000
    return lambda: time.perf_counter() >= until
