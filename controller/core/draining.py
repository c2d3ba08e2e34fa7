"""Endpoints that are about to stop: found no more, but serving until their watchers have let go of them."""

from __future__ import annotations

from controller.core.turn import Turn
from controller.events import WatcherAcknowledged, WatcherCame, WatcherLeft


def watched(turn: Turn, event: WatcherCame | WatcherAcknowledged | WatcherLeft) -> None:
    """A watcher came, let go of what is not in its view, or left."""
