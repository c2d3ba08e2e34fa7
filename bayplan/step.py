"""The form of a daemon's core: what goes in, what comes out. Knows nothing of how it is driven."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

from bayplan.model import Now

EventT_contra = TypeVar("EventT_contra", contravariant=True)


class Step(NamedTuple):
    """What one event led to: changes to keep, then commands to perform, both in order."""

    changes: Sequence[Any]
    commands: Sequence[Any]


class Core(Protocol[EventT_contra]):
    """The pure part of a daemon."""

    def step(self, event: EventT_contra, now: Now) -> Step:
        """Apply one event; the only way to change the core's state."""

    def wake(self, now: Now) -> Step:
        """Do what has fallen due by `now`."""

    def wake_at(self) -> int | None:
        """When something falls due next, in monotonic ms; None when nothing will."""
