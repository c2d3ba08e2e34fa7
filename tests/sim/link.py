"""The network between the agents and the controller: delay, loss, cuts (also one way), lost connections.

A connection is TCP with keepalive: within one, messages arrive in order or not at all; a cut holds
them back until it heals or a side gives the connection up, and what was under way then is lost.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from tests.sim.clock import Clock

#: A side that hears nothing gives a connection up within this time (keepalive 5 s and 3 s).
KEEPALIVE_MS = (5_000, 8_000)
#: After a cut or a loss TCP sends again within this time.
RESEND_MS = (50, 1_000)
#: What an abandoned connection still carries arrives within this time, after what its successor carries.
STRAY_MS = (500, 10_000)


class End(Protocol):
    """A side of a connection."""

    def received(self, message: Any) -> None:
        """The other side's next message."""

    def ended(self) -> None:
        """The connection is over; called once, unless this side closed it."""


class Pipe:
    """One direction of a connection."""

    def __init__(self, wire: Wire, direction: int, deliver: Callable[[Any], None]) -> None:
        self._wire, self._direction, self._deliver = wire, direction, deliver
        self._waiting: deque[tuple[int, Any]] = deque()
        self._last_ms = 0
        self.broken = False

    def put(self, message: Any) -> None:
        """Send; messages keep their order."""
        due = max(self._last_ms, self._wire.clock.now_ms + self._wire.delay_ms())
        self._last_ms = due
        self._waiting.append((due, message))
        self._wire.clock.at(due, self.flow)

    def flow(self) -> None:
        """Deliver what is due, unless the direction is cut."""
        while self._waiting and not self._wire.is_cut[self._direction] and not self.broken:
            if self._waiting[0][0] > self._wire.clock.now_ms:
                return
            self._deliver(self._waiting.popleft()[1])

    def stray(self, by_ms: int) -> None:
        """What is under way, and all that comes after it, arrives later."""
        self._last_ms = max(self._last_ms, self._wire.clock.now_ms) + by_ms
        self._waiting = deque((due + by_ms, message) for due, message in self._waiting)
        for due, _ in self._waiting:
            self._wire.clock.at(due, self.flow)

    def lose(self) -> None:
        """What is under way never arrives."""
        self._waiting.clear()


_END = object()


class Connection:
    """Between an agent (direction 0 is from it) and the controller (direction 1)."""

    def __init__(self, wire: Wire, agent: End, controller: End) -> None:
        self._ends: list[End | None] = [agent, controller]
        self._pipes = [
            Pipe(wire, 0, lambda m: self._arrived(1, m)),
            Pipe(wire, 1, lambda m: self._arrived(0, m)),
        ]
        self._wire = wire
        wire.connections.append(self)

    def open(self, side: int) -> bool:
        """Whether a side has neither closed it nor given it up."""
        return self._ends[side] is not None

    def send(self, side: int, message: Any) -> None:
        """Send from a side (0: agent, 1: controller) that has not closed."""
        if self._ends[side] is not None:
            self._pipes[side].put(message)

    def close(self, side: int, *, reset: bool = False) -> None:
        """End it from one side; a reset (a killed process) loses what is under way."""
        if self._ends[side] is None:
            return
        self._ends[side] = None
        if reset:
            self._pipes[side].lose()
        self._pipes[side].put(_END)
        self._tidy()

    def vanish(self, side: int) -> None:
        """A side is gone without a word (power off); the other notices by keepalive."""
        self._ends[side] = None
        self._pipes[side].broken = True
        self.expire(1 - side)

    def expire(self, side: int, still: Callable[[], bool] = lambda: True) -> None:
        """A side gives up after the keepalive, if what silences the other still lasts."""

        def give_up() -> None:
            if still():
                self._over(side)

        self._wire.clock.after(self._wire.rng.randint(*KEEPALIVE_MS), give_up)

    def resume(self) -> None:
        """A cut has healed."""
        for pipe in self._pipes:
            self._wire.clock.after(self._wire.rng.randint(*RESEND_MS), pipe.flow)

    def stray(self) -> None:
        """The agent's side ends at once; what it sent arrives late, and so does the word that it ended."""
        self._pipes[0].stray(self._wire.rng.randint(*STRAY_MS))
        self._over(0)

    def _arrived(self, side: int, message: Any) -> None:
        end = self._ends[side]
        if message is _END:
            self._over(side)
        elif end is not None:
            end.received(message)

    def _over(self, side: int) -> None:
        end, self._ends[side] = self._ends[side], None
        if end is not None:
            self._pipes[side].put(_END)
            end.ended()
        self._tidy()

    def _tidy(self) -> None:
        if self._ends == [None, None] and self in self._wire.connections:
            self._wire.connections.remove(self)


class Wire:
    """The way between one host and the controller. `is_cut` is (from the agent, to the agent)."""

    def __init__(self, clock: Clock, rng: random.Random, delay_ms: tuple[int, int]) -> None:
        self.clock, self.rng = clock, rng
        self.is_cut = [False, False]
        self.cuts = 0
        #: The share of messages that are lost at first.
        self.loss = 0.0
        self.connections: list[Connection] = []
        self._delay_ms = delay_ms

    def delay_ms(self) -> int:
        """How long the next message takes; those behind one that was lost wait for it."""
        lost = self.loss and self.rng.random() < self.loss
        return self.rng.randint(*self._delay_ms) + (self.rng.randint(*RESEND_MS) if lost else 0)

    def cut(self, *, up: bool = True, down: bool = True) -> None:
        """Let nothing through in these directions."""
        self.cuts += 1
        self.is_cut = [up, down]
        number = self.cuts

        def lasts() -> bool:
            return self.cuts == number and any(self.is_cut)

        for connection in list(self.connections):
            connection.expire(0, lasts)
            connection.expire(1, lasts)

    def heal(self) -> None:
        """Let everything through."""
        self.is_cut = [False, False]
        for connection in list(self.connections):
            connection.resume()
