"""The loop around a core: what is durable, and when."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from bayplan import pump as pump_module
from bayplan.model import Now
from bayplan.pump import InboxFullError, Pump
from bayplan.step import OneByOne, Step


class Echo:
    """Keeps and does whatever it is told; wants to be woken when told so."""

    def __init__(self) -> None:
        self.due: int | None = None
        self.woken = 0
        self.step_s = self.spent_s = 0.0

    def step(self, event: str, now: Now) -> Step:
        self.spent_s += self.step_s
        return Step([f"keep {event}"], [f"do {event}"])

    def wake(self, now: Now) -> Step:
        if self.due is not None and now.mono_ms >= self.due:
            self.due, self.woken = None, self.woken + 1
        return Step([], [])

    def wake_at(self) -> int | None:
        return self.due


class Slow:
    """A keeper that is slow, and may fail."""

    def __init__(self, log: list[str]) -> None:
        self.log = log
        self.gate = asyncio.Event()
        self.batches: list[int] = []
        self.broken = False

    async def append(self, changes: Sequence[Any]) -> None:
        await self.gate.wait()
        if self.broken:
            raise OSError("no space left on device")
        self.batches.append(len(changes))
        self.log += changes


@asynccontextmanager
async def running() -> AsyncIterator[tuple[Pump[str], Slow, list[str], Echo]]:
    log: list[str] = []
    core, keeper = Echo(), Slow(log)
    pump: Pump[str] = Pump(OneByOne(core), keeper, log.append)
    task = asyncio.create_task(pump.run())
    yield pump, keeper, log, core
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def turns(count: int = 20) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_nothing_is_done_before_it_is_durable() -> None:
    async with running() as (pump, keeper, log, _):
        pump.post("a")
        await turns()
        assert log == []
        keeper.gate.set()
        await turns()
        assert log == ["keep a", "do a"]


async def test_what_arrives_during_a_commit_is_committed_together() -> None:
    async with running() as (pump, keeper, log, _):
        pump.post("a")
        await turns()
        for name in "bcd":
            pump.post(name)
        keeper.gate.set()
        await turns()
        assert keeper.batches == [1, 3]
        assert log[2:] == ["keep b", "keep c", "keep d", "do b", "do c", "do d"]


async def test_readers_wait_for_what_is_not_durable_yet() -> None:
    async with running() as (pump, keeper, _, _):
        await pump.settled()
        pump.post("a")
        await turns()
        reader = asyncio.create_task(pump.settled())
        await turns()
        assert not reader.done()
        keeper.gate.set()
        await asyncio.wait_for(reader, 1)


async def test_a_failing_store_ends_the_pump_and_nothing_is_done() -> None:
    log: list[str] = []
    keeper = Slow(log)
    keeper.broken = True
    keeper.gate.set()
    pump: Pump[str] = Pump(OneByOne(Echo()), keeper, log.append)
    pump.post("a")
    with pytest.raises(OSError, match="no space"):
        await asyncio.wait_for(pump.run(), 1)
    assert log == []


async def test_the_core_is_woken_when_it_asked_to_be() -> None:
    async with running() as (pump, keeper, _, core):
        keeper.gate.set()
        core.due = pump_module.read_clock().mono_ms + 30
        pump.post("a")
        await asyncio.sleep(0.2)
        assert core.woken == 1


async def test_a_full_inbox_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pump_module, "INBOX_EVENTS_MAX", 2)
    pump: Pump[str] = Pump(OneByOne(Echo()), Slow([]), print)
    pump.post("a")
    pump.post("b")
    with pytest.raises(InboxFullError):
        pump.post("c")


async def test_a_batch_takes_events_for_so_long_and_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pump_module, "BATCH_MS_MAX", 20)
    async with running() as (pump, keeper, _, core):
        core.step_s = 0.015
        monkeypatch.setattr(time, "perf_counter", lambda: core.spent_s)
        for name in "abcde":
            pump.post(name)
        keeper.gate.set()
        await turns(60)
        assert keeper.batches == [2, 2, 1]


async def test_a_batch_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pump_module, "BATCH_EVENTS_MAX", 2)
    async with running() as (pump, keeper, _, _):
        for name in "abcde":
            pump.post(name)
        keeper.gate.set()
        await turns(60)
        assert keeper.batches == [2, 2, 1]


async def test_the_core_is_told_since_when_events_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pump_module, "BATCH_EVENTS_MAX", 1)
    clock, heard = itertools.count(10), []

    class Listening(OneByOne[str]):
        def settle(self, now: Now, heard_ms: int | None = None) -> Step:
            heard.append((now.mono_ms, heard_ms))
            return super().settle(now, heard_ms)

    pump: Pump[str] = Pump(Listening(Echo()), Slow([]), print, lambda: Now(next(clock), 0))
    for name in "ab":  # they come at 11 and 12
        pump.post(name)
    pump._turn()
    pump._turn()
    assert heard == [(13, 12), (14, 14)]
