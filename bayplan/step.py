"""The form of a daemon's core: what goes in, what comes out. Knows nothing of how it is driven."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from bayplan.model import Now

EventT_contra = TypeVar("EventT_contra", contravariant=True)


class Step(NamedTuple):
    """What one event led to: changes to keep, then commands to perform, both in order."""

    changes: Sequence[Any]
    commands: Sequence[Any]


class Core(Protocol[EventT_contra]):
    """The pure part of a daemon, as its pump drives it: some events are taken, then all is settled."""

    def take(self, event: EventT_contra, now: Now) -> None:
        """Apply one event; what follows from it may be left to `settle`."""

    def settle(self, now: Now, heard_ms: int | None = None) -> Step:
        """Let time pass. Returns what it, and all events taken since the last time, came to.

        `heard_ms`: all that came before it has been taken (monotonic; None: all that came): what came since
        waits, so that nobody's silence since then is known.
        """

    def wake_at(self) -> int | None:
        """When something falls due next, in monotonic ms; None when nothing will."""


class StepCore(Protocol[EventT_contra]):
    """A core that settles each event on its own."""

    def step(self, event: EventT_contra, now: Now) -> Step:
        """Apply one event."""

    def wake(self, now: Now) -> Step:
        """Do what has fallen due by `now`."""

    def wake_at(self) -> int | None:
        """As in Core."""


class OneByOne(Generic[EventT_contra]):
    """A StepCore as a Core. Time passes after the events: a sign of life that waits counts first."""

    def __init__(self, core: StepCore[EventT_contra]) -> None:
        self._core = core
        self._steps: list[Step] = []

    def take(self, event: EventT_contra, now: Now) -> None:
        """One step."""
        self._steps.append(self._core.step(event, now))

    def settle(self, now: Now, heard_ms: int | None = None) -> Step:
        """All steps since the last time, and waking."""
        steps, self._steps = [*self._steps, self._core.wake(now)], []
        return joined(steps)

    def wake_at(self) -> int | None:
        """The core's own."""
        return self._core.wake_at()


def joined(steps: Sequence[Step]) -> Step:
    """Several steps as one."""
    changes = [change for step in steps for change in step.changes]
    return Step(changes, [command for step in steps for command in step.commands])
