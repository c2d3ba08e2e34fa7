"""Calls about tasks: their list and their output."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import grpc

from bayplan.client.answers import LogBatch
from bayplan.client.calls import READ_S, Calls, call, problem, values
from bayplan.v1 import task_pb2
from bayplan.v1.task_pb2_grpc import TaskServiceStub
from bayplan.views import TaskView

#: The deadline of reading kept output, in seconds.
LOGS_S = 600.0
#: The deadline of following output, in seconds.
LOGS_FOLLOW_S = 7 * 86_400.0


class TaskCalls(Calls):
    """TaskService."""

    def tasks(self, stack: str = "", service: str = "", node: str = "") -> tuple[TaskView, ...]:
        request = task_pb2.ListTasksRequest(stack=stack, service=service, node=node)
        return values(call(self._stub(TaskServiceStub).ListTasks, request, READ_S).tasks)

    def logs(self, targets: Sequence[str], follow: bool, tail: int, since_ms: int) -> Iterator[LogBatch]:
        """Output, in each task's order. `tail` is per task, negative is all."""
        request = task_pb2.LogsRequest(targets=targets, follow=follow, tail=tail, since_ms=since_ms)
        method = self._stub(TaskServiceStub).Logs
        try:
            for answer in method(request, timeout=LOGS_FOLLOW_S if follow else LOGS_S):
                yield LogBatch(values(answer.lines), dict(answer.names), answer.warning)
        except grpc.RpcError as error:
            raise problem(error) from None
