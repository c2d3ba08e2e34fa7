"""Moves of tasks between nodes: foreseen when nodes are lost, or wanted to even out the load."""

from __future__ import annotations

from controller.core.turn import Turn
from controller.events import RebalanceAsked, SimulateAsked


def asked(turn: Turn, event: RebalanceAsked | SimulateAsked) -> None:
    """Answers what would move; a rebalance that is no dry run begins."""
