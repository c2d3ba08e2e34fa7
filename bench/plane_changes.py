"""Rows of bench.plane on a fleet at work: many small changes, and a small one beside a large one."""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import grpc.aio

from bayplan.model import StackSpec
from bench.measuring import Report, at_most, percentile
from bench.plane_load import capacity, service, stacks
from bench.plane_world import CALL_S_MAX, World, cost, stall, world, worst

#: Changes a second at most, and the tasks of a small service.
CHANGES_S, SMALL = 200, 5
#: No service is changed again within this time: what a later change overtakes never arrives. In seconds.
CHANGED_AGAIN_S = 5.0
#: How long changes that were made have to arrive, in seconds.
ARRIVE_S_MAX = 10.0
#: Tasks of the small deploy beside the large one, how often it is made, and how often before for comparison.
NEIGHBOUR, NEIGHBOUR_PERIOD_S, NEIGHBOURS_ALONE = 3, 0.25, 10


class Sizes(Protocol):
    """How large these rows are: agents and tasks, and for how long."""

    @property
    def changes(self) -> tuple[int, int]: ...
    @property
    def changes_s(self) -> float: ...
    @property
    def fairness(self) -> tuple[int, int]: ...


class Awaited(NamedTuple):
    """What an agent hears of a change: a task that begins or ends."""

    service: str
    slot: int
    version: int
    begins: bool


@dataclass
class Changer:
    """Changes small services one after the other, as fast as it is told; keeps when each was submitted."""

    made: World
    names: list[str]
    version: Counter[str] = field(default_factory=Counter)
    turns: Counter[str] = field(default_factory=Counter)
    submitted: dict[Awaited, float] = field(default_factory=dict)
    refused: Counter[str] = field(default_factory=Counter)

    async def change(self, number: int) -> None:
        """The next change of a service: one task more, a new version, one task less, and so on."""
        name = self.names[number % len(self.names)]
        turn = self.turns[name] = self.turns[name] + 1
        version = 1 + self.version[name]
        begun = time.monotonic()
        try:
            match turn % 3:
                case 1:
                    self.submitted[Awaited(name, SMALL + 1, version, True)] = begun
                    await self.made.scale(name, SMALL + 1)
                case 2:
                    self.version[name] += 1
                    self.submitted[Awaited(name, 1, version + 1, True)] = begun
                    spec = service(name.partition("_")[2], SMALL + 1, build=version + 1)
                    await self.made.update(name, spec)
                case _:
                    self.submitted[Awaited(name, SMALL + 1, version, False)] = begun
                    await self.made.scale(name, SMALL)
        except grpc.aio.AioRpcError as error:
            self.refused[error.details() or str(error.code())] += 1


async def changes(report: Report, sizes: Sizes, seed: int) -> None:
    """Scaling and updates of small services, CHANGES_S a second, on a fleet that runs."""
    nodes, tasks = sizes.changes
    specs = stacks(tasks, SMALL)
    async with world(nodes, capacity(nodes, 2 * tasks)) as made:
        await _run(made, specs, tasks)
        names = [f"{spec.name}_{each.name}" for spec in specs for each in spec.services]
        random.Random(seed).shuffle(names)
        changer = Changer(made, names)
        await made.agents.ask("record", prefix="bench")
        await worst(made)
        before, begun = cost(made.controller.pid), time.monotonic()
        a_second = min(CHANGES_S, len(names) / CHANGED_AGAIN_S)
        async with asyncio.TaskGroup() as group:
            for number in range(int(sizes.changes_s * a_second)):
                await asyncio.sleep(max(0.0, begun + number / a_second - time.monotonic()))
                group.create_task(changer.change(number))
        took, after = time.monotonic() - begun, cost(made.controller.pid)
        seen = await worst(made)
        waits = await _arrived(changer)
    lost = len(changer.submitted) - len(waits) - changer.refused.total()
    busy = (after.cpu_s - before.cpu_s) / took
    note = f"{len(waits):,} arrived, {changer.refused.total()} refused, {lost} never; "
    note += f"p50 {percentile(waits, 0.5):.1f} ms, controller {busy:.0%} of a core"
    if changer.refused:
        note += f"; {changer.refused.most_common(1)[0][0]}"
    row = f"{a_second:.3g} changes/s on {tasks:,} tasks"
    report.add(
        f"{row}: submit to assigned, p99", percentile(waits, 0.99), "ms", at_most(1_000, 100), note=note
    )
    stall(report, row, seen)


