"""Calls about stacks: plans, deploys, revisions, and what a stack is now."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import grpc

from bayplan.client.answers import StackNow
from bayplan.client.calls import DEPLOY_S, READ_S, WRITE_S, Calls, call, problem, value, values, watch
from bayplan.model import Resources, StackSpec
from bayplan.v1 import stack_pb2
from bayplan.v1.stack_pb2_grpc import StackServiceStub
from bayplan.views import Deployed, Plan, QuotaView, RevisionView, StackView
from bayplan.wire import to_pb


class StackCalls(Calls):
    """StackService."""

    def deploy(self, stack: StackSpec, prune: bool, check_index: int | None = None) -> Deployed:
        """Makes the cluster run the stack; on return it is durable.

        With `check_index` only if the stack's revision is still that one (0: there is no such stack).
        """
        request = stack_pb2.DeployRequest(stack=to_pb(stack), prune=prune, check_index=check_index)
        deployed: Deployed = value(call(self._stub(StackServiceStub).Deploy, request, DEPLOY_S).deployed)
        return deployed

    def plan(self, stack: StackSpec, prune: bool) -> Plan:
        """What `deploy` would do now; changes nothing. Problems are part of it, not raised."""
        request = stack_pb2.PlanStackRequest(stack=to_pb(stack), prune=prune)
        plan: Plan = value(call(self._stub(StackServiceStub).PlanStack, request, DEPLOY_S).plan)
        return plan

    def get_stack(self, stack: str, revision: int = 0) -> tuple[StackSpec, int]:
        """The stack as it was deployed, without contents of files, and its revision; 0 is the current."""
        request = stack_pb2.GetStackRequest(stack=stack, revision=revision)
        answer = call(self._stub(StackServiceStub).GetStack, request, READ_S)
        return value(answer.stack), answer.revision

    def revisions(self, stack: str) -> tuple[RevisionView, ...]:
        """The stack's history, newest first."""
        request = stack_pb2.ListRevisionsRequest(stack=stack)
        return values(call(self._stub(StackServiceStub).ListRevisions, request, READ_S).revisions)

    def rollback(self, stack: str, revision: int = 0, check_index: int | None = None) -> Deployed:
        """Deploys an older revision again; 0 is the one before the current."""
        request = stack_pb2.RollbackRequest(stack=stack, revision=revision, check_index=check_index)
        deployed: Deployed = value(call(self._stub(StackServiceStub).Rollback, request, DEPLOY_S).deployed)
        return deployed

    def remove_stack(self, stack: str) -> tuple[str, ...]:
        """The full names of the services that now go."""
        request = stack_pb2.RemoveRequest(stack=stack)
        return tuple(call(self._stub(StackServiceStub).Remove, request, WRITE_S).services)

    def stacks(self) -> tuple[StackView, ...]:
        request = stack_pb2.ListStacksRequest()
        return values(call(self._stub(StackServiceStub).ListStacks, request, READ_S).stacks)

    def set_quota(self, stack: str, limit: Resources, tasks: int) -> QuotaView:
        """Limits what a stack may set aside; 0 is no limit. The whole quota, as it is afterwards."""
        request = stack_pb2.SetQuotaRequest(stack=stack, limit=to_pb(limit), tasks=tasks)
        quota: QuotaView = value(call(self._stub(StackServiceStub).SetQuota, request, WRITE_S).quota)
        return quota

    def quotas(self) -> tuple[QuotaView, ...]:
        """All quotas, by stack."""
        request = stack_pb2.ListQuotasRequest()
        return values(call(self._stub(StackServiceStub).ListQuotas, request, READ_S).quotas)

    def remove_quota(self, stack: str) -> None:
        """Takes a stack's quota away."""
        call(self._stub(StackServiceStub).RemoveQuota, stack_pb2.RemoveQuotaRequest(stack=stack), WRITE_S)

    def watch_stack(self, stack: str, notice: Callable[[str], None] | None = None) -> Iterator[StackNow]:
        """The stack now and after each change, without end. `notice` hears of a controller that is away."""
        request = stack_pb2.WatchStackRequest(stack=stack)
        method = self._stub(StackServiceStub).WatchStack
        return watch(method, request, _stack_now, notice or (lambda _text: None))

    def stack_now(self, stack: str) -> StackNow:
        """The stack at this moment; empty when there is none of that name."""
        request = stack_pb2.WatchStackRequest(stack=stack)
        stream = self._stub(StackServiceStub).WatchStack(request, timeout=READ_S)
        try:
            return _stack_now(next(iter(stream)))
        except grpc.RpcError as error:
            raise problem(error) from None
        finally:
            stream.cancel()


def _stack_now(answer: Any) -> StackNow:
    return StackNow(values(answer.services), values(answer.tasks))
