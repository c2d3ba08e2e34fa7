"""An agent obeys its current session only, and never a lower epoch than it has obeyed.

It obeys what is in its journal: nothing is done before it is there.
"""

from __future__ import annotations

from bayplan.model import Assignments
from tests.sim.invariants.base import Part, View


class NewestControllerObeyed:
    watches = frozenset({Part.JOURNALS})

    def __init__(self) -> None:
        self._highest: dict[str, int] = {}
        self._held: dict[str, Assignments] = {}
        self._lost: dict[str, int] = {}

    def check(self, world: View) -> str:
        for name in sorted(world.news.spoke):
            host = world.hosts[name]
            kept = host.journal.remembered()
            if self._lost.get(name, 0) != host.journals_lost:
                self._lost[name] = host.journals_lost
                self._highest.pop(name, None)
                self._held.pop(name, None)
            if kept.epoch < self._highest.get(name, 0):
                return f"{name} obeys epoch {kept.epoch} after {self._highest[name]}"
            self._highest[name] = kept.epoch
            held, self._held[name] = self._held.get(name), kept.assignments
            if kept.assignments is held or not kept.assignments.revision:
                continue
            if not host.was_said_in_session(kept.assignments, kept.epoch):
                return f"{name} obeys revision {kept.assignments.revision}, not of its session and epoch"
        return ""
