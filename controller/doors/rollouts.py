"""The door for changes of single services, and for steering their rollouts."""

from __future__ import annotations

from typing import Any

from bayplan.v1 import rollout_pb2, rollout_pb2_grpc
from bayplan.views import RolloutAction
from bayplan.wire import from_pb, to_pb
from controller import views
from controller.doors.gate import Context, Gate, answers
from controller.events import (
    RolloutAsked,
    ServiceCreateAsked,
    ServiceRemoveAsked,
    ServiceRestartAsked,
    ServiceRollbackAsked,
    ServiceUpdateAsked,
)
from controller.names import find_service

#: The actions by their number on the wire.
_ACTIONS = {
    rollout_pb2.RolloutAction.Value(f"ROLLOUT_ACTION_{action.name}"): action for action in RolloutAction
}


class RolloutDoor(rollout_pb2_grpc.RolloutServiceServicer):
    """RolloutService."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    @answers
    async def CreateService(self, request: rollout_pb2.CreateServiceRequest, context: Context) -> Any:
        """One more service in a stack."""
        spec = from_pb(request.spec)
        deployed = await self._gate.ask(
            lambda ticket: ServiceCreateAsked(ticket=ticket, stack=request.stack, spec=spec)
        )
        return rollout_pb2.CreateServiceResponse(deployed=to_pb(deployed))

    @answers
    async def UpdateService(self, request: rollout_pb2.UpdateServiceRequest, context: Context) -> Any:
        """Another spec of a service."""
        spec, service, expected = from_pb(request.spec), request.service, request.check_version
        deployed = await self._gate.ask(
            lambda ticket: ServiceUpdateAsked(
                ticket=ticket, service=service, spec=spec, check_version=expected
            )
        )
        return rollout_pb2.UpdateServiceResponse(deployed=to_pb(deployed))

    @answers
    async def RollbackService(self, request: rollout_pb2.RollbackServiceRequest, context: Context) -> Any:
        """The version before the current one."""
        deployed = await self._gate.ask(
            lambda ticket: ServiceRollbackAsked(ticket=ticket, service=request.service)
        )
        return rollout_pb2.RollbackServiceResponse(deployed=to_pb(deployed))

    @answers
    async def RestartService(self, request: rollout_pb2.RestartServiceRequest, context: Context) -> Any:
        """New tasks of the same spec."""
        deployed = await self._gate.ask(
            lambda ticket: ServiceRestartAsked(ticket=ticket, service=request.service)
        )
        return rollout_pb2.RestartServiceResponse(deployed=to_pb(deployed))

    @answers
    async def RemoveService(self, request: rollout_pb2.RemoveServiceRequest, context: Context) -> Any:
        """One service leaves its stack."""
        deployed = await self._gate.ask(
            lambda ticket: ServiceRemoveAsked(ticket=ticket, service=request.service)
        )
        return rollout_pb2.RemoveServiceResponse(deployed=to_pb(deployed))

    @answers
    async def GetRollout(self, request: rollout_pb2.GetRolloutRequest, context: Context) -> Any:
        """How far a rollout is."""
        state = await self._gate.read()
        service = find_service(state, request.service)
        rollout = views.rollout_view(state, service, self._gate.clock().mono_ms)
        return rollout_pb2.GetRolloutResponse(rollout=to_pb(rollout))

    @answers
    async def ControlRollout(self, request: rollout_pb2.ControlRolloutRequest, context: Context) -> Any:
        """Pause, resume, promote, undo."""
        action, service = _ACTIONS[request.action], request.service
        rollout = await self._gate.ask(
            lambda ticket: RolloutAsked(ticket=ticket, service=service, action=action)
        )
        return rollout_pb2.ControlRolloutResponse(rollout=to_pb(rollout))
