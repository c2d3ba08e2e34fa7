"""Watches the engine: what happens to our containers becomes events, with nothing missed.

The stream is opened first and the containers are listed after, so that the list can only be newer;
what happens meanwhile is looked at again. An engine that goes away is tried for until it is back.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog

from agent.events import (
    Container,
    ContainerDestroyed,
    ContainerExited,
    ContainerObserved,
    EngineEvent,
    EngineListed,
    EngineLost,
    Fault,
    FaultKind,
    Phase,
)
from agent.runtime.base import Engine, EngineError, EngineEventSeen

#: Containers being inspected at once.
INSPECTIONS_IN_FLIGHT_MAX = 8
#: The engine is asked this often whether it still answers; with the ping's deadline of 6 s a hang is
#: seen within 8 s, and the next heartbeat tells it (promises: 12 s).
PING_PERIOD_S = 2.0
#: Between two tries for an engine that is away.
RETRY_DELAY_S_MIN = 0.1
RETRY_DELAY_S_MAX = 5.0
#: The first stream looks this far back: the engine answers before it has subscribed.
LOOK_BACK_NS = 2_000_000_000

_KILLED = 137
#: The engine may tell that memory ran out a little after it told of the end that this was, in seconds.
OOM_LATE_S = 0.1
_log = structlog.get_logger(__name__)


class Watcher:
    """Posts engine events; gives others a view of a container that no later event contradicts."""

    def __init__(
        self, engine: Engine, post: Callable[[EngineEvent], None], wall_ns: Callable[[], int] = time.time_ns
    ) -> None:
        self._engine = engine
        self._post = post
        self._wall_ns = wall_ns
        self._inspections = asyncio.Semaphore(INSPECTIONS_IN_FLIGHT_MAX)
        #: Counts what happened to a container: a view taken across a change is taken again.
        self._changes: dict[str, int] = {}
        #: While listing: containers to look at again. None otherwise.
        self._dirty: set[str] | None = None
        self._out_of_memory: set[str] = set()
        #: Creates and starts of ours under way, by task; what was seen of them meanwhile, by its container.
        self._own: dict[str, str] = {}
        #: Containers of calls that failed and yet were carried out: to be looked at, since nobody was told.
        self._unheard: set[str] = set()
        self._seen_ns = wall_ns() - LOOK_BACK_NS
        self._horizon_ns = 0
        self._listed = asyncio.Event()
        #: When the engine answered last, by the monotonic clock.
        self._answered_s = time.monotonic()

    async def first_list(self) -> None:
        """Wait until the engine has answered once."""
        await self._listed.wait()

    async def run(self) -> None:
        """Watch until cancelled."""
        delay_s = RETRY_DELAY_S_MIN
        while True:
            self._listed.clear()
            try:
                await self._watch()
            except* EngineError as errors:
                reason = str(errors.exceptions[0])
            if self._listed.is_set():
                delay_s = RETRY_DELAY_S_MIN
            silent_ms = int((time.monotonic() - self._answered_s) * 1000)
            self._post(EngineLost(reason=reason, silent_ms=silent_ms))
            _log.warning("the engine is away", reason=reason, retry_in_s=delay_s)
            await asyncio.sleep(delay_s)
            delay_s = min(delay_s * 2, RETRY_DELAY_S_MAX)

    async def view(self, container_id: str) -> Container:
        """The container as it is, not as it was before an event already posted. Raises EngineError."""
        while True:
            changes = self._changes.get(container_id, 0)
            async with self._inspections:
                container = await self._engine.inspect(container_id)
            if self._changes.get(container_id, 0) == changes:
                return container

    def touch(self, container_id: str) -> None:
        """Something happened to a container: views and lists under way are out of date."""
        self._changes[container_id] = self._changes.get(container_id, 0) + 1
        if self._dirty is not None:
            self._dirty.add(container_id)

    def forget(self, container_id: str) -> None:
        """A container is gone for good."""
        self.touch(container_id)
        self._changes.pop(container_id, None)
        self._out_of_memory.discard(container_id)

    @contextmanager
    def own(self, task_id: str) -> Iterator[None]:
        """A create or start of ours is under way: its outcome tells what its event would, unless it fails
        although the engine did it."""
        self._own[task_id] = ""
        try:
            yield
        except EngineError:
            self._unheard |= {self._own[task_id]} - {""}
            raise
        finally:
            del self._own[task_id]

    async def _watch(self) -> None:
        """Watch one stream until it ends. Raises EngineError in a group."""
        async with asyncio.TaskGroup() as group, self._engine.watch(self._seen_ns) as stream:
            self._answered_s = time.monotonic()
            self._horizon_ns = self._wall_ns()
            self._dirty = set()
            self._unheard.clear()
            group.create_task(self._list())
            group.create_task(self._keep_asking())
            async for event in stream:
                self._seen_ns = event.time_ns
                self._handle(event, group)
            raise EngineError(Fault(kind=FaultKind.UNANSWERED, reason="the engine ended its events"))

    async def _list(self) -> None:
        inventory = await self._engine.inventory()
        networks = await self._engine.list_networks()
        known: dict[str, Container] = {}
        assert self._dirty is not None
        stale = set(await self._engine.list_ids())
        while stale := stale | self._dirty:
            self._dirty = set()
            for container_id, container in await self._views(stale):
                known.pop(container_id, None)
                if container is not None:
                    known[container_id] = container
            stale = set()
        self._dirty = None
        self._listed.set()
        listed = tuple(known[container_id] for container_id in sorted(known))
        self._post(EngineListed(containers=listed, networks=tuple(networks), inventory=inventory))
        _log.info("the engine answers", containers=len(listed), version=inventory.engine_version)

    async def _views(self, container_ids: set[str]) -> list[tuple[str, Container | None]]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._view_or_none(found)) for found in sorted(container_ids)]
        return [task.result() for task in tasks]

    async def _view_or_none(self, container_id: str) -> tuple[str, Container | None]:
        try:
            return container_id, await self.view(container_id)
        except EngineError as error:
            if error.fault.kind is FaultKind.UNANSWERED:
                raise
            return container_id, None

    async def _keep_asking(self) -> None:
        while True:
            await asyncio.sleep(PING_PERIOD_S)
            await self._engine.ping()
            self._answered_s = time.monotonic()
            unheard, self._unheard = self._unheard, set()
            for container_id in sorted(unheard):
                await self._tell_view(container_id)

    def _handle(self, event: EngineEventSeen, group: asyncio.TaskGroup) -> None:
        """Cases: listing is under way or the event is older than it; an exit; an end; anything else."""
        container_id = event.container_id
        self.touch(container_id)
        if event.action == "oom":
            self._out_of_memory.add(container_id)
        if self._dirty is not None:
            return
        replayed = event.time_ns <= self._horizon_ns
        if event.action == "die" and not replayed:
            oom_killed = container_id in self._out_of_memory
            self._out_of_memory.discard(container_id)
            if event.exit_code == _KILLED and not oom_killed:
                group.create_task(self._tell_killed(event))
            else:
                self._tell_exit(event, oom_killed)
        elif event.action == "destroy":
            self.forget(container_id)
            self._post(ContainerDestroyed(task_id=event.task_id, container_id=container_id))
        elif replayed or (event.action != "oom" and event.task_id not in self._own):
            group.create_task(self._tell_view(container_id))
        elif event.action != "oom":
            self._own[event.task_id] = container_id

    async def _tell_view(self, container_id: str) -> None:
        _, container = await self._view_or_none(container_id)
        if container is not None:
            self._post(ContainerObserved(container=container))

    async def _tell_killed(self, event: EngineEventSeen) -> None:
        """A SIGKILL may have been the kernel's, for memory: the event does not tell, the engine does."""
        _, container = await self._view_or_none(event.container_id)
        if container is not None and container.phase is not Phase.EXITED:
            self._post(ContainerObserved(container=container))
            return
        oom_killed = container is not None and container.oom_killed
        if not oom_killed:
            await asyncio.sleep(OOM_LATE_S)
            oom_killed = event.container_id in self._out_of_memory
        self._out_of_memory.discard(event.container_id)
        self._tell_exit(event, oom_killed)

    def _tell_exit(self, event: EngineEventSeen, oom_killed: bool) -> None:
        self._post(
            ContainerExited(
                task_id=event.task_id,
                container_id=event.container_id,
                exit_code=event.exit_code or 0,
                oom_killed=oom_killed,
                at_ms=event.time_ns // 1_000_000,
            )
        )
