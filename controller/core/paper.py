"""What stands where, off the columns, for who tries something on paper: the fleet as it would be, and which
slots are filled. Changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from bayplan.model import Desired
from controller.core import placing
from controller.core.ground import Ground
from controller.decide.fleet import Fleet
from controller.records import Service
from controller.state import State
from controller.table import Rows
from controller.task_columns import DESIRED_CODE, REMOVING

Ints = npt.NDArray[np.int64]

#: No tasks.
NO_ROWS: Rows = np.empty(0, np.int64)

_VERSION_BITS = 32
_STOP, _READY = DESIRED_CODE[Desired.STOP], DESIRED_CODE[Desired.READY]


def fleet(ground: Ground, state: State, without: Rows) -> Fleet:
    """The nodes with what stands on them, as if the tasks in these rows of the table were gone."""
    made, table = ground.fleet().copy(), state.tasks.table
    without = without[state.tasks.on_node_mask(without)]
    without = without[~np.isin(table.node[without], lost_nodes(state))]
    # Where a task waits for the place of another one, what each takes is not simply its own.
    shared = np.unique(table.node[table.used()[table.desired[table.used()] == _READY]])
    apart = np.isin(table.node[without], shared)
    if apart.any():
        names, ids = table.nodes.names, frozenset(table.ids_of(without[apart]))
        nodes = [names[number] for number in np.unique(table.node[without[apart]]).tolist()]
        made.write(placing.candidate(state, node_id, ids) for node_id in nodes)
    for service_id, version, mine in _by_version(state, without[~apart]):
        numbers, counts = np.unique(table.node[mine], return_counts=True)
        rows = np.array([made.rows[table.nodes.names[number]] for number in numbers.tolist()], np.int64)
        made.release(service_id, ground.demand(service_id, version), rows, counts)
    return made


def _by_version(state: State, rows: Rows) -> Iterator[tuple[str, int, Rows]]:
    """The rows of each version of a service."""
    table = state.tasks.table
    keys = table.service[rows].astype(np.int64) << _VERSION_BITS | table.version[rows]
    order = np.argsort(keys, kind="stable")
    found, first = np.unique(keys[order], return_index=True)
    for key, mine in zip(found.tolist(), np.split(rows[order], first[1:]), strict=found.size > 0):
        yield table.services.names[key >> _VERSION_BITS], key & (1 << _VERSION_BITS) - 1, mine


def leaving(state: State) -> Rows:
    """The rows of all tasks that shall end."""
    rows = state.tasks.table.used()
    return rows[_leaving(state, rows)]


def lost_nodes(state: State) -> npt.NDArray[np.int32]:
    """The nodes that are given up, by their numbers in the table."""
    names = state.tasks.table.nodes
    lost = [names.known(node_id) for node_id, life in state.lives.items() if life.lost]
    return np.array(lost, np.int32)


def held_slots(state: State, service: Service, lost: npt.NDArray[np.int32]) -> Ints:
    """The slots of a service, ascending, in which a task that shall stay takes room on a node, none of the
    `lost` ones."""
    tasks, rows = state.tasks, state.tasks.table.of_service(service.id)
    rows = rows[~_leaving(state, rows)]
    rows = rows[tasks.on_node_mask(rows)]
    if lost.size:
        rows = rows[~np.isin(tasks.table.node[rows], lost)]
    return np.unique(tasks.table.slot[rows]).astype(np.int64)


def staying_slots(state: State, service: Service) -> Ints:
    """The slots of a service, ascending, that have a task which shall not end, wherever it is."""
    rows = state.tasks.table.of_service(service.id)
    rows = rows[~_leaving(state, rows)]
    return np.unique(state.tasks.table.slot[rows]).astype(np.int64)


def _leaving(state: State, rows: Rows) -> npt.NDArray[np.bool_]:
    table = state.tasks.table
    found: npt.NDArray[np.bool_] = (table.desired[rows] == _STOP) | ((table.flags[rows] & REMOVING) != 0)
    return found
