"""What stands where, off the columns, for who tries something on paper: the fleet as it would be, and which
slots are filled. Changes nothing.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bayplan.model import Desired
from controller.core import placing
from controller.decide.fleet import Fleet
from controller.records import Service
from controller.state import State
from controller.table import Rows
from controller.task_columns import DESIRED_CODE, REMOVING

Ints = npt.NDArray[np.int64]

#: No tasks.
NO_ROWS: Rows = np.empty(0, np.int64)

_STOP = DESIRED_CODE[Desired.STOP]


def fleet(state: State, without: Rows) -> Fleet:
    """The nodes with what stands on them, as if the tasks in these rows of the table were gone."""
    gone = frozenset(state.tasks.table.ids_of(without))
    return Fleet.of(sorted(placing.candidates(state, gone), key=lambda each: each.node.name))


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
