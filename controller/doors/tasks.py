"""The door for tasks: their list, and their output."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from bayplan.errors import ProblemKind, refuse
from bayplan.session import LogPull, LogStop
from bayplan.v1 import task_pb2, task_pb2_grpc
from bayplan.wire import to_pb
from controller import names, views
from controller.doors.gate import Context, Gate, answers
from controller.doors.logs import LogExchange, Request
from controller.doors.sessions import AgentDoor
from controller.records import Task
from controller.state import State

#: Targets of one Logs call.
TARGETS_MAX = 64


class TaskDoor(task_pb2_grpc.TaskServiceServicer):
    """TaskService."""

    def __init__(self, gate: Gate, agents: AgentDoor, logs: LogExchange) -> None:
        self._gate = gate
        self._agents = agents
        self._logs = logs

    @answers
    async def ListTasks(self, request: task_pb2.ListTasksRequest, context: Context) -> Any:
        """Tasks of a stack, a service, a node, or all."""
        state = await self._gate.read()
        if request.stack:
            names.check_stack(state, request.stack)
        service_id = names.find_service(state, request.service).id if request.service else ""
        node_id = names.find_node(state, request.node).id if request.node else ""
        rows = views.task_views(state, stack=request.stack, service_id=service_id, node_id=node_id)
        return task_pb2.ListTasksResponse(tasks=[to_pb(row) for row in rows])

    @answers
    async def Logs(
        self, request: task_pb2.LogsRequest, context: Context
    ) -> AsyncIterator[task_pb2.LogsResponse]:
        """The output of tasks, as their agents push it."""
        state = await self._gate.read()
        tasks = _chosen(state, request)
        by_node: dict[str, list[str]] = {}
        for task in tasks:
            if task.node_id:
                by_node.setdefault(task.node_id, []).append(task.id)
        pull = self._logs.open({node: frozenset(ids) for node, ids in by_node.items()})
        if pull is None:
            raise refuse(ProblemKind.REFUSED, "too many calls read output already", hint="end some of them")
        try:
            yield task_pb2.LogsResponse(names={task.id: _label(state, task) for task in tasks})
            async for warning in self._ask_nodes(state, pull, by_node, request):
                yield warning
            async for batch in self._logs.batches(pull):
                yield batch
        finally:
            self._logs.close(pull)
            for node_id in by_node:
                if node_id in state.lives:
                    self._agents.say(state.lives[node_id].session_id, LogStop(request_id=pull.id))

    async def _ask_nodes(
        self, state: State, pull: Request, by_node: dict[str, list[str]], request: task_pb2.LogsRequest
    ) -> AsyncIterator[task_pb2.LogsResponse]:
        """Asks each node for its part; yields a warning for one that cannot be asked."""
        if not by_node:
            await pull.batches.put(None)
        for node_id, task_ids in sorted(by_node.items()):
            question = LogPull(
                request_id=pull.id,
                task_ids=tuple(task_ids),
                follow=request.follow,
                tail=request.tail,
                since_ms=request.since_ms,
            )
            if not self._agents.say(state.lives[node_id].session_id, question):
                name = state.nodes[node_id].name
                yield task_pb2.LogsResponse(
                    warning=f"the output on {name} cannot be had: it is not connected"
                )
                await self._logs.give_up(pull, node_id)


def _chosen(state: State, request: task_pb2.LogsRequest) -> list[Task]:
    """The tasks that the targets name, each once. Raises ProblemError."""
    if not 0 < len(request.targets) <= TARGETS_MAX:
        raise refuse(ProblemKind.INVALID, f"1 to {TARGETS_MAX} targets, not {len(request.targets)}")
    found = {task.id: task for target in request.targets for task in names.find_tasks(state, target)}
    return list(found.values())


def _label(state: State, task: Task) -> str:
    node = state.nodes.get(task.node_id)
    return f"{state.services[task.service_id].name}.{task.slot}@{node.name if node else '-'}"
