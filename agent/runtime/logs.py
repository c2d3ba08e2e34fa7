"""Reads the output of containers for the controller: demultiplexed, cut into lines, bounded.

A reader that is not taken from blocks, and with it the engine's stream: nothing piles up here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from agent.commands import PushLogs, StopLogs
from agent.events import FaultKind
from agent.labels import container_name
from agent.runtime.base import Engine, EngineError, LogQuery
from agent.runtime.views import time_ns
from bayplan.model import LogLine, LogStream
from bayplan.session import LogPull

#: A line is cut at this length (the engine cuts there too).
LINE_BYTES_MAX = 16 * 1024
#: Chunks of the engine's output (16 KiB at most) that wait for the controller, for one request.
QUEUED_CHUNKS_MAX = 64
#: Lines after which a message is sent; one chunk more may come on top.
BATCH_LINES_MAX = 200
#: Requests served at once; a further one is told so.
PULLS_MAX = 32

#: Lines, and a warning for people or "".
Batch = tuple[list[LogLine], str]
Carry = Callable[[str, AsyncIterator[Batch]], Awaitable[None]]


class LineSplitter:
    """Cuts the chunks of one stream into lines. Each line begins with the engine's time stamp."""

    def __init__(self, task_id: str, stream: LogStream) -> None:
        self._task_id = task_id
        self._stream = stream
        self._rest = b""

    def feed(self, chunk: bytes) -> list[LogLine]:
        """The lines that are complete with this chunk."""
        *complete, self._rest = (self._rest + chunk).split(b"\n")
        if len(self._rest) > LINE_BYTES_MAX:
            complete.append(self._rest)
            self._rest = b""
        return [self._line(line) for line in complete]

    def finish(self) -> list[LogLine]:
        """The last line, if it had no end."""
        rest, self._rest = self._rest, b""
        return [self._line(rest)] if rest else []

    def _line(self, raw: bytes) -> LogLine:
        stamp, _, text = raw.partition(b" ")
        try:
            moment_ns = time_ns(stamp.decode("ascii"))
        except ValueError:  # the rest of a line that was cut
            moment_ns, text = 0, raw
        text = text.removesuffix(b"\r")[:LINE_BYTES_MAX]
        return LogLine(time_ns=moment_ns, stream=self._stream, text=text, task_id=self._task_id)


class LogPushes:
    """Performs PushLogs and StopLogs. `carry` takes the batches to the controller and never raises."""

    def __init__(self, engine: Engine, carry: Carry, group: asyncio.TaskGroup) -> None:
        self._engine = engine
        self._carry = carry
        self._group = group
        self._pushes: dict[str, asyncio.Task[None]] = {}

    def perform(self, command: PushLogs | StopLogs) -> None:
        """Start a push, or end one."""
        if isinstance(command, StopLogs):
            push = self._pushes.pop(command.request_id, None)
            if push is not None:
                push.cancel()
            return
        pull = command.pull
        if pull.request_id not in self._pushes:
            full = len(self._pushes) >= PULLS_MAX
            work = self._refuse(pull) if full else self._push(pull)
            push = self._pushes[pull.request_id] = self._group.create_task(work)
            push.add_done_callback(lambda _: self._pushes.pop(pull.request_id, None))

    async def _push(self, pull: LogPull) -> None:
        queue: asyncio.Queue[Batch | None] = asyncio.Queue(QUEUED_CHUNKS_MAX)
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(_read_all(self._engine, pull, queue))
            await self._carry(pull.request_id, _batches(queue))
            reading.cancel()

    async def _refuse(self, pull: LogPull) -> None:
        queue: asyncio.Queue[Batch | None] = asyncio.Queue()
        queue.put_nowait(([], f"this node already serves {PULLS_MAX} requests for output"))
        queue.put_nowait(None)
        await self._carry(pull.request_id, _batches(queue))


async def _batches(queue: asyncio.Queue[Batch | None]) -> AsyncIterator[Batch]:
    """What waits, joined up to a message's size; a warning ends a batch."""
    while (item := await queue.get()) is not None:
        lines, warning = list(item[0]), item[1]
        while not warning and len(lines) < BATCH_LINES_MAX and not queue.empty():
            item = queue.get_nowait()
            if item is None:
                yield lines, warning
                return
            lines += item[0]
            warning = item[1]
        yield lines, warning


async def _read_all(engine: Engine, pull: LogPull, queue: asyncio.Queue[Batch | None]) -> None:
    async with asyncio.TaskGroup() as group:
        for task_id in pull.task_ids:
            group.create_task(_read(engine, task_id, pull, queue))
    await queue.put(None)


async def _read(engine: Engine, task_id: str, pull: LogPull, queue: asyncio.Queue[Batch | None]) -> None:
    splitters = {stream: LineSplitter(task_id, stream) for stream in LogStream}
    query = LogQuery(pull.follow, pull.tail, pull.since_ms)
    try:
        async for stream, chunk in engine.logs(container_name(task_id), query):
            if lines := splitters[stream].feed(chunk):
                await queue.put((lines, ""))
        for splitter in splitters.values():
            if lines := splitter.finish():
                await queue.put((lines, ""))
    except EngineError as error:
        gone = error.fault.kind is FaultKind.NO_CONTAINER
        reason = "it has no container on this node" if gone else error.fault.reason
        await queue.put(([], f"no output of task {task_id}: {reason}"))
