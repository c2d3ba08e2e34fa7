"""What stands on nodes, counted off the columns of the tasks: for many nodes in one go.

Knows only what can be counted by version; nodes on which more is at stake are left to be looked at task by
task (`placing`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from bayplan.model import Desired, Resources
from controller.decide.demand import DIMENSIONS
from controller.decide.filters import PortKey, port_keys
from controller.decide.reservations import reserve
from controller.state import State
from controller.table import Rows
from controller.task_columns import DESIRED_CODE

#: From so many nodes on, all tasks are looked through once rather than each node's by itself.
MANY_NODES = 64

_READY = DESIRED_CODE[Desired.READY]
_VERSION_BITS = 32
_VERSION = (1 << _VERSION_BITS) - 1
_NOTHING = Resources()


class Load(NamedTuple):
    """What stands on a node: what it takes, which ports, tasks by service, and the goods that are left."""

    used: Resources
    ports: frozenset[PortKey]
    counts: dict[str, int]
    generic: dict[str, int]


class _Sum:
    """A node's tasks added up; `plain`: numbers of tasks say all."""

    __slots__ = ("amounts", "counts", "plain")

    def __init__(self) -> None:
        self.amounts = [0] * len(DIMENSIONS)
        self.counts: dict[str, int] = {}
        self.plain = True

    def add(self, service_id: str, amounts: Sequence[int] | None, count: int) -> None:
        if amounts is None:
            self.plain = False
            return
        self.amounts = [have + count * each for have, each in zip(self.amounts, amounts, strict=True)]
        self.counts[service_id] = self.counts.get(service_id, 0) + count


def counted(state: State, node_ids: Sequence[str]) -> dict[str, Load]:
    """By node what stands on it; without those where a task only waits for the place of another one, or
    ports and goods are at stake."""
    sums, numbers = _sums(state, node_ids), state.tasks.table.nodes
    found = {}
    for node_id in node_ids:
        generic = dict(state.nodes[node_id].inventory.generic)
        mine = None if state.is_lost(node_id) else sums.get(numbers.known(node_id))
        if mine is None:
            found[node_id] = Load(_NOTHING, frozenset(), {}, generic)
        elif mine.plain:
            used = Resources(**dict(zip(DIMENSIONS, mine.amounts, strict=True)))
            found[node_id] = Load(used, frozenset(), mine.counts, generic)
    return found


def _sums(state: State, node_ids: Sequence[str]) -> dict[int, _Sum]:
    """By number of a node, if anything stands on it."""
    table, rows = state.tasks.table, _rows_on(state, node_ids)
    if not len(rows):
        return {}
    nodes = table.node[rows]
    keys = table.service[rows].astype(np.int64) << _VERSION_BITS | table.version[rows]
    versions, version_of = np.unique(keys, return_inverse=True)
    pairs, counts = np.unique(nodes.astype(np.int64) * len(versions) + version_of, return_counts=True)
    each_takes = [_each_takes(state, key) for key in versions.tolist()]
    found: dict[int, _Sum] = {}
    for pair, count in zip(pairs.tolist(), counts.tolist(), strict=True):
        number, version = divmod(pair, len(versions))
        service_id, amounts = each_takes[version]
        found.setdefault(number, _Sum()).add(service_id, amounts, count)
    for number in np.unique(nodes[table.desired[rows] == _READY]).tolist():
        found[number].plain = False
    return found


def _rows_on(state: State, node_ids: Sequence[str]) -> Rows:
    """The tasks that may be using one of these nodes."""
    table = state.tasks.table
    if len(node_ids) < MANY_NODES:
        rows = np.concatenate([np.empty(0, np.int64), *(table.on_node(each) for each in node_ids)])
    else:
        asked = np.zeros(len(table.nodes.names) + 1, bool)  # the last one: those without a node, or unknown
        asked[[table.nodes.known(each) for each in node_ids]] = True
        asked[-1] = False
        rows = table.used()
        rows = rows[asked[table.node[rows]]]
    return rows[state.tasks.on_node_mask(rows)]


def _each_takes(state: State, key: int) -> tuple[str, list[int] | None]:
    """A version's service and what each of its tasks takes by dimension; None: ports or goods, too."""
    service_id = state.tasks.table.services.names[key >> _VERSION_BITS]
    spec = state.specs[service_id, key & _VERSION]
    if spec.generic or port_keys(spec.container.ports):
        return service_id, None
    own = reserve(spec, state.default_reservation).resources
    return service_id, [getattr(own, each) for each in DIMENSIONS]
