"""The witness as a process of its own, against the controller's real port for it."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from agent.doors.witnessing import WitnessKeeper
from bayplan.session import Welcome
from controller.doors import witness as door_module
from controller.doors.witness import WitnessDoor
from controller.events import WitnessLost, WitnessOpened


class Gate:
    """Takes events as the real one does."""

    def __init__(self) -> None:
        self.events: list[WitnessOpened | WitnessLost] = []

    def post(self, event: Any) -> None:
        self.events.append(event)

    def standing(self) -> set[str]:
        """The connections that stand."""
        opened = {event.witness for event in self.events if isinstance(event, WitnessOpened)}
        return opened - {event.witness for event in self.events if isinstance(event, WitnessLost)}


class Machine:
    """A node's folder and its agents, one after the other, beside a controller's door."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.gate = folder, Gate()
        self.door = WitnessDoor(self.gate)  # type: ignore[arg-type]
        self.keeper = self.agent()
        self.writers: list[asyncio.StreamWriter] = []

    def agent(self) -> WitnessKeeper:
        return WitnessKeeper(self.folder, lambda: "127.0.0.1")

    async def call(self, said: bytes = b"") -> asyncio.StreamReader:
        """Somebody connects and says this."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.door.port)
        self.writers.append(writer)
        writer.write(said)
        return reader

    async def open(self) -> None:
        self.server = await self.door.listen("127.0.0.1", 0)

    def welcome(self, keeper: WitnessKeeper) -> None:
        ticket = self.door.ticket("n1")
        welcome = Welcome(session_id="s", epoch=1, heartbeat_ms=100)
        keeper.welcomed(replace(welcome, witness_port=self.door.port, witness_ticket=ticket))

    def pids(self) -> list[int]:
        """The witnesses of this folder that run."""
        return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if self._mine(pid)]

    def _mine(self, pid: int) -> bool:
        try:
            line = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return False
        return b"witness.py" in line and os.fsencode(self.folder) in line

    async def until(self, what: str, so: Callable[[], object], timeout_s: float = 10) -> None:
        began = time.monotonic()
        while not so():
            assert time.monotonic() - began < timeout_s, f"not within {timeout_s:g} s: {what}"
            await asyncio.sleep(0.02)


@pytest.fixture
async def machine(tmp_path: Path) -> AsyncIterator[Machine]:
    made = Machine(tmp_path / "n1" / "witness")
    await made.open()
    yield made
    for pid in made.pids():
        os.kill(pid, signal.SIGKILL)
    for writer in made.writers:
        writer.close()
    made.server.close()
    await asyncio.sleep(0.05)


async def test_a_witness_shows_the_ticket_of_the_session(machine: Machine) -> None:
    machine.welcome(machine.keeper)
    await machine.until("it shows its ticket", machine.gate.standing)
    assert [event.node_id for event in machine.gate.events] == ["n1"]


async def test_a_witness_that_is_killed_is_noticed_at_once(machine: Machine) -> None:
    machine.welcome(machine.keeper)
    await machine.until("it shows its ticket", machine.gate.standing)
    (pid,) = machine.pids()
    os.kill(pid, signal.SIGKILL)
    began = time.monotonic()
    await machine.until("it is lost", lambda: not machine.gate.standing())
    assert time.monotonic() - began < 0.5


async def test_the_next_agent_takes_the_witness_over_without_a_gap(machine: Machine) -> None:
    machine.welcome(machine.keeper)
    await machine.until("it shows its ticket", machine.gate.standing)
    before = machine.pids()
    machine.welcome(machine.agent())
    await machine.until("it shows the new one", lambda: len(machine.gate.events) == 3)
    assert [type(event) for event in machine.gate.events] == [WitnessOpened, WitnessOpened, WitnessLost]
    assert machine.pids() == before


async def test_a_witness_that_died_is_started_again_with_the_next_session(machine: Machine) -> None:
    machine.welcome(machine.keeper)
    await machine.until("it shows its ticket", machine.gate.standing)
    (pid,) = machine.pids()
    os.kill(pid, signal.SIGKILL)
    await machine.until("it is gone", lambda: not machine.gate.standing())
    machine.welcome(machine.keeper)
    await machine.until("another stands", machine.gate.standing)


async def test_a_witness_ends_when_its_node_is_dismissed(machine: Machine) -> None:
    machine.welcome(machine.keeper)
    await machine.until("it shows its ticket", machine.gate.standing)
    machine.keeper.dismissed()
    await machine.until("it has ended", lambda: not machine.gate.standing())


async def test_a_witness_ends_when_its_folder_is_gone(machine: Machine) -> None:
    machine.welcome(machine.keeper)
    await machine.until("it shows its ticket", machine.gate.standing)
    for name in ("told", "lock"):
        (machine.folder / name).unlink()
    machine.folder.rmdir()
    await machine.until("it has ended", lambda: not machine.gate.standing())


async def test_a_witness_is_small(machine: Machine) -> None:
    machine.welcome(machine.keeper)
    await machine.until("it shows its ticket", machine.gate.standing)
    (pid,) = machine.pids()
    assert _pages(pid) * os.sysconf("SC_PAGE_SIZE") < 16 * 2**20


@pytest.mark.parametrize("said", [b"0" * 32 + b"\n", b"\n" * 33, b"x" * 100, bytes(range(33)), b"\xff" * 33])
async def test_who_has_no_ticket_is_hung_up_on(machine: Machine, said: bytes) -> None:
    machine.door.ticket("n1")
    reader = await machine.call(said)
    assert await asyncio.wait_for(_rest(reader), 2) == b""
    assert machine.gate.events == []


def _pages(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1])


async def _rest(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read()
    except ConnectionError:
        return b""


async def test_who_says_nothing_is_hung_up_on(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door_module, "TICKET_TIMEOUT_S", 0.2)
    reader = await machine.call()
    assert await asyncio.wait_for(_rest(reader), 2) == b""


async def test_strangers_are_bounded(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door_module, "STRANGERS_MAX", 2)
    for _ in range(2):
        await machine.call()
    await asyncio.sleep(0.05)
    reader = await machine.call()
    assert await asyncio.wait_for(_rest(reader), 2) == b""


async def test_an_older_ticket_is_void_and_so_is_a_removed_nodes(machine: Machine) -> None:
    old = machine.door.ticket("n1")
    new = machine.door.ticket("n1")
    for ticket, good in ((old, False), (new, True)):
        reader = await machine.call(f"{ticket}\n".encode())
        try:
            answer = await asyncio.wait_for(reader.read(10), 2)
        except ConnectionError:
            answer = b""
        assert answer == (door_module.WELCOME if good else b"")
    machine.door.revoke("n1")
    assert await asyncio.wait_for(_rest(reader), 2) == b""
    await machine.until("its end is told", lambda: not machine.gate.standing())
