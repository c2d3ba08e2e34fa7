"""The scheduler does not see what is reserved already."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

from controller.core import placing
from controller.core.placing import _candidate as _real
from controller.decide.filters import Candidate
from controller.state import State
from tests.sim.mutants.base import Mutant


def _candidate(state: State, node_id: str, *args: Any, **fields: Any) -> Candidate:
    capacity = state.nodes[node_id].inventory.capacity
    return _real(state, node_id, *args, **fields)._replace(free=capacity)


MUTANT = Mutant("capacity overlooked", lambda: patch.object(placing, "_candidate", _candidate))
