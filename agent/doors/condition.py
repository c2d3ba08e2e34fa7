"""Looks at what is the matter with this node, and tells the core when that is something else than before.

Level, not edge: who finds faults shows all that stand, and one that has ended is in no look any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

import structlog

from agent.decide.condition import condition_of
from agent.events import Underlay
from agent.runtime import underlay
from agent.runtime.links import LinkError
from agent.state import State
from bayplan.model import NodeCondition, NodeFault

#: How often those are asked who find faults, and how often the kernel's links are looked at, in seconds.
LOOK_EVERY_S, LINKS_EVERY_S = 1.0, 10.0
#: One look at the links may take so long, in seconds.
LINKS_S_MAX = 10.0

_log = structlog.get_logger(__name__)

#: Shows the faults that stand.
Source = Callable[[], Iterable[NodeFault]]


class ConditionWatch:
    """`post` gets each condition that differs from the one before; `address` is this node's among others."""

    def __init__(
        self, state: State, address: str, sources: Iterable[Source], post: Callable[[NodeCondition], None]
    ) -> None:
        self._books, self._address = state.overlays, address
        self._sources, self._post = tuple(sources), post
        self._underlay = Underlay()
        self._told = NodeCondition()

    async def run(self) -> None:
        """Look, forever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch_links())
            while True:
                self.look()
                await asyncio.sleep(LOOK_EVERY_S)

    def look(self) -> None:
        """Ask everybody now."""
        found = [fault for source in self._sources for fault in source()]
        overlays = [overlay for _, overlay in sorted(self._books.told.items())]
        condition = condition_of(found, self._books.faults, overlays, self._underlay)
        if condition != self._told:
            self._told = condition
            self._post(condition)

    async def _watch_links(self) -> None:
        told = ""
        while True:
            overlays = tuple(self._books.told.values())
            try:
                async with asyncio.timeout(LINKS_S_MAX):
                    self._underlay = await asyncio.to_thread(underlay.look, self._address, overlays)
                told = ""
            except (LinkError, TimeoutError) as error:
                cause = str(error) or f"the kernel did not answer within {LINKS_S_MAX:g} s"
                if cause != told:
                    told = cause
                    _log.warning("this node's links cannot be looked at", cause=cause)
            await asyncio.sleep(LINKS_EVERY_S)
