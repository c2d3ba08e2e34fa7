"""A second machine with a node's identity takes its session over."""

from __future__ import annotations

from unittest.mock import patch

from controller.core import sessions
from tests.sim.mutants.base import Mutant

MUTANT = Mutant("clone welcomed", lambda: patch.object(sessions, "_is_clone", lambda life, event: False))
