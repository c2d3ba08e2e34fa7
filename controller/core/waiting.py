"""Which of the waiting tasks are tried in a turn: those that are new, and those that a change may help.

Tasks that ask alike wait as one `Asker`; what no node can take sleeps until a changed node could take it
(`decide.waking`). Knows the fleet only as an argument, and does not place.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import numpy as np

from controller.decide.fleet import Fleet
from controller.decide.verdicts import judge
from controller.decide.waking import Asker, Sleepers


class Waiting:
    """Remembers who sleeps, and which nodes have changed since somebody was last woken.

    In each turn: `node_changed` for every node that is new, is another, or on which tasks have come, gone or
    been placed (their names are enough, and once too often does no harm); then `due` with all who wait now
    says whom to try, and `refused` is told of each of them with tasks left over.
    """

    def __init__(self) -> None:
        self._sleepers = Sleepers()
        self._whys: dict[Asker, Why] = {}
        self._changed: set[str] = set()
        #: How often nodes have changed: what was said of them before may not be so any more.
        self.changes = 0

    def __len__(self) -> int:
        return len(self._sleepers)

    def __contains__(self, asker: Asker) -> bool:
        """Whether it sleeps: no node can take one more of its tasks."""
        return asker in self._sleepers

    def node_changed(self, node_id: str) -> None:
        """Something about a node, or on it, is not as it was."""
        self._changed.add(node_id)
        self.changes += 1

    def nodes_changed(self, node_ids: Iterable[str]) -> None:
        """The same of several."""
        before = len(self._changed)
        self._changed.update(node_ids)
        self.changes += len(self._changed) > before

    def due(self, askers: Collection[Asker], fleet: Fleet) -> list[Asker]:
        """Those of all who wait that are to be tried, in their order: who does not sleep, and whom a changed
        node could take. Who sleeps and is not among `askers` is forgotten."""
        present = set(askers)
        for gone in [each for each in self._sleepers if each not in present]:
            self._sleepers.discard(gone)
            self._whys.pop(gone, None)
        rows = sorted(fleet.rows[each] for each in self._changed if each in fleet.rows)
        self._changed.clear()
        for woken in self._sleepers.woken(np.array(rows, np.int64), fleet):
            self._sleepers.discard(woken)
        return [each for each in askers if each not in self._sleepers]

    def refused(self, asker: Asker) -> None:
        """No node can take one more of its tasks: it sleeps."""
        self._sleepers.put(asker)

    def why(self, asker: Asker, fleet: Fleet) -> Why:
        """What the nodes say to one who sleeps, whenever that is asked."""
        return self._whys.setdefault(asker, Why(self, asker, fleet))


class Why:
    """What the nodes say to one who waits: as it is when somebody reads it, worked out once for each state of
    the nodes."""

    __slots__ = ("_asker", "_fleet", "_said", "_seen", "_waiting")

    def __init__(self, waiting: Waiting, asker: Asker, fleet: Fleet) -> None:
        self._waiting, self._asker, self._fleet = waiting, asker, fleet
        self._seen, self._said = -1, tuple[str, ...]()

    @property
    def lines(self) -> tuple[str, ...]:
        """What it needs, the nodes by cause, and which is nearest."""
        if self._seen != self._waiting.changes:
            asker = self._asker
            self._said = judge(self._fleet, asker.demand, asker.service_id, asker.pinned).lines
            self._seen = self._waiting.changes
        return self._said
