"""What stands where, off the columns, for who tries something on paper: the fleet as it would be. Changes
nothing.
"""

from __future__ import annotations

import numpy as np

from bayplan.model import Desired
from controller.core import owing, placing
from controller.core.ground import Ground
from controller.decide.fleet import Fleet
from controller.state import State
from controller.table import Rows
from controller.task_columns import DESIRED_CODE

#: No tasks.
NO_ROWS: Rows = np.empty(0, np.int64)

_READY = DESIRED_CODE[Desired.READY]


def fleet(ground: Ground, state: State, without: Rows) -> Fleet:
    """The nodes with what stands on them, as if the tasks in these rows of the table were gone."""
    made, table = ground.fleet().copy(), state.tasks.table
    without = without[state.tasks.on_node_mask(without)]
    without = without[~state.are_lost(table.node[without])]
    # Where a task waits for the place of another one, what each takes is not simply its own.
    shared = np.unique(table.node[np.flatnonzero(table.desired == _READY)])
    apart = np.isin(table.node[without], shared)
    if apart.any():
        names, ids = table.nodes.names, frozenset(table.ids_of(without[apart]))
        nodes = [names[number] for number in np.unique(table.node[without[apart]]).tolist()]
        made.write(placing.candidate(state, node_id, ids) for node_id in nodes)
    for service_id, version, mine in table.by_version(without[~apart]):
        numbers, counts = np.unique(table.node[mine], return_counts=True)
        rows = np.array([made.rows[table.nodes.names[number]] for number in numbers.tolist()], np.int64)
        made.release(service_id, ground.demand(service_id, version), rows, counts)
    return made


def leaving(state: State) -> Rows:
    """The rows of all tasks that shall end."""
    return np.flatnonzero(owing.leaving(state))
