"""The simulator can fail: each planted fault is found, and the real code passes where it was."""

from __future__ import annotations

import pytest

from tests.sim.mutants.base import Mutant, hunt
from tests.sim.mutants.herd import HERD

#: Seeds in which a planted fault must show.
SEEDS_MAX = 40


@pytest.mark.parametrize("mutant", HERD, ids=lambda mutant: mutant.name)
def test_a_planted_fault_is_found(mutant: Mutant) -> None:
    find = hunt(mutant, range(1, SEEDS_MAX + 1))
    assert find is not None, f"{mutant.name} was not found in {SEEDS_MAX} seeds"
    mutant.run(find.seed)  # it was the fault, not the seed
