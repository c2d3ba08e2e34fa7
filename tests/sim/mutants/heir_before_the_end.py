"""A slot's next task is made while the one before it still runs."""

from __future__ import annotations

from unittest.mock import PropertyMock, patch

from controller.decide.reconcile import Row
from tests.sim.mutants.base import Mutant

MUTANT = Mutant(
    "heir before the end",
    lambda: patch.object(Row, "occupies", new_callable=PropertyMock, return_value=False),
)
