"""Empties nodes after rolling updates: what the surge of an update left in use, where a few moves will do.

Which node, and where its tasks go, is decided in `decide.consolidation`; here is who may move at all, when,
and how often. A move is start-first; what is under way is kept in memory only: after a restart the tasks that
were to move do so, and merely may come to other nodes. At most so many tasks are remembered as may move.
"""

from __future__ import annotations

import msgspec

from controller.core import mobility
from controller.core.ground import Ground
from controller.core.turn import Turn
from controller.decide import consolidation, room
from controller.state import State

#: The shortest time between two looks, which cost some ms each where there are many nodes.
LOOK_EVERY_MS = 1_000


class Consolidator:
    """Remembers how many moves have been earned, which tasks move, and whether it is worth another look."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._allowance = room.Allowance(consolidation.MOVES_SAVED_MAX)
        #: Where each task shall go that moves: the id of a node, by the task's.
        self._moving: dict[str, str] = {}
        self._due = False
        self._look_ms = 0

    def target(self, task_id: str) -> str:
        """The id of the node to which a task moves so that its own becomes free; empty for any other task."""
        return self._moving.get(task_id, "")

    def placed(self, count: int) -> None:
        """So many tasks have got nodes."""
        self._allowance.earn(count)

    def rolled_out(self) -> None:
        """A rollout has ended, which may have left a node in use that need not be."""
        self._due = True

    def look(self, turn: Turn) -> None:
        """Let the tasks of one node move, if all have room on others in use; one node after the other."""
        now_ms = turn.now.mono_ms
        if not self._due or now_ms < self._look_ms or self._is_busy(turn.state):
            return
        self._look_ms = now_ms + LOOK_EVERY_MS
        self._due = False
        fleet = self._ground.fleet()
        shifts = consolidation.emptied(
            fleet,
            consolidation.for_one(self._allowance.moves),
            lambda row: self._standing(turn.state, row, fleet.ids[row]),
        )
        self._due |= bool(shifts)
        self._allowance.spend(len(shifts))
        for shift in shifts:
            task, name = turn.state.tasks[shift.movable.task_id], fleet.nodes[shift.movable.row].name
            self._moving[task.id] = fleet.ids[shift.target]
            turn.put(msgspec.structs.replace(task, displaced=True))
            turn.services.add(task.service_id)
            told = f"{turn.state.services[task.service_id].name}.{task.slot}"
            turn.note("task", told, f"moves from {name} so that {name} becomes free")

    def _is_busy(self, state: State) -> bool:
        """Whether tasks of a node are still moving."""
        for task_id in list(self._moving):
            task = state.tasks.get(task_id)
            if task is None or not (task.displaced and task.wanted):
                del self._moving[task_id]
        return bool(self._moving)

    def _standing(self, state: State, row: int, node_id: str) -> list[room.Movable] | None:
        """All tasks on a node; None where one has to stay, or is still to go: that is worth another look."""
        found = []
        for task in state.tasks_on(node_id):
            if not state.holds_node(task):
                continue
            if task.leaving:
                self._due = True
                return None
            if not (mobility.may_move(state, task) and mobility.is_alone(state, task)):
                return None
            asked = self._ground.demand(task.service_id, task.version)
            found.append(room.Movable(task.id, task.service_id, row, asked))
        return found
