"""The doors for what users ask for: stacks and services."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from msgspec.structs import replace

from bayplan.compose.pipeline import Loaded
from bayplan.v1 import service_pb2, service_pb2_grpc, stack_pb2, stack_pb2_grpc
from bayplan.wire import from_pb, to_pb
from controller import views
from controller.core import history, quotas
from controller.doors.gate import Context, Gate, answers
from controller.doors.loading import ComposeLoader
from controller.events import (
    DeployAsked,
    PlanAsked,
    QuotaRemoveAsked,
    QuotaSetAsked,
    RemoveAsked,
    RollbackAsked,
    ScaleAsked,
)
from controller.names import find_service

#: Changes of a stack within this time are shown together: a view is whole, and its readers are people.
STACK_WINDOW_MS = 200


class StackDoor(stack_pb2_grpc.StackServiceServicer):
    """StackService."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._loader = ComposeLoader()

    @answers
    async def Deploy(self, request: stack_pb2.DeployRequest, context: Context) -> Any:
        """Decides, asks the nodes, commits; replies when it is durable."""
        wanted = await self._wanted(request)
        expected = _expected(request)
        deployed = await self._gate.ask(
            lambda ticket: DeployAsked(
                ticket=ticket, stack=wanted.stack, prune=request.prune, check_index=expected
            )
        )
        told = replace(deployed, warnings=(*wanted.warnings, *deployed.warnings))
        return stack_pb2.DeployResponse(deployed=to_pb(told))

    @answers
    async def PlanStack(self, request: stack_pb2.PlanStackRequest, context: Context) -> Any:
        """The same way as Deploy, up to the commit."""
        wanted = await self._wanted(request)
        plan = await self._gate.ask(
            lambda ticket: PlanAsked(ticket=ticket, stack=wanted.stack, prune=request.prune)
        )
        told = replace(plan, warnings=(*wanted.warnings, *plan.warnings))
        return stack_pb2.PlanStackResponse(plan=to_pb(told))

    async def _wanted(self, request: stack_pb2.DeployRequest | stack_pb2.PlanStackRequest) -> Loaded:
        """The stack of a request, which may come as compose text. Raises ProblemError or WireError."""
        if request.WhichOneof("source") == "compose":
            return await self._loader.load(request.compose)
        return Loaded(stack=from_pb(request.stack))

    @answers
    async def Rollback(self, request: stack_pb2.RollbackRequest, context: Context) -> Any:
        """Deploys an older revision again."""
        expected = _expected(request)
        deployed = await self._gate.ask(
            lambda ticket: RollbackAsked(
                ticket=ticket, stack=request.stack, revision=request.revision, check_index=expected
            )
        )
        return stack_pb2.RollbackResponse(deployed=to_pb(deployed))

    @answers
    async def GetStack(self, request: stack_pb2.GetStackRequest, context: Context) -> Any:
        """A stack as it was deployed."""
        revision = history.find(await self._gate.read(), request.stack, request.revision)
        return stack_pb2.GetStackResponse(stack=to_pb(revision.spec), revision=revision.revision)

    @answers
    async def ListRevisions(self, request: stack_pb2.ListRevisionsRequest, context: Context) -> Any:
        """A stack's history."""
        rows = history.views(await self._gate.read(), request.stack)
        return stack_pb2.ListRevisionsResponse(revisions=[to_pb(row) for row in rows])

    @answers
    async def Remove(self, request: stack_pb2.RemoveRequest, context: Context) -> Any:
        """Marks the services as removed; WatchStack shows when they are gone."""
        services = await self._gate.ask(lambda ticket: RemoveAsked(ticket=ticket, stack=request.stack))
        return stack_pb2.RemoveResponse(services=services)

    @answers
    async def ListStacks(self, request: stack_pb2.ListStacksRequest, context: Context) -> Any:
        """All stacks."""
        rows = views.stack_views(await self._gate.read())
        return stack_pb2.ListStacksResponse(stacks=[to_pb(row) for row in rows])

    @answers
    async def SetQuota(self, request: stack_pb2.SetQuotaRequest, context: Context) -> Any:
        """Limits a stack; what runs already stays."""
        limit = from_pb(request.limit)
        quota = await self._gate.ask(
            lambda ticket: QuotaSetAsked(ticket=ticket, stack=request.stack, limit=limit, tasks=request.tasks)
        )
        return stack_pb2.SetQuotaResponse(quota=to_pb(quota))

    @answers
    async def ListQuotas(self, request: stack_pb2.ListQuotasRequest, context: Context) -> Any:
        """All quotas and what is used of them."""
        rows = quotas.views(await self._gate.read())
        return stack_pb2.ListQuotasResponse(quotas=[to_pb(row) for row in rows])

    @answers
    async def RemoveQuota(self, request: stack_pb2.RemoveQuotaRequest, context: Context) -> Any:
        """Takes a quota away."""
        (stack,) = await self._gate.ask(lambda ticket: QuotaRemoveAsked(ticket=ticket, stack=request.stack))
        return stack_pb2.RemoveQuotaResponse(stack=stack)

    @answers
    async def WatchStack(
        self, request: stack_pb2.WatchStackRequest, context: Context
    ) -> AsyncIterator[stack_pb2.WatchStackResponse]:
        """The whole view after each change that alters it."""
        last = None
        async for state in self._gate.changes(request.stack, STACK_WINDOW_MS):
            services = views.service_views(state, request.stack)
            tasks = views.task_views(state, stack=request.stack)
            if (services, tasks) != last:
                last = (services, tasks)
                yield stack_pb2.WatchStackResponse(
                    services=[to_pb(row) for row in services], tasks=[to_pb(row) for row in tasks]
                )


def _expected(request: stack_pb2.DeployRequest | stack_pb2.RollbackRequest) -> int | None:
    return request.check_index if request.HasField("check_index") else None


class ServiceDoor(service_pb2_grpc.ServiceServiceServicer):
    """ServiceService."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    @answers
    async def ListServices(self, request: service_pb2.ListServicesRequest, context: Context) -> Any:
        """Services of one stack or of all."""
        rows = views.service_views(await self._gate.read(), request.stack)
        return service_pb2.ListServicesResponse(services=[to_pb(row) for row in rows])

    @answers
    async def GetService(self, request: service_pb2.GetServiceRequest, context: Context) -> Any:
        """One service with its spec."""
        state = await self._gate.read()
        service = find_service(state, request.service)
        return service_pb2.GetServiceResponse(
            view=to_pb(views.service_view(state, service)), spec=to_pb(state.spec_of(service))
        )

    @answers
    async def Scale(self, request: service_pb2.ScaleRequest, context: Context) -> Any:
        """Changes the number of replicas."""
        scaled = await self._gate.ask(
            lambda ticket: ScaleAsked(ticket=ticket, service=request.service, replicas=request.replicas)
        )
        return service_pb2.ScaleResponse(service=scaled.service, before=scaled.before, after=scaled.after)
