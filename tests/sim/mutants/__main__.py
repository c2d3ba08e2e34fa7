"""Hunts every planted fault on all cores and tells how many were found (`make mutants`)."""

from __future__ import annotations

import gc
import os
import sys
import time
from multiprocessing import get_context

from tests.sim.mutants.base import Find, hunt
from tests.sim.mutants.herd import HERD

#: Seeds in which a fault must show.
SEEDS_MAX = 50
#: Letters told of what showed it.
LINE_MAX = 120


def seek(number: int) -> tuple[int, Find | None]:
    """Hunts one."""
    return number, hunt(HERD[number], range(1, SEEDS_MAX + 1))


def main() -> int:
    """Prints a line for each, in the order in which they are found; returns the exit code."""
    began, found = time.monotonic(), 0
    with get_context("fork").Pool(os.cpu_count(), initializer=gc.disable) as pool:
        for number, find in pool.imap_unordered(seek, range(len(HERD))):
            found += find is not None
            verdict = f"seed {find.seed}: {find.error}" if find else f"NOT FOUND in {SEEDS_MAX} seeds"
            print(f"{HERD[number].name:36} {verdict[:LINE_MAX]}", flush=True)
    print(f"found {found} of {len(HERD)} in {time.monotonic() - began:.0f} s")
    return 0 if found == len(HERD) else 1


if __name__ == "__main__":
    sys.exit(main())
