"""The scheduler does not see what is reserved already."""

from __future__ import annotations

from collections.abc import Sequence
from unittest.mock import patch

from bayplan.model import Resources
from controller.core import placing
from controller.core.placing import _candidate as _real
from controller.decide.filters import Candidate
from controller.records import Task
from controller.state import State
from tests.sim.mutants.base import Mutant


def _candidate(
    state: State, node_id: str, without: frozenset[str], promised: Sequence[Task] = ()
) -> Candidate:
    capacity: Resources = state.nodes[node_id].inventory.capacity
    return _real(state, node_id, without, promised)._replace(free=capacity)


MUTANT = Mutant("capacity overlooked", lambda: patch.object(placing, "_candidate", _candidate))
