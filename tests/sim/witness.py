"""A host's witness: a connection of its own that breaks with the machine, not with the agent.

It shows the ticket of the agent's session as `agent.witness` does, and tries again while that is not good.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from controller.events import WitnessLost, WitnessOpened
from tests.sim.clock import Clock
from tests.sim.link import Connection

if TYPE_CHECKING:
    from tests.sim.control import Control

#: A ticket that was not taken is shown again after this time, twice as long each time up to the second.
RETRY_MS_MIN = 200
RETRY_MS_MAX = 5_000


class Witness:
    """The host's side. `connect` opens a connection, or gives None when nobody listens."""

    def __init__(self, clock: Clock, connect: Callable[[Witness], Connection | None]) -> None:
        self._clock, self._connect = clock, connect
        self._connection: Connection | None = None
        self._delay_ms = RETRY_MS_MIN
        self._alive = False
        self._run = 0

    def show(self) -> None:
        """The agent was welcomed: show its ticket."""
        self._alive = True
        self._run += 1
        self._delay_ms = RETRY_MS_MIN
        self._try_once(self._run)

    def received(self, message: Any) -> None:
        """The ticket is good."""

    def ended(self) -> None:
        """The connection broke, or the ticket is not good."""
        self._connection = None
        self._later()

    def die(self, *, silently: bool) -> None:
        """Its process is killed, or (silently) its machine has no power."""
        self._alive = False
        connection, self._connection = self._connection, None
        if connection is not None and silently:
            connection.vanish(0)
        elif connection is not None:
            connection.close(0, reset=True)

    def _later(self) -> None:
        run, delay_ms = self._run, self._delay_ms
        self._delay_ms = min(self._delay_ms * 2, RETRY_MS_MAX)
        self._clock.after(delay_ms, lambda: self._try_once(run))

    def _try_once(self, run: int) -> None:
        if not self._alive or run != self._run:
            return
        connection = self._connect(self)
        if connection is None:
            self._later()
            return
        if self._connection is not None:
            self._connection.close(0)
        self._connection = connection
        connection.send(0, "ticket")


class WitnessEnd:
    """The controller's side."""

    def __init__(self, control: Control, node_id: str, run: int, number: int) -> None:
        self.control, self.node_id, self.run, self.witness = control, node_id, run, str(number)
        self.connection: Connection | None = None
        self._known = False

    def received(self, message: Any) -> None:
        """A ticket: good if it was given in this run."""
        if self.run != self.control.runs or self.connection is None:
            return
        if self.node_id in self.control.ticketed:
            self._known = True
            self.control.post(WitnessOpened(node_id=self.node_id, witness=self.witness))
        else:
            self.connection.close(1)

    def ended(self) -> None:
        """The connection broke."""
        if self._known and self.run == self.control.runs:
            self.control.post(WitnessLost(node_id=self.node_id, witness=self.witness))
