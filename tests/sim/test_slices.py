"""Random runs in which everything is large: tiny slices, and tasks that are counted from the first on."""

from __future__ import annotations

from unittest.mock import patch

import pytest

from controller.core import settling, surveys
from tests.sim import chaos


@pytest.mark.parametrize("seed", range(1, 5))
def test_a_random_run_in_tiny_slices_holds_every_invariant(seed: int) -> None:
    with (
        patch.object(surveys, "COUNTED_MIN", 0),
        patch.object(surveys, "SLOTS_AT_ONCE_MAX", 2),
        patch.object(settling, "UNITS_PER_TURN", 2),
    ):
        chaos.run(seed)
