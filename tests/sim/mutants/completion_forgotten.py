"""That a job's task did its work is not kept."""

from __future__ import annotations

from unittest.mock import patch

from controller.core import statuses
from tests.sim.mutants.base import Mutant

MUTANT = Mutant("completion forgotten", lambda: patch.object(statuses, "_complete", lambda turn, task: None))
