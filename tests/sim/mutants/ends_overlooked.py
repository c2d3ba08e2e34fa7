"""The agent does not hear of containers that die; it finds out when the engine is listed anew."""

from __future__ import annotations

from unittest.mock import patch

from agent import observe
from tests.sim.mutants.base import Mutant

MUTANT = Mutant("ends overlooked", lambda: patch.object(observe, "exited", lambda turn, event: None))
