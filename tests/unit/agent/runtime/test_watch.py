"""The watcher in the windows that a real engine rarely shows: during a list, and after a replay."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from msgspec.structs import replace

from agent import events as ev
from agent.runtime import watch
from agent.runtime.base import EngineError, EngineEventSeen
from agent.runtime.watch import Watcher
from bayplan.model import Inventory

HORIZON_NS = 1_000


class ScriptedEngine:
    """An engine whose events the test sends, and whose answers the test can hold back."""

    def __init__(self, *containers: ev.Container) -> None:
        self.containers = {container.container_id: container for container in containers}
        self.stream: asyncio.Queue[EngineEventSeen | None] = asyncio.Queue()
        self.since: list[int] = []
        self.answering = asyncio.Event()
        self.answering.set()
        self.inspected: list[str] = []

    async def ping(self) -> None:
        pass

    async def inventory(self) -> Inventory:
        return Inventory()

    async def list_networks(self) -> list[str]:
        return []

    async def list_ids(self) -> list[str]:
        return list(self.containers)

    async def inspect(self, container_id: str) -> ev.Container:
        self.inspected.append(container_id)
        shown = self.containers.get(container_id)
        await self.answering.wait()
        if shown is None:
            raise EngineError(ev.Fault(kind=ev.FaultKind.NO_CONTAINER, reason="gone"))
        return shown

    @asynccontextmanager
    async def watch(self, since_ns: int) -> AsyncIterator[AsyncIterator[EngineEventSeen]]:
        self.since.append(since_ns)
        yield self._events()

    async def _events(self) -> AsyncIterator[EngineEventSeen]:
        while (event := await self.stream.get()) is not None:
            yield event

    def happens(self, action: str, task_id: str = "t1", time_ns: int = HORIZON_NS + 1, **fields: Any) -> None:
        exit_code = fields.get("exit_code")
        self.stream.put_nowait(EngineEventSeen(action, f"c-{task_id}", task_id, time_ns, exit_code))


def container(task_id: str = "t1", phase: ev.Phase = ev.Phase.RUNNING, **fields: Any) -> ev.Container:
    return ev.Container(task_id=task_id, container_id=f"c-{task_id}", phase=phase, **fields)


DEAD = container(phase=ev.Phase.EXITED, exit_code=1)


@asynccontextmanager
async def watching(engine: ScriptedEngine) -> AsyncIterator[list[ev.EngineEvent]]:
    posted: list[ev.EngineEvent] = []
    watcher = Watcher(engine, posted.append, lambda: HORIZON_NS)
    running = asyncio.create_task(watcher.run())
    try:
        yield posted
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def until(condition: Callable[[], object]) -> None:
    for _ in range(5_000):
        if condition():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("not within 5 s")


async def test_what_changes_during_the_list_is_looked_at_again() -> None:
    engine = ScriptedEngine(container())
    engine.answering.clear()
    async with watching(engine) as posted:
        await until(lambda: engine.inspected)
        engine.containers["c-t1"] = DEAD
        engine.happens("die", exit_code=1)
        await until(engine.stream.empty)
        engine.answering.set()
        await until(lambda: posted)
        assert posted == [ev.EngineListed(containers=(DEAD,), inventory=Inventory())]


async def test_what_appears_during_the_list_is_in_it() -> None:
    engine = ScriptedEngine(container("t1"))
    engine.answering.clear()
    async with watching(engine) as posted:
        await until(lambda: engine.inspected)
        engine.containers["c-t2"] = container("t2")
        engine.happens("create", "t2")
        await until(engine.stream.empty)
        engine.answering.set()
        await until(lambda: posted)
        assert isinstance(posted[0], ev.EngineListed)
        assert [found.task_id for found in posted[0].containers] == ["t1", "t2"]


async def test_an_old_death_that_is_told_again_does_not_kill_the_restarted_container() -> None:
    engine = ScriptedEngine(container())
    async with watching(engine) as posted:
        await until(lambda: posted)
        engine.happens("die", time_ns=HORIZON_NS - 1, exit_code=1)
        await until(lambda: len(posted) == 2)
        assert posted[1] == ev.ContainerObserved(container=container())


async def test_a_death_is_told_without_asking_the_engine() -> None:
    engine = ScriptedEngine(container())
    async with watching(engine) as posted:
        await until(lambda: posted)
        engine.answering.clear()
        engine.happens("die", exit_code=1)
        await until(lambda: len(posted) == 2)
        assert posted[1] == ev.ContainerExited(task_id="t1", container_id="c-t1", exit_code=1)


async def test_a_sigkill_is_asked_about_because_it_may_have_been_for_memory() -> None:
    engine = ScriptedEngine(container())
    async with watching(engine) as posted:
        await until(lambda: posted)
        engine.containers["c-t1"] = replace(DEAD, exit_code=137, oom_killed=True)
        engine.happens("die", exit_code=137)
        await until(lambda: len(posted) == 2)
        told = posted[1]
        assert isinstance(told, ev.ContainerExited) and told.oom_killed


@pytest.mark.parametrize("late", [True, False])
async def test_memory_that_ran_out_may_be_told_after_the_end(late: bool) -> None:
    engine = ScriptedEngine(container())
    async with watching(engine) as posted:
        await until(lambda: posted)
        engine.containers["c-t1"] = replace(DEAD, exit_code=137)
        engine.happens("die", exit_code=137)
        if late:
            engine.happens("oom")
        await until(lambda: len(posted) == 2)
        told = posted[1]
        assert isinstance(told, ev.ContainerExited) and told.oom_killed is late


async def test_a_view_taken_across_a_death_is_taken_again() -> None:
    engine = ScriptedEngine(container())
    async with watching(engine) as posted:
        await until(lambda: posted)
        engine.answering.clear()
        engine.happens("health_status")  # shows the container running, but late
        await until(lambda: len(engine.inspected) == 2)
        engine.containers["c-t1"] = DEAD
        engine.happens("die", exit_code=1)
        await until(lambda: len(posted) == 2)
        engine.answering.set()
        await until(lambda: len(posted) == 3)
        assert posted[2] == ev.ContainerObserved(container=DEAD)


async def test_after_a_loss_the_stream_goes_on_where_it_ended() -> None:
    engine = ScriptedEngine(container())
    async with watching(engine) as posted:
        await until(lambda: posted)
        engine.happens("oom", time_ns=5_000)
        engine.stream.put_nowait(None)
        await until(lambda: len(posted) == 3)
        assert [type(event) for event in posted] == [ev.EngineListed, ev.EngineLost, ev.EngineListed]
        assert engine.since[1] == 5_000


async def test_what_a_failed_call_of_ours_made_all_the_same_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Found by the simulator as seed 1986: a container stayed of which nobody knew until the next list."""
    monkeypatch.setattr(watch, "PING_PERIOD_S", 0.01)
    engine, posted = ScriptedEngine(), list[ev.EngineEvent]()
    watcher = Watcher(engine, posted.append, lambda: HORIZON_NS)
    running = asyncio.create_task(watcher.run())
    await until(lambda: posted)
    made = engine.containers["c-t1"] = container(phase=ev.Phase.CREATED)
    with pytest.raises(EngineError), watcher.own("t1"):
        engine.happens("create")
        await until(engine.stream.empty)
        await asyncio.sleep(0)
        raise EngineError(ev.Fault(kind=ev.FaultKind.UNANSWERED, reason="no answer in time"))
    await until(lambda: len(posted) == 2)
    assert posted[1] == ev.ContainerObserved(container=made)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
