"""What the control plane costs: a real controller (mTLS, SQLite with full sync) and simulated agents.

The agents are a second process, each with a certificate and a gRPC stream of its own; they run no containers
but say so as real ones do. Times are from the submit of a request to what the agents were told and have said,
and to what the controller then shows. Rows can be chosen by name: `python -m bench.plane deploy restart`.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

import uvloop

from bayplan.model import StackSpec
from bench.measuring import Options, Report, at_least, at_most, options, percentile
from bench.plane_changes import changes, fairness
from bench.plane_load import capacity, service, stacks
from bench.plane_world import CALL_S_MAX, World, cost, forget_peak, stall, world, worst

#: Pause between two submits of one task, in seconds, drawn evenly up to this.
PAUSE_S_MAX = 0.05
#: After this time nothing more comes of what was done, in seconds.
SETTLED_S = 2.0

#: Agents and tasks.
Fleet = tuple[int, int]
Row = Callable[[Report, "Sizes", int], Awaitable[None]]


@dataclass(frozen=True)
class Sizes:
    """How large the rows are: agents and tasks of each, and how often something is done or for how long."""

    deploy: tuple[Fleet, ...] = ((1_000, 100_000), (5_000, 2_000_000))
    one: Fleet = (1_000, 2_000)
    submits: int = 200
    restart: Fleet = (1_000, 100_000)
    changes: Fleet = (1_000, 10_000)
    changes_s: float = 60.0
    fairness: Fleet = (1_000, 100_000)


FULL_SIZES = Sizes()
QUICK = Sizes(
    deploy=((50, 5_000),), one=(50, 300), submits=30, restart=(50, 2_000),
    changes=(50, 1_000), changes_s=5.0, fairness=(50, 5_000),
)  # fmt: skip


async def deploy(report: Report, sizes: Sizes, seed: int) -> None:
    """Everything at once, on each fleet."""
    for nodes, tasks in sizes.deploy:
        async with world(nodes, capacity(nodes, tasks)) as made:
            await _deploy(report, made, f"{nodes:,} agents x {tasks:,} tasks", tasks)


async def _deploy(report: Report, made: World, row: str, tasks: int) -> None:
    specs, pid = stacks(tasks), made.controller.pid
    await worst(made)
    forget_peak(pid)
    before = cost(pid)
    await made.agents.ask("expect", tasks=tasks)
    begun = time.monotonic()
    for spec in specs:
        await made.deploy(spec)
    stored = time.monotonic()
    reached = await made.agents.ask("reached", what="healthy", timeout_s=CALL_S_MAX)
    for spec in specs:
        shown = await made.all_ready(spec.name)
    after, seen = cost(pid), await worst(made)
    moments = {"stored": stored, "sent": reached["assigned"], "started": reached["running"]}
    moments |= {"healthy": reached["healthy"], "shown": shown}
    note = ", ".join(f"{moment} {at - begun:.2f} s" for moment, at in moments.items())
    took, cpu = shown - begun, after.cpu_s - before.cpu_s
    speed = at_least(tasks / 60, tasks / 15) if tasks >= 2_000_000 else None
    memory = (after.peak_bytes - before.peak_bytes) / tasks
    report.add(f"{row}: submit to healthy", tasks / took, "tasks/s", speed, took, cpu, note)
    report.add(f"{row}: controller's CPU", cpu / tasks * 1e6, "us/task", at_most(30, 8))
    report.add(f"{row}: peak memory", memory, "B/task", at_most(200, 100))
    stall(report, row, seen)


async def one(report: Report, sizes: Sizes, seed: int) -> None:
    """A stack of one task, again and again: from the submit to its agent."""
    nodes, tasks = sizes.one
    rng, begun = random.Random(seed), {}
    async with world(nodes, capacity(nodes, tasks)) as made:
        await made.agents.ask("record", prefix="one")
        for number in range(sizes.submits):
            await asyncio.sleep(rng.random() * PAUSE_S_MAX)
            name = f"one{number}"
            begun[f"{name}_web"] = time.monotonic()
            await made.deploy(StackSpec(name=name, services=(service("web", 1),)))
        await asyncio.sleep(SETTLED_S)
        found = (await made.agents.ask("arrivals"))["arrivals"]
    waits = [(at - begun[name]) * 1_000 for name, _, _, begins, at in found if begins]
    assert len(waits) == sizes.submits, f"{len(waits)} of {sizes.submits} tasks came to their agents"
    note = f"{nodes:,} mTLS agents, {sizes.submits} stacks of one task, each with a preflight"
    report.add("submit to agent, one task: p50", percentile(waits, 0.5), "ms")
    report.add(
        "submit to agent, one task: p99", percentile(waits, 0.99), "ms", at_most(20, 5), note=note
    )  # fmt: skip


async def restart(report: Report, sizes: Sizes, seed: int) -> None:
    """The controller is killed and started again under its agents: until all are in a session again."""
    nodes, tasks = sizes.restart
    specs = stacks(tasks)
    async with world(nodes, capacity(nodes, tasks)) as made:
        await made.agents.ask("expect", tasks=tasks)
        for spec in specs:
            await made.deploy(spec)
        await made.agents.ask("reached", what="healthy", timeout_s=CALL_S_MAX)
        for spec in specs:
            await made.all_ready(spec.name)
        before = await made.agents.ask("totals")
        begun = time.monotonic()
        made.controller.kill()
        await asyncio.to_thread(made.controller.start)
        up = time.monotonic()
        back = await made.agents.ask("back", sessions=before["sessions"] + nodes, timeout_s=CALL_S_MAX)
        for spec in specs:
            shown = await made.all_ready(spec.name)
        await asyncio.sleep(SETTLED_S)
        after = await made.agents.ask("totals")
    touched = sum(after[what] - before[what] for what in ("assigned", "ended"))
    note = f"{tasks:,} tasks; listens after {up - begun:.2f} s, shows all ready after {shown - begun:.2f} s"
    report.add("restart: all agents back", back["at"] - begun, "s", at_most(5, 2), cpu_s=None, note=note)
    report.add("restart: tasks started or ended by it", touched, "tasks", at_most(0, 0))


ROWS: dict[str, Row] = {
    "deploy": deploy,
    "one": one,
    "restart": restart,
    "changes": changes,
    "fairness": fairness,
}


async def main(wanted: Options, chosen: list[str], sizes: Sizes) -> None:
    with Report("plane", wanted) as report:
        for name in chosen or ROWS:
            await ROWS[name](report, sizes, wanted.seed)


def flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("rows", nargs="*", choices=[[], *ROWS], help="all of them by default")
    parser.add_argument("--fleet", metavar="AGENTSxTASKS", help="the fleet of every row, as 1000x100000")


def sizes_of(wanted: Options) -> Sizes:
    sizes = QUICK if wanted.quick else FULL_SIZES
    if wanted.given.fleet is None:
        return sizes
    nodes, _, tasks = wanted.given.fleet.partition("x")
    fleet = int(nodes), int(tasks)
    return replace(sizes, deploy=(fleet,), one=fleet, restart=fleet, changes=fleet, fairness=fleet)


if __name__ == "__main__":
    asked = options("What the control plane costs at scale.", flags)
    uvloop.run(main(asked, asked.given.rows, sizes_of(asked)))
