"""What users ask of nodes: other labels, to be drained, to go."""

from __future__ import annotations

from controller.core.turn import Turn
from controller.events import NodeRemoveAsked, NodeUpdateAsked


def asked(turn: Turn, event: NodeUpdateAsked | NodeRemoveAsked) -> None:
    """Does what is asked and answers, or answers why not."""
