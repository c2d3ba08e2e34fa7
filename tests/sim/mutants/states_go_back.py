"""The controller believes whatever an agent says about a task, also that it goes back."""

from __future__ import annotations

from unittest.mock import patch

from controller.core import statuses
from tests.sim.mutants.base import Mutant

MUTANT = Mutant("states go back", lambda: patch.object(statuses, "may_report", lambda before, after: True))
