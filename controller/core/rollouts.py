"""What users ask of rollouts: to pause, go on, promote their canaries, go back."""

from __future__ import annotations

from controller.core.turn import Turn
from controller.events import RolloutAsked, ServiceRollbackAsked


def asked(turn: Turn, event: RolloutAsked | ServiceRollbackAsked) -> None:
    """Does what is asked and answers, or answers why not."""
