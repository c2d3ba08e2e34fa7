"""Tells other nodes over networks that this one is there, and notes whose word of it comes."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from ipaddress import AddressValueError, IPv4Address

import structlog

from agent.decide import reach
from agent.decide.reach import Heard
from agent.events import Sign
from agent.labels import tunnel_name
from agent.runtime.reach import SignSocket
from agent.state import State
from bayplan.model import NodeFault

_log = structlog.get_logger(__name__)


class Reach:
    """`address`: this node's among the others."""

    def __init__(self, state: State, address: str) -> None:
        self._books, self._address = state.overlays, address
        self._heard: dict[str, Heard] = {}
        #: The networks as they were when they were looked at last.
        self._seen: object = None
        self._hears = False

    @property
    def faults(self) -> tuple[NodeFault, ...]:
        """The peers that do not reach this node."""
        if not self._hears:
            return ()
        self._follow()
        return tuple(reach.faults(self._heard, time.monotonic()))

    async def run(self) -> None:
        """Send and hear, forever; not at all without the rights, and then nobody is missed."""
        try:
            IPv4Address(self._address)
            signs = SignSocket()
        except (AddressValueError, OSError) as error:
            _log.warning("it is not found out whether other nodes reach this one", cause=str(error))
            return
        loop, self._hears = asyncio.get_running_loop(), True
        loop.add_reader(signs.fileno(), self._hear, signs)
        try:
            while True:
                overlays = tuple(self._books.made.values())
                period_s = reach.period_s(overlays)
                for overlay in reach.cover(overlays):
                    self._send(signs, tunnel_name(overlay.vni), period_s)
                await asyncio.sleep(period_s)
        finally:
            loop.remove_reader(signs.fileno())
            signs.close()

    def _send(self, signs: SignSocket, device: str, period_s: float) -> None:
        for large in (False, True):
            with suppress(OSError):  # it is made anew just now: the next time it is there
                signs.send(device, Sign(self._address, period_s, large))

    def _hear(self, signs: SignSocket) -> None:
        now_s = time.monotonic()
        self._follow()
        for sign in signs.receive():
            if sign.sender in self._heard:
                self._heard[sign.sender] = reach.took(self._heard[sign.sender], sign, now_s)

    def _follow(self) -> None:
        if self._seen is not self._books.made:
            self._seen = self._books.made
            self._heard = reach.followed(self._heard, self._books.made.values(), time.monotonic())
