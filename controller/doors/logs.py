"""Output on its way from agents to those who asked for it. The core knows nothing of it."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from bayplan.v1 import agent_pb2, task_pb2

#: Batches that may wait for one reader; then the agents wait.
BATCHES_WAITING_MAX = 64
#: Calls that read output at the same time.
REQUESTS_MAX = 200


@dataclass
class Request:
    """One call that reads output; `tasks` are those that it may see, by node id."""

    id: str
    tasks: dict[str, frozenset[str]]
    batches: asyncio.Queue[task_pb2.LogsResponse | None] = field(
        default_factory=lambda: asyncio.Queue(BATCHES_WAITING_MAX)
    )
    unfinished: set[str] = field(default_factory=set)


class LogExchange:
    """Brings together who asks for output and who pushes it."""

    def __init__(self) -> None:
        self._requests: dict[str, Request] = {}

    def open(self, tasks: dict[str, frozenset[str]]) -> Request | None:
        """A new request for tasks by node id; None when there are too many."""
        if len(self._requests) >= REQUESTS_MAX:
            return None
        request = Request(id=secrets.token_hex(8), tasks=tasks, unfinished=set(tasks))
        self._requests[request.id] = request
        return request

    def close(self, request: Request) -> None:
        """Nobody reads it any more."""
        self._requests.pop(request.id, None)

    async def push(self, node_id: str, pushed: agent_pb2.PushLogsRequest) -> bool:
        """A node's batch; waits while the reader is slow. False: nobody wants it from this node."""
        request = self._requests.get(pushed.request_id)
        if request is None or node_id not in request.tasks:
            return False
        allowed = request.tasks[node_id]
        lines = [line for line in pushed.lines if line.task_id in allowed]
        await request.batches.put(task_pb2.LogsResponse(lines=lines, warning=pushed.warning))
        return True

    async def finished(self, node_id: str, request_ids: set[str]) -> None:
        """A node has pushed all of these requests; the last node ends the request."""
        for request_id in sorted(request_ids):
            request = self._requests.get(request_id)
            if request is not None:
                await self.give_up(request, node_id)

    @staticmethod
    async def give_up(request: Request, node_id: str) -> None:
        """Nothing more comes from a node."""
        request.unfinished.discard(node_id)
        if not request.unfinished:
            await request.batches.put(None)

    @staticmethod
    async def batches(request: Request) -> AsyncIterator[task_pb2.LogsResponse]:
        """What was pushed, until every node has finished."""
        while (batch := await request.batches.get()) is not None:
            yield batch
