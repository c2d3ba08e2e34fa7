"""The scheduler does not see which fixed ports are taken."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

from controller.core import placing
from controller.core.placing import _candidate as _real
from controller.decide.filters import Candidate
from controller.state import State
from tests.sim.mutants.base import Mutant


def _candidate(state: State, node_id: str, *args: Any, **fields: Any) -> Candidate:
    return _real(state, node_id, *args, **fields)._replace(ports=frozenset())


MUTANT = Mutant("ports overlooked", lambda: patch.object(placing, "_candidate", _candidate))
