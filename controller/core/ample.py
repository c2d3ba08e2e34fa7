"""Whether there is ample room for what a request asks: a bound, far cheaper than a trial. Changes nothing.

A node that has room for n tasks of which each takes the most that any of them takes has room for any n of
them, in whatever order they come. So where nodes have room for all that is asked and all that is owed, each
counted with the most, nothing can be left without a place.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bayplan.views import ServiceAction
from controller.core.ground import Ground
from controller.core.turn import Turn
from controller.decide import deploy, homes
from controller.decide.demand import Demand, demand
from controller.decide.reservations import reserve
from controller.records import GLOBAL_MODES

_MAKING = (ServiceAction.CREATE, ServiceAction.UPDATE, ServiceAction.SCALE)


def is_ample(turn: Turn, ground: Ground, changes: Sequence[deploy.Change]) -> bool:
    """Whether all tasks that the changed services shall have find room beside all that stands on the nodes
    now and all that is owed. Not known, thus False, for tasks that look at more than room and what a node
    is."""
    asked = [_asked(turn, each) for each in changes if each.action in _MAKING]
    if not all(asked):
        return False
    owed = [(ground.demand(each.id, each.version), len(slots)) for each, slots in ground.owing.coming()]
    fleet, wanted, most = ground.fleet(), 0, dict[str, int]()
    for found in (*asked, *owed):
        assert found is not None
        each, count = found
        wanted += count
        for dimension, amount in each.amounts:
            most[dimension] = max(amount, most.get(dimension, 0))
    if not most.keys() <= fleet.free.keys():
        return False
    largest = Demand(amounts=tuple(most.items()))
    for kind in {found[0].kind for found in asked if found}:
        rows = np.flatnonzero(fleet.of_kind(kind))
        if int(fleet.fit_times(largest, "", rows, wanted).sum()) < wanted:
            return False
    return True


def _asked(turn: Turn, change: deploy.Change) -> tuple[Demand, int] | None:
    """What each task of a changed service asks and how many it shall have; None where it looks at more than
    room and what a node is."""
    spec = change.spec
    if spec is None or spec.mode in GLOBAL_MODES or homes.has_volumes(spec):
        return None
    if spec.affinities or turn.state.named_near(change.name):
        return None
    asked = demand(spec, reserve(spec, turn.settings.default_reservation).resources)
    return None if asked.ports or asked.per_node_max else (asked, spec.replicas)
