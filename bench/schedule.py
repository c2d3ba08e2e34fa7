"""How fast the scheduler places tasks: whole batches, one-task services, one task on a full fleet.

Everything runs in this process, on the scheduler's own doors (`controller.decide.schedule`): no store, no
agents; those are `bench.plane`'s. Docker Swarm gets the same tasks, with a constraint that no node meets: it
makes and schedules them all and starts none.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Sequence

import numpy as np

from bayplan.model import Strategy
from bench.fleet_mix import Demands, candidates, filled, used
from bench.lone_swarm import LoneSwarm, NoEngineError
from bench.measuring import Report, Target, Timed, at_least, at_most, options, percentile, timed
from controller.decide.fleet import Fleet
from controller.decide.schedule import Group, Placed, place_groups

#: Runs of each batch, of which the median counts.
ROUNDS = 3
BATCH = at_least(500_000, 5_000_000)
ONE_BY_ONE = at_least(20_000, 40_000)
ONE_US = at_most(500, 100)
SWARM = at_least(20, 100)
#: Share of the fleet that is used when single placements are measured.
FULL = 0.87


def _batch(report: Report, nodes: int, services: int, tasks: int, seed: int) -> None:
    def groups() -> list[Group]:
        demands = Demands(seed)
        return [Group(f"s{number}", demands.plain(), tasks) for number in range(services)]

    _throughput(report, f"{nodes:,} nodes, {services:,} services x {tasks:,} tasks", nodes, groups, BATCH)


def _mixed_batch(report: Report, nodes: int, services: int, tasks: int, seed: int) -> None:
    def groups() -> list[Group]:
        demands = Demands(seed)
        return [Group(f"s{n}", demands.mixed(f"s{max(0, n - 1)}"), tasks) for n in range(services)]

    what = f"{nodes:,} nodes, {services:,} services x {tasks:,} tasks, all constraints mixed"
    _throughput(report, what, nodes, groups, BATCH)


def _spread_batch(report: Report, nodes: int, services: int, tasks: int, seed: int) -> None:
    def groups() -> list[Group]:
        demands = Demands(seed)
        return [Group(f"s{n}", demands.plain(Strategy.SPREAD), tasks) for n in range(services)]

    what = f"{nodes:,} nodes, {services:,} services x {tasks:,} tasks, spread"
    _throughput(report, what, nodes, groups, BATCH)


def _singles(report: Report, nodes: int, services: int, seed: int) -> None:
    """One-task services: all in one batch, then a call for each."""

    def groups() -> list[Group]:
        demands = Demands(seed)
        return [Group(f"s{number}", demands.plain(), 1) for number in range(services)]

    def one_by_one(asked: Sequence[Group], fleet: Fleet) -> list[Placed]:
        return [placed for group in asked for placed in place_groups([group], fleet)]

    what = f"{nodes:,} nodes, {services:,} one-task services"
    _throughput(report, f"{what}, one batch", nodes, groups, ONE_BY_ONE)
    _throughput(report, f"{what}, one by one", nodes, groups, ONE_BY_ONE, one_by_one)


def _throughput(
    report: Report,
    what: str,
    nodes: int,
    groups: Callable[[], list[Group]],
    target: Target,
    place: Callable[[Sequence[Group], Fleet], list[Placed]] = place_groups,
) -> None:
    """Placements a second: the median of some rounds, each onto an empty fleet."""
    rounds: list[tuple[float, Timed]] = []
    for _ in range(ROUNDS):
        fleet, asked = Fleet.of(candidates(nodes)), groups()
        for group in asked:
            fleet.of_kind(group.demand.kind)  # once in a fleet's life, which is as long as the controller's
        run = timed(lambda asked=asked, fleet=fleet: place(asked, fleet))
        placed = sum(each.rows.size for each in run.value)
        rounds.append((placed / run.wall_s, run))
    rate, run = sorted(rounds, key=lambda each: each[0])[len(rounds) // 2]
    asked_for = sum(each.count for each in asked)
    note = f"{placed:,} of {asked_for:,} placed on {int((fleet.tasks > 0).sum()):,} nodes"
    report.add(what, rate, "placements/s", target, run.wall_s, run.cpu_s, note)


def _one_placement(report: Report, nodes: int, times: int, seed: int) -> None:
    """One task at a time onto a full fleet, each of a service of its own; it leaves again afterwards, so that
    all see the same fleet."""
    fleet, demands, rng = filled(nodes, FULL, seed), Demands(seed + 1), np.random.default_rng(seed)
    fill, one = used(fleet), np.ones(1, np.int64)
    others = [f"filler{number}" for number in rng.integers(0, 10, times)]
    groups = [Group(f"one{number}", demands.mixed(other), 1) for number, other in enumerate(others)]
    known = [Group(f"filler{number}", demands.mixed("filler0"), 1) for number in rng.integers(0, 10, times)]
    asked = [group for pair in zip(groups, known, strict=True) for group in pair][:times]
    for group in asked:
        fleet.of_kind(group.demand.kind)  # worked out once for a class and node change, not for each task
    took: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
    gc.collect()
    gc.freeze()
    for group in asked:
        cpu, begin = time.process_time_ns(), time.perf_counter_ns()
        (placed,) = place_groups([group], fleet)
        wall_us, cpu_us = (time.perf_counter_ns() - begin) / 1_000, (time.process_time_ns() - cpu) / 1_000
        took[bool(placed.rows.size)].append((wall_us, cpu_us))
        if placed.rows.size:
            fleet.release(group.service_id, group.demand, placed.rows, one)
    gc.unfreeze()
    for found, what in ((True, "placement"), (False, "refusal, with its verdict")):
        walls, cpus = ([each[at] for each in took[found]] for at in (0, 1))
        for share in (0.5, 0.99) if walls else ():
            target = ONE_US if found and share > 0.5 else None
            name = f"one {what}, {nodes:,} nodes, {fill:.0%} full, all constraints: p{100 * share:.0f}"
            note = f"{len(walls):,} of them; CPU {percentile(cpus, share):.0f} us"
            report.add(name, percentile(walls, share), "us", target, note=note)


def _beside_swarm(report: Report, services: int, tasks: int, seed: int, rounds: int) -> None:
    """The same tasks for both, in turns; what counts is the median of the ratios."""
    what = f"times Docker Swarm, {services} services x {tasks} tasks"
    try:
        with LoneSwarm() as swarm:
            ratios, theirs, ours = [], [], []
            for _ in range(rounds):
                demands = Demands(seed)
                groups = [Group(f"s{number}", demands.plain(), tasks) for number in range(services)]
                fleet = Fleet.of(candidates(1_000))
                ours.append(timed(lambda groups=groups, fleet=fleet: place_groups(groups, fleet)).wall_s)
                theirs.append(swarm.schedule(groups))
                ratios.append(theirs[-1] / ours[-1])
            rate = services * tasks / statistics.median(theirs)
            note = f"Swarm {swarm.version}: {rate:,.0f} tasks/s, from the first call until all are scheduled"
            report.add(what, statistics.median(ratios), "x", SWARM, note=note)
    except NoEngineError as error:
        report.add(what, None, "x", SWARM, note=str(error))


def main() -> None:
    wanted = options(__doc__ or "")
    seed = wanted.seed
    with Report("schedule", wanted) as report:
        if wanted.quick:
            _batch(report, 1_000, 100, 100, seed)
            _mixed_batch(report, 1_000, 100, 100, seed)
            _singles(report, 1_000, 1_000, seed)
            _one_placement(report, 1_000, 500, seed)
            _beside_swarm(report, 2, 100, seed, rounds=1)
            return
        _batch(report, 1_000, 100, 1_000, seed)
        _batch(report, 5_000, 100, 1_000, seed)
        _batch(report, 10_000, 1_000, 1_000, seed)
        _spread_batch(report, 10_000, 1_000, 1_000, seed)
        _mixed_batch(report, 10_000, 1_000, 1_000, seed)
        _singles(report, 10_000, 20_000, seed)
        _one_placement(report, 10_000, 10_000, seed)
        _beside_swarm(report, 10, 500, seed, rounds=3)


if __name__ == "__main__":
    main()
