"""The simulated agents of bench.plane, all in this one process, and what the bench may ask of them."""

from __future__ import annotations

import asyncio
import gc
import random
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import uvloop

from bayplan import logs
from bench.plane_agent import Agent, Fleet, Machine
from bench.plane_worker import serve, until

#: Sessions that are opened at the same time in the beginning; after a restart all come back as they will.
OPENING_MAX = 64


class Agents:
    """What the bench may ask of the process."""

    def __init__(self, machines: list[Machine]) -> None:
        self._fleet = Fleet()
        self._agents = [
            Agent(machine, self._fleet, random.Random(number)) for number, machine in enumerate(machines)
        ]
        self._running: list[asyncio.Task[str]] = []

    async def open(self) -> dict[str, Any]:
        """Open all sessions; on return all are welcomed."""
        begun, gate = time.monotonic(), asyncio.Semaphore(OPENING_MAX)

        async def start(agent: Agent) -> None:
            async with gate:
                self._running.append(asyncio.create_task(agent.door.run()))
                await agent.welcomed.wait()

        await asyncio.gather(*map(start, self._agents))
        # A collection that goes through a thousand agents stops them all, for 0.2 s; on a host there is one.
        gc.collect()
        gc.disable()
        return {"seconds": time.monotonic() - begun}

    async def back(self, sessions: int) -> dict[str, Any]:
        """Wait until so many sessions in all have been opened, and all agents are in one."""
        fleet, count = self._fleet, len(self._agents)
        await until(lambda: fleet.sessions >= sessions and fleet.in_session == count)
        return {"at": time.monotonic()}

    async def expect(self, tasks: int) -> dict[str, Any]:
        self._fleet.tally.expect(tasks)
        return {}

    async def reached(self, what: str) -> dict[str, Any]:
        """Wait for what `expect` asked; when each was there (monotonic s)."""
        await until(lambda: what in self._fleet.tally.times)
        return dict(self._fleet.tally.times)

    async def totals(self) -> dict[str, Any]:
        tally = self._fleet.tally
        return {
            "assigned": tally.assigned,
            "healthy": tally.healthy,
            "held": tally.held,
            "ended": tally.ended,
            "sessions": self._fleet.sessions,
            "in_session": self._fleet.in_session,
        }

    async def record(self, prefix: str) -> dict[str, Any]:
        """Note when tasks of services arrive whose names begin so; an empty prefix is none."""
        self._fleet.recorded = prefix
        return {}

    async def arrivals(self) -> dict[str, Any]:
        """What arrived since this was asked last."""
        found, self._fleet.arrivals = self._fleet.arrivals, []
        return {"arrivals": msgspec.to_builtins(found)}


async def main(machines: list[Machine]) -> None:
    await serve(Agents(machines))


if __name__ == "__main__":
    logs.configure("error", "console")  # each agent tells of each try: a tenth of what all of them do
    uvloop.run(main(msgspec.msgpack.decode(Path(sys.argv[1]).read_bytes(), type=list[Machine])))
