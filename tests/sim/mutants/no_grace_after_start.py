"""A controller that has just started takes nodes for down that had no time to come back."""

from __future__ import annotations

from unittest.mock import patch

from bayplan.model import NodeStatus
from controller.decide import liveness
from controller.decide.liveness import Timing
from tests.sim.mutants.base import Mutant

_real = liveness.judge


def _judge(timing: Timing, heard_ms: int, connected: bool, ever: bool, now_ms: int) -> tuple[NodeStatus, int]:
    if not ever and now_ms > heard_ms:
        return NodeStatus.DOWN, 0
    return _real(timing, heard_ms, connected, ever, now_ms)


MUTANT = Mutant("no grace after a start", lambda: patch.object(liveness, "judge", _judge))
