"""Which slots a service shall have: so many, or one for each fit node.

A global service's slot is the durable ordinal of its node, so that a node's task keeps its place.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import NamedTuple

from bayplan.model import Availability, NodeStatus, ServiceSpec
from controller.decide.filters import fits, parsed
from controller.records import GLOBAL_MODES, JOB_MODES, Node


class Slots(NamedTuple):
    """The slots that shall be filled, each with the node it is bound to (empty: any), and those that
    are left as they are, because their node is away or takes no new tasks."""

    wanted: dict[int, str]
    idle: frozenset[int] = frozenset()


#: Numbers of replicas whose slots are kept for the next who asks.
NUMBERED_MAX = 100

#: Those of a service that is removed.
NO_SLOTS = Slots({})


@functools.lru_cache(maxsize=NUMBERED_MAX)
def numbered(replicas: int) -> Slots:
    """Slots 1 to `replicas`, on any node. Nobody changes them: all who ask share them."""
    return Slots(dict.fromkeys(range(1, replicas + 1), ""))


def slots(spec: ServiceSpec, replicas: int, nodes: Iterable[tuple[Node, NodeStatus]]) -> Slots:
    """A service's slots. A node that is drained or not fit has none; only work that a job has begun there
    is left as it is."""
    if spec.mode not in GLOBAL_MODES:
        return numbered(replicas)
    wanted, idle = {}, set()
    conditions = parsed(spec)
    for node, status in nodes:
        drained = node.availability is Availability.DRAIN
        if not fits(node, spec, conditions) or (drained and spec.mode not in JOB_MODES):
            continue
        absent = status in (NodeStatus.DOWN, NodeStatus.UNKNOWN)
        if absent or node.availability is not Availability.ACTIVE:
            idle.add(node.ordinal)
        else:
            wanted[node.ordinal] = node.id
    return Slots(dict(sorted(wanted.items())), frozenset(idle))
