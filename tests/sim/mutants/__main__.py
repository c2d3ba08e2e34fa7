"""Hunts each planted fault in turn and tells how many were found."""

from __future__ import annotations

import sys
import time

from tests.sim.mutants.base import hunt
from tests.sim.mutants.herd import HERD

#: Seeds in which a fault must show.
SEEDS_MAX = 50

began, found = time.monotonic(), 0
for mutant in HERD:
    find = hunt(mutant, range(1, SEEDS_MAX + 1))
    found += find is not None
    verdict = f"seed {find.seed}: {find.error}" if find else f"NOT FOUND in {SEEDS_MAX} seeds"
    print(f"{mutant.name:36} {verdict}", flush=True)
print(f"found {found} of {len(HERD)} in {time.monotonic() - began:.0f} s")
sys.exit(found < len(HERD))
