"""No service waits for those that it depends on."""

from __future__ import annotations

from unittest.mock import patch

from controller.core import dependencies
from tests.sim.mutants.base import Mutant

MUTANT = Mutant("order ignored", lambda: patch.object(dependencies, "hindrance", lambda state, service: ""))