async def _arrived(changer: Changer) -> list[float]:
    """How long each change took to arrive (ms); those that never did are left out."""
    arrivals: list[Any] = []
    until = time.monotonic() + ARRIVE_S_MAX
    while True:
        arrivals += (await changer.made.agents.ask("arrivals"))["arrivals"]
        waits = _waits(changer.submitted, arrivals)
        if len(waits) + changer.refused.total() >= len(changer.submitted) or time.monotonic() >= until:
            return waits
        await asyncio.sleep(0.5)


def _waits(submitted: dict[Awaited, float], arrivals: list[Any]) -> list[float]:
    """For each change that arrived, how long that took (ms); the first of its tasks counts."""
    waits: dict[Awaited, float] = {}
    for name, slot, version, begins, at in sorted(arrivals, key=lambda each: each[-1]):
        grown = Awaited(name, slot, version, begins)
        for what in (grown, grown._replace(slot=1)) if begins else _ends(grown, submitted):
            begun = submitted.get(what)
            if begun is not None and what not in waits and at >= begun:
                waits[what] = (at - begun) * 1_000
    return list(waits.values())


def _ends(what: Awaited, submitted: dict[Awaited, float]) -> list[Awaited]:
    """A slot that goes may still have run the version before."""
    return [what, what._replace(version=what.version + 1)]


async def fairness(report: Report, sizes: Sizes, seed: int) -> None:
    """Small deploys of somebody else while a large one is carried out: how much later they arrive."""
    nodes, tasks = sizes.fairness
    async with world(nodes, capacity(nodes, 2 * tasks)) as made:
        await made.agents.ask("record", prefix="small")
        alone = [await _neighbour(made, f"small{number}") for number in range(NEIGHBOURS_ALONE)]
        await made.agents.ask("expect", tasks=tasks)
        await worst(made)
        deploying = asyncio.create_task(_large(made, tasks))
        beside: list[float] = []
        while not deploying.done():
            await asyncio.sleep(NEIGHBOUR_PERIOD_S)
            beside.append(await _neighbour(made, f"small{NEIGHBOURS_ALONE + len(beside)}"))
        took, seen = deploying.result(), await worst(made)
    usual = statistics.median(alone)
    row = f"beside a deploy of {tasks:,} tasks"
    note = f"{len(beside)} deploys of {NEIGHBOUR} tasks: alone {usual:.1f} ms, beside it "
    note += f"{statistics.median(beside):.1f} ms (median) and {max(beside):.1f} ms (worst)"
    delay = max(0.0, max(beside) - usual)
    report.add(f"{row}: worst delay of a small one", delay, "ms", at_most(100, 100), took, note=note)
    stall(report, row, seen)


async def _large(made: World, tasks: int) -> float:
    begun = time.monotonic()
    for spec in stacks(tasks):
        await made.deploy(spec)
    await made.agents.ask("reached", what="healthy", timeout_s=CALL_S_MAX)
    return time.monotonic() - begun


async def _neighbour(made: World, name: str) -> float:
    """Deploy a few tasks; how long until the last of them is with its agent (ms)."""
    begun = time.monotonic()
    await made.deploy(StackSpec(name=name, services=(service("web", NEIGHBOUR),)))
    arrived: list[float] = []
    while len(arrived) < NEIGHBOUR:
        found = (await made.agents.ask("arrivals", timeout_s=CALL_S_MAX))["arrivals"]
        arrived += [
            at for service_name, _, _, begins, at in found if begins and service_name == f"{name}_web"
        ]
        await asyncio.sleep(0.002)
    return (max(arrived) - begun) * 1_000


async def _run(made: World, specs: list[StackSpec], tasks: int) -> None:
    """Deploy stacks, and wait until all of their tasks are shown as ready."""
    await made.agents.ask("expect", tasks=tasks)
    for spec in specs:
        await made.deploy(spec)
    await made.agents.ask("reached", what="healthy", timeout_s=CALL_S_MAX)
    for spec in specs:
        await made.all_ready(spec.name)
