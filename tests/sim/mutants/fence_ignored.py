"""An agent lets its fenced tasks run on when its lease is over."""

from __future__ import annotations

from unittest.mock import patch

from agent import lease
from tests.sim.mutants.base import Mutant

MUTANT = Mutant("fence ignored", lambda: patch.object(lease, "fence_at", lambda state: None))
