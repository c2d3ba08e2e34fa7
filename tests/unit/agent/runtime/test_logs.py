"""Output in chunks, cut into lines and batches."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from agent.commands import PushLogs, StopLogs
from agent.runtime.logs import LINE_BYTES_MAX, Batch, LineSplitter, LogPushes
from agent.runtime.views import time_ns
from bayplan.model import LogStream
from bayplan.session import LogPull

STAMP = b"2026-01-02T03:04:05.000000006Z "
MOMENT_NS = 1_767_323_045_000_000_006


def splitter() -> LineSplitter:
    return LineSplitter("t1", LogStream.STDOUT)


def test_the_engines_time_keeps_its_nanoseconds() -> None:
    assert time_ns("2026-01-02T03:04:05.000000006Z") == MOMENT_NS
    assert time_ns("2026-01-02T04:04:05.000000006+01:00") == MOMENT_NS
    assert time_ns("2026-01-02T03:04:05Z") == MOMENT_NS - 6


def test_lines_come_out_however_they_are_cut_into_chunks() -> None:
    whole = STAMP + b"one\n" + STAMP + b"two \xff\r\n"
    for size in range(1, len(whole) + 1):
        cutter = splitter()
        chunks = [whole[at : at + size] for at in range(0, len(whole), size)]
        lines = [line for chunk in chunks for line in cutter.feed(chunk)]
        assert [line.text for line in lines] == [b"one", b"two \xff"]
        assert {line.time_ns for line in lines} == {MOMENT_NS}


def test_a_last_line_without_an_end_is_not_lost() -> None:
    cutter = splitter()
    assert cutter.feed(STAMP + b"tail") == []
    assert [line.text for line in cutter.finish()] == [b"tail"]
    assert cutter.finish() == []


def test_an_endless_line_is_cut() -> None:
    cutter = splitter()
    lines = cutter.feed(STAMP + b"x" * (LINE_BYTES_MAX + 100))
    assert len(lines) == 1
    assert len(lines[0].text) == LINE_BYTES_MAX


class Engine:
    """An engine whose container talks without end, until it is not listened to."""

    def __init__(self) -> None:
        self.listened = 0
        self.closed = False

    async def logs(self, name: str, query: Any) -> AsyncIterator[tuple[LogStream, bytes]]:
        try:
            while True:
                self.listened += 1
                yield LogStream.STDOUT, STAMP + b"x\n"
                await asyncio.sleep(0)
        finally:
            self.closed = True


async def test_a_slow_controller_slows_the_engine_down_and_a_stop_ends_all() -> None:
    engine, taken = Engine(), []

    async def carry(request_id: str, batches: AsyncIterator[Batch]) -> None:
        async for lines, _ in batches:
            taken.append(len(lines))
            await asyncio.sleep(0.05)

    async with asyncio.TaskGroup() as group:
        pushes = LogPushes(engine, carry, group)  # type: ignore[arg-type]
        pull = LogPull(request_id="r", task_ids=("t1",), follow=True)
        pushes.perform(PushLogs(pull=pull))
        pushes.perform(PushLogs(pull=pull))  # asked twice: served once
        await asyncio.sleep(0.3)
        assert engine.listened < 1_000
        pushes.perform(StopLogs(request_id="r"))
        pushes.perform(StopLogs(request_id="never was"))
    assert len(taken) < 10
    assert engine.closed
