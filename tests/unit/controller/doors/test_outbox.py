"""What waits for an agent: the newest set when it can be taken, small work first, and bounded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bayplan.model import Assignments
from bayplan.session import ControllerSays, Files, Preflight, Pulse
from bayplan.session_wire import Listener, Shelf
from controller.doors import outbox as outbox_module
from controller.doors.load import WINDOW_MS_MAX, WINDOW_MS_MIN, Load
from controller.doors.outbox import IN_FLIGHT_MAX, OUTBOX_MESSAGES_MAX, Outbox, SetMaker


class Desk:
    """Outboxes and their maker, without a controller: `revision` is that of the sets that are made."""

    def __init__(self) -> None:
        self.revision = 1
        self.durable = asyncio.Event()
        self.durable.set()
        self.made: list[str] = []
        self.maker = SetMaker(self._settled, self._set_of)
        self.shelf = Shelf()

    async def _settled(self) -> None:
        while not self.durable.is_set():
            await self.durable.wait()

    def _set_of(self, node_id: str) -> Assignments | None:
        self.made.append(node_id)
        return None if node_id == "gone" else Assignments(revision=self.revision)

    def agent(self, node_id: str = "n1") -> Agent:
        return Agent(Outbox(node_id, self.shelf, self.maker.want))


class Agent:
    """Reads its outbox as fast as it is filled."""

    def __init__(self, outbox: Outbox) -> None:
        self.outbox = outbox
        self.heard: list[ControllerSays] = []
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        listener = Listener()
        async for message in self.outbox.messages():
            self.heard.append(listener.hear(message))

    @property
    def over(self) -> bool:
        return self._reading.done()

    @property
    def revisions(self) -> list[int]:
        return [message.revision for message in self.heard if isinstance(message, Assignments)]


@asynccontextmanager
async def desk() -> AsyncIterator[Desk]:
    found = Desk()
    making = asyncio.create_task(found.maker.run())
    yield found
    making.cancel()


async def turns(count: int = 20) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_of_large_work_one_set_is_in_flight_and_the_next_is_the_newest() -> None:
    async with desk() as it:
        agent = it.agent()
        for it.revision in (1, 2, 3, 4):
            agent.outbox.changed(bulk=True)
            await turns()
        assert agent.revisions == [1]
        agent.outbox.acknowledged(1)
        await turns()
        assert agent.revisions == [1, 4]
        agent.outbox.acknowledged(4)
        await turns()
        assert agent.revisions == [1, 4], "nothing has changed since"


async def test_small_work_does_not_wait_for_the_next_report_but_behind_several_sets() -> None:
    async with desk() as it:
        agent = it.agent()
        for it.revision in range(1, IN_FLIGHT_MAX + 3):
            agent.outbox.changed()
            await turns()
        sent = list(range(1, IN_FLIGHT_MAX + 1))
        assert agent.revisions == sent
        agent.outbox.acknowledged(2)
        await turns()
        assert agent.revisions == [*sent, IN_FLIGHT_MAX + 2]


async def test_a_set_that_was_not_taken_yet_is_waited_for() -> None:
    async with desk() as it:
        outbox = Outbox("n1", it.shelf, it.maker.want)
        for it.revision in (1, 2, 3):
            outbox.changed()
            await turns()
        assert it.made == ["n1"]
        agent = Agent(outbox)
        await turns()
        assert agent.revisions == [1, 3]


async def test_an_acknowledgement_of_an_older_set_lets_nothing_go() -> None:
    async with desk() as it:
        agent, it.revision = it.agent(), 7
        agent.outbox.changed(bulk=True)
        await turns()
        agent.outbox.changed(bulk=True)
        agent.outbox.acknowledged(6)
        await turns()
        assert agent.revisions == [7]


async def test_no_set_is_made_before_all_is_durable() -> None:
    async with desk() as it:
        agent = it.agent()
        it.durable.clear()
        agent.outbox.changed()
        await turns()
        assert it.made == []
        it.revision = 2
        it.durable.set()
        await turns()
        assert agent.revisions == [2]


async def test_small_work_goes_before_large_work() -> None:
    async with desk() as it:
        it.durable.clear()
        for number in range(4):
            it.agent(f"large-{number}").outbox.changed(bulk=True)
        both = it.agent("both")
        both.outbox.changed(bulk=True)
        it.agent("small").outbox.changed()
        both.outbox.changed()
        it.durable.set()
        await turns()
        assert it.made == ["small", "both", "large-0", "large-1", "large-2", "large-3"]


async def test_sets_are_made_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    async with desk() as it:
        it.durable.clear()
        agents = [it.agent(f"n{number}") for number in range(3)]
        for agent in agents:
            agent.outbox.changed()
        monkeypatch.setattr(outbox_module, "MAKING_MS_MAX", 0.000_001)
        it.durable.set()
        seen = []
        for _ in range(20):
            await asyncio.sleep(0)
            seen.append(len(it.made))
        assert {1, 2} < set(seen)
        assert len(it.made) == 3


async def test_a_node_that_is_gone_is_told_nothing() -> None:
    async with desk() as it:
        agent = it.agent("gone")
        agent.outbox.changed()
        await turns()
        assert agent.heard == []


async def test_an_agent_that_does_not_read_is_dropped() -> None:
    async with desk() as it:
        agent = it.agent()
        for number in range(OUTBOX_MESSAGES_MAX + 1):
            agent.outbox.put(Pulse(number=number))
        await turns(2_000)
        assert agent.over
        assert len(agent.heard) == OUTBOX_MESSAGES_MAX


async def test_contents_beyond_the_limit_are_left_for_when_they_are_asked_for_again() -> None:
    async with desk() as it:
        agent = it.agent()
        half = outbox_module.OUTBOX_BYTES_MAX // 2
        for name in ("a", "b", "c"):
            agent.outbox.put(Files(contents={name: bytes(half)}))
        agent.outbox.put(Preflight(ticket="p"))
        await turns()
        assert [list(m.contents) for m in agent.heard if isinstance(m, Files)] == [["a"], ["b"]]
        assert not agent.over
        agent.outbox.put(Files(contents={"c": bytes(half)}))
        await turns()
        assert list(agent.heard[-1].contents) == ["c"]  # type: ignore[union-attr]


async def test_what_waits_is_said_before_the_end() -> None:
    async with desk() as it:
        agent = it.agent()
        agent.outbox.put(Pulse(number=1))
        agent.outbox.close()
        await turns()
        assert agent.over
        assert agent.heard == [Pulse(number=1)]


class Clocks:
    """A process that works for some share of the time."""

    def __init__(self) -> None:
        self.wall = self.cpu = 0.0
        self.load = Load(lambda: self.wall, lambda: self.cpu)

    def work(self, share: float) -> None:
        self.wall += 1.0
        self.cpu += share


def test_agents_wait_longer_the_busier_the_controller_and_the_more_of_them() -> None:
    clocks = Clocks()
    clocks.work(0.1)
    assert clocks.load.window_ms(5_000) == WINDOW_MS_MIN
    clocks.work(0.5)
    half = clocks.load.window_ms(5_000)
    clocks.work(1.5)
    assert WINDOW_MS_MIN < half < clocks.load.window_ms(5_000) == WINDOW_MS_MAX
    assert clocks.load.window_ms(1_000) == 400
    assert clocks.load.window_ms(10) == WINDOW_MS_MIN
    clocks.work(0.0)
    assert clocks.load.window_ms(5_000) == WINDOW_MS_MIN
