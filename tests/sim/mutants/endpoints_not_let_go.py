"""Tasks are stopped at once, whoever still sends requests to them."""

from __future__ import annotations

from unittest.mock import patch

from controller.core import draining
from tests.sim.mutants.base import Mutant

MUTANT = Mutant("endpoints not let go of", lambda: patch.object(draining, "begin", lambda *arguments: None))
