"""A slot's new task does not know how often those before it failed, so that a restart forgets it."""

from __future__ import annotations

from unittest.mock import patch

from controller.core import statuses
from tests.sim.mutants.base import Mutant

MUTANT = Mutant("restart counter lost", lambda: patch.object(statuses, "inherit", lambda turn, task: task))
