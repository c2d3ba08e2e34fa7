"""The scheduler does not see which fixed ports are taken."""

from __future__ import annotations

from unittest.mock import patch

from controller.core import placing
from tests.sim.mutants.base import Mutant

MUTANT = Mutant("ports overlooked", lambda: patch.object(placing, "_ports", lambda state, tasks: frozenset()))
