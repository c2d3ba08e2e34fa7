"""A task of a node that is down is given to another node under its old id."""

from __future__ import annotations

from unittest.mock import patch

import msgspec

from controller.core import settling
from controller.core.turn import Turn
from controller.decide.reconcile import Decision
from controller.records import Service
from tests.sim.mutants.base import Mutant

_real = settling._carry_out


def _carry_out(turn: Turn, service: Service, decision: Decision) -> None:
    filled = {new.slot for new in decision.create}
    lost = [task for task in turn.state.tasks_of(service.id) if task.wanted and task.slot in filled]
    if not lost:
        _real(turn, service, decision)
    for task in lost:
        turn.put(msgspec.structs.replace(task, node_id=""))


MUTANT = Mutant("moved under its old id", lambda: patch.object(settling, "_carry_out", _carry_out))
