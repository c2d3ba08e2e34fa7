"""What the controller sees of its tasks and nodes, compared with what it saw at its last turn."""

from __future__ import annotations

from bayplan.model import NodeStatus, TaskStatus
from controller import instances
from controller.records import Task
from controller.state import State
from tests.sim.news import News, Part, Sighting


class Sight:
    """Remembers one turn. Tables are compared as a whole first: most turns change nothing."""

    def __init__(self, news: News) -> None:
        self._news = news
        #: Whose tasks were looked at, and after how many changes.
        self._table: object = None
        self._changes = 0
        self._tasks: dict[str, Task] = {}
        self._statuses: dict[str, TaskStatus | None] = {}
        self._lives: dict[str, NodeStatus] = {}
        self._shown: list[tuple[int, object]] = []

    def look(self, state: State) -> None:
        """Tell what is otherwise than before."""
        lives = {node_id: life.status for node_id, life in state.lives.items()}
        if lives != self._lives:
            self._tell_lives(state, lives)
        if state.tasks is not self._table or state.tasks.writes != self._changes:
            self._table, self._changes = state.tasks, state.tasks.writes
            self._tell_tasks(state)
        shown = [
            (each.revision, instances.entries(state, key))
            for key, each in state.exposures.items()
            if key in state.services
        ]
        if shown != self._shown:
            self._shown = shown
            self._news.parts.add(Part.VIEW)

    def _tell_lives(self, state: State, lives: dict[str, NodeStatus]) -> None:
        before, self._lives = self._lives, lives
        for node_id, status in lives.items():
            if before.get(node_id) != status:
                self._news.nodes.add(node_id)
                self._news.tell(f"sees node {state.nodes[node_id].name}: {status.value}", Part.VIEW)
        for node_id in before.keys() - lives.keys():
            self._news.tell(f"sees node {node_id}: no more", Part.VIEW)

    def _tell_tasks(self, state: State) -> None:
        tasks, statuses = self._tasks, self._statuses
        there = state.tasks.of(state.tasks.table.used())
        self._tasks = {task.id: task for task in there}
        self._statuses = {task.id: state.tasks.status(task.id) for task in there}
        self._news.parts.add(Part.VIEW)
        for task in there:
            before = tasks.get(task.id)
            if before is not task or statuses.get(task.id) is not self._statuses[task.id]:
                self._tell(state, before, task)
        for task_id in [task_id for task_id in tasks if task_id not in self._tasks]:
            gone = tasks[task_id]
            self._news.nodes.add(gone.node_id)
            self._news.sightings.append(Sighting(gone, None))
            self._news.tell(f"sees {_name(state, gone)}: no more")

    def _tell(self, state: State, before: Task | None, task: Task) -> None:
        status = state.status_of(task)
        self._news.sightings.append(Sighting(task, status))
        self._news.nodes.update({task.node_id, before.node_id if before else ""} - {""})
        node = state.nodes.get(task.node_id)
        wish = "removing" if task.removing else task.desired.value
        message = f" ({status.message})" if status.message else ""
        self._news.tell(
            f"sees {_name(state, task)}: {status.state.value}{message}, wanted {wish},"
            f" on {node.name if node else '-'}"
        )


def _name(state: State, task: Task) -> str:
    service = state.services.get(task.service_id)
    return f"task {task.id} {service.name if service else task.service_id}.{task.slot} v{task.version}"
