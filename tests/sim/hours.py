"""Runs random seeds on all cores until enough hours have been simulated.

python -m tests.sim.hours HOURS [FIRST_SEED]      # `make sim`

Each run is a new cluster: some seconds to form it, chaos.TROUBLE_S of faults and requests at chaos.PAUSE_S
between two of them, and the time to converge, in all some 100 s; there are no quiet runs to fill the hours.
"""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Iterator
from multiprocessing import get_context
from typing import NamedTuple

from tests.sim import chaos
from tests.sim.world import BrokenError

#: Seeds that a process runs before it tells how it went.
SEEDS_AT_ONCE = 4
#: Runs between two collections of garbage: a world is full of circles, and small.
RUNS_BETWEEN_COLLECTIONS = 25
#: Failures after which the rest is not run, and lines of the log told of each.
FAILURES_MAX = 10
LINES_SHOWN = 30
#: Between two lines about how far it is.
PROGRESS_S = 60


class Outcome(NamedTuple):
    """One run: the time it simulated, and what broke."""

    seed: int
    simulated_s: float
    failure: str = ""


def run_one(seed: int) -> Outcome:
    """Runs one seed."""
    if seed % RUNS_BETWEEN_COLLECTIONS == 0:
        gc.collect()
    try:
        world = chaos.run(seed)
    except Exception as error:
        kind = "" if isinstance(error, BrokenError) else f"{type(error).__name__}: "
        notes = "\n".join(getattr(error, "__notes__", [])).splitlines()
        tail = "\n    ".join(notes[-LINES_SHOWN:])
        return Outcome(seed, 0.0, f"{kind}{error}\n    {tail}")
    return Outcome(seed, world.clock.now_ms / 1000)


def run_many(hours: float, first: int) -> Iterator[Outcome]:
    """Seeds from `first` on, on all cores, until so many hours are simulated or too much is broken."""
    simulated_s, failures = 0.0, 0
    # More seeds than can be needed: a run that does not fail is longer than its troubled part.
    seeds = range(first, first + int(hours * 3600 / chaos.TROUBLE_S) + FAILURES_MAX + 1)
    with get_context("fork").Pool(os.cpu_count(), initializer=gc.disable) as pool:
        for outcome in pool.imap_unordered(run_one, seeds, chunksize=SEEDS_AT_ONCE):
            yield outcome
            simulated_s += outcome.simulated_s
            failures += bool(outcome.failure)
            if simulated_s >= hours * 3600 or failures >= FAILURES_MAX:
                pool.terminate()
                return


def main(hours: float, first: int) -> int:
    """Tells how far it came and what broke; returns the exit code."""
    began = told = time.monotonic()
    simulated_s, runs, failed = 0.0, 0, 0
    for outcome in run_many(hours, first):
        simulated_s, runs = simulated_s + outcome.simulated_s, runs + 1
        if outcome.failure:
            failed += 1
            print(f"seed {outcome.seed}: {outcome.failure}\n", flush=True)
        if time.monotonic() - told > PROGRESS_S:
            told = time.monotonic()
            print(f"{simulated_s / 3600:.0f} of {hours:.0f} hours, {runs} runs", flush=True)
    wall_s = time.monotonic() - began
    print(
        f"{simulated_s / 3600:.1f} simulated hours in {runs} runs and {wall_s:.0f} s: "
        f"{simulated_s / 60 / wall_s:.1f} hours per wall minute on {os.cpu_count()} cores; {failed} failed"
    )
    if failed:
        print("run one again: python -m tests.sim.chaos SEED")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1))
