"""The scheduler's fleet, kept true for as long as the controller lives: only nodes that changed are written
anew, and what is placed in bulk it notes itself.

Whoever changes a node, or what takes room on it, says so in `state.changed_nodes`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bayplan.model import ServiceSpec
from controller.core import affinities, placing
from controller.core.owing import Owing
from controller.decide.demand import Demand, demand
from controller.decide.fleet import Fleet
from controller.decide.reservations import reserve
from controller.state import State

#: Demands of versions that are kept; more are worked out anew.
DEMANDS_KEPT_MAX = 20_000
#: Changed nodes that wait until somebody asks for the fleet; of more, or while there is nothing else to do,
#: so many are written at a time, in 2 ms.
CHANGED_NODES_MAX, NODES_AT_ONCE_MAX = 2_000, 10
#: Services of which it is worked out at a time what they have coming, while there is nothing else to do.
SERVICES_AT_ONCE_MAX = 20


class Ground:
    """The fleet of a state, and whose its rows are among the nodes of the table of tasks."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._fleet = Fleet()
        self._numbers: npt.NDArray[np.int32] = np.empty(0, np.int32)
        self._demands: dict[tuple[str, int], tuple[ServiceSpec, Demand]] = {}
        self._news: set[str] = set()
        #: Grows with each node that is written anew.
        self.written = 0
        #: What takes room before all that is new.
        self.owing = Owing(state)

    def fleet(self) -> Fleet:
        """The fleet as it is now."""
        if self._state.changed_nodes:
            self._write(sorted(self._state.changed_nodes - {""}))
            self._state.changed_nodes.clear()
        return self._fleet

    def keep_up(self, *, idle: bool) -> None:
        """Take in some of what has changed while nobody asked, so that who asks next does not wait for all of
        it; `idle`: there is nothing else to do."""
        changed = self._state.changed_nodes - {""}
        if len(changed) > (0 if idle else CHANGED_NODES_MAX):
            some = sorted(changed)[:NODES_AT_ONCE_MAX]
            self._write(some)
            self._state.changed_nodes.difference_update(some)
        if idle:
            self.owing.make_sure(SERVICES_AT_ONCE_MAX)

    def _write(self, changed: list[str]) -> None:
        state, fleet = self._state, self._fleet
        self._news.update(changed)
        self.written += len(changed)
        for node_id in changed:
            if node_id not in state.nodes and node_id in fleet.rows:
                fleet.drop(node_id)
        fleet.write(placing.candidates_of(state, [each for each in changed if each in state.nodes]))
        self._renumber(changed)

    def _renumber(self, changed: list[str]) -> None:
        """Rows may have become those of other nodes."""
        fleet, nodes = self._fleet, self._state.tasks.table.nodes
        if len(self._numbers) < fleet.size:
            more = np.full(fleet.size - len(self._numbers), -1, np.int32)
            self._numbers = np.concatenate((self._numbers, more))
        for node_id in changed:
            if node_id in fleet.rows:
                self._numbers[fleet.rows[node_id]] = nodes.number(node_id)

    def news(self) -> set[str]:
        """The nodes that have been written anew since this was last asked; whoever asks has them all."""
        news, self._news = self._news, set()
        return news

    def numbers(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
        """The numbers, in the table of tasks, of the nodes in these rows of the fleet."""
        return self._numbers[rows]

    def demand(self, service_id: str, version: int) -> Demand:
        """What a task of a version asks."""
        state, key = self._state, (service_id, version)
        spec, service = state.specs[key], state.services[service_id]
        if spec.affinities or state.named_near(service.name):  # which services these are may change
            looks = affinities.of(state, affinities.Named(service_id, service.stack, spec))
            return demand(spec, reserve(spec, state.default_reservation).resources, looks)
        kept = self._demands.get(key)
        if kept is None or kept[0] is not spec:
            if len(self._demands) >= DEMANDS_KEPT_MAX:
                self._demands.clear()
            asked = demand(spec, reserve(spec, self._state.default_reservation).resources)
            kept = self._demands[key] = spec, asked
        return kept[1]
