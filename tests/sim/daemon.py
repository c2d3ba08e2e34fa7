"""A daemon's pump on virtual time: inbox -> step -> persist -> perform, as bayplan.pump does it.

It can be killed at any moment, also exactly before or after its changes have become durable.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any

from bayplan.model import Now
from bayplan.pump import BATCH_EVENTS_MAX
from bayplan.step import Core
from tests.sim.clock import WALL_START_MS, Clock

#: How long a commit takes.
COMMIT_MS = (1, 8)
#: Events that may wait in the inbox of a cluster of this size.
INBOX_EVENTS_SIM_MAX = 500
#: Turns at one moment of virtual time; more is a core that does not come to rest.
TURNS_AT_ONCE_MAX = 1_000


class DiskFullError(OSError):
    """Nothing more can be kept."""


class Moment(StrEnum):
    """When a daemon dies."""

    NOW = "now"
    BEFORE_APPEND = "before its next append"
    AFTER_APPEND = "after its next append"


class Daemon:
    """One run of a process. `keep` makes changes durable, `perform` does what was decided.

    Its clocks are ahead of the world's by `ahead_ms` (monotonic and wall alike), as two machines' differ,
    and the wall clock by `wall_ahead_ms` more, which may change while it runs. It ends when `keep` raises
    DiskFullError.
    """

    def __init__(
        self,
        clock: Clock,
        rng: random.Random,
        keep: Callable[[Sequence[Any]], None],
        perform: Callable[[Any], None],
        turned: Callable[[], None] = lambda: None,
        ahead_ms: int = 0,
    ) -> None:
        self.alive = True
        self.dies: Moment | None = None
        self.on_death: Callable[[], None] = lambda: None
        self.wall_ahead_ms = 0
        self.inbox: deque[Any] = deque()
        self._clock, self._rng, self._ahead_ms = clock, rng, ahead_ms
        self._keep, self._perform, self._turned = keep, perform, turned
        self._core: Core[Any] | None = None
        self._busy = False
        self._planned: int | None = None
        self._turns_at = (0, 0)
        self._paused_until_ms = 0

    @property
    def paused(self) -> bool:
        """Whether the process is stopped (SIGSTOP, a frozen machine)."""
        return self._clock.now_ms < self._paused_until_ms

    @property
    def settled(self) -> bool:
        """Whether all that was decided is durable."""
        return not self._busy

    def pause(self, for_ms: int) -> None:
        """Stand still for a while; what arrives waits."""
        self._paused_until_ms = max(self._paused_until_ms, self._clock.now_ms + for_ms)

    def when_awake(self, act: Callable[[], None]) -> None:
        """Do something in this process: now, or when it goes on."""
        if self.paused:
            self._clock.at(self._paused_until_ms, lambda: self.when_awake(act))
        elif self.alive:
            act()

    def now(self) -> Now:
        """This moment by the daemon's own clocks."""
        here = self._clock.now_ms + self._ahead_ms
        return Now(here, WALL_START_MS + here + self.wall_ahead_ms)

    def run(self, core: Core[Any]) -> None:
        """Begin to pump."""
        self._core = core
        self._plan()

    def post(self, event: Any) -> None:
        """Put an event into the inbox of a living daemon."""
        if self.alive:
            assert len(self.inbox) < INBOX_EVENTS_SIM_MAX, "more events wait in the inbox than ever should"
            self.inbox.append(event)
            self._plan()

    def _plan(self) -> None:
        """Turn as soon as there is something to do."""
        if self._busy or not self.alive or self._core is None:
            return
        if self.inbox:
            due: int | None = self._clock.now_ms
        else:
            wake_at = self._core.wake_at()
            due = None if wake_at is None else max(wake_at - self._ahead_ms, self._clock.now_ms)
        if due is not None and (self._planned is None or due < self._planned):
            self._planned = due
            self._clock.at(due, lambda: self._turn(due))

    def _turn(self, planned: int) -> None:
        if self._busy or not self.alive or self._planned != planned:
            return
        if self.paused:
            self._clock.at(self._paused_until_ms, lambda: self._turn(planned))
            return
        self._planned = None
        self._guard_rest()
        assert self._core is not None
        now = self.now()
        for _ in range(min(len(self.inbox), BATCH_EVENTS_MAX)):
            self._core.take(self.inbox.popleft(), now)
        step = self._core.settle(now)
        self._settle(list(step.changes), list(step.commands))

    def _settle(self, changes: list[Any], commands: list[Any]) -> None:
        """Make the changes durable, then perform the commands."""
        if not changes:
            self._finish(commands)
            return
        self._busy = True
        self._clock.after(self._rng.randint(*COMMIT_MS), lambda: self._commit(changes, commands))

    def _commit(self, changes: list[Any], commands: list[Any]) -> None:
        if self.alive and self.paused:
            self._clock.at(self._paused_until_ms, lambda: self._commit(changes, commands))
            return
        if self.alive and self.dies is Moment.BEFORE_APPEND:
            self.on_death()
        if not self.alive:
            return
        try:
            self._keep(changes)
        except DiskFullError:
            self.on_death()
            return
        if self.dies is Moment.AFTER_APPEND:
            self.on_death()
            return
        self._busy = False
        self._finish(commands)

    def _finish(self, commands: list[Any]) -> None:
        for command in commands:
            self._perform(command)
        self._turned()
        self._plan()

    def _guard_rest(self) -> None:
        at, turns = self._turns_at
        turns = turns + 1 if at == self._clock.now_ms else 1
        self._turns_at = (self._clock.now_ms, turns)
        assert turns <= TURNS_AT_ONCE_MAX, "a core does not come to rest"
