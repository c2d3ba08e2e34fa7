"""A controller that has just started takes nodes for down that had no time to come back."""

from __future__ import annotations

from unittest.mock import patch

from bayplan.model import NodeStatus
from controller.decide import liveness
from controller.decide.liveness import Signs, Timing
from tests.sim.mutants.base import Mutant

_real = liveness.judge


def _judge(timing: Timing, signs: Signs, now_ms: int) -> tuple[NodeStatus, int]:
    if not signs.ever and now_ms > signs.heard_ms:
        return NodeStatus.DOWN, 0
    return _real(timing, signs, now_ms)


MUTANT = Mutant("no grace after a start", lambda: patch.object(liveness, "judge", _judge))
