"""Calls about services: their state, changes one by one, and the rollouts that these start."""

from __future__ import annotations

from typing import Any

from bayplan.client.calls import DEPLOY_S, READ_S, WRITE_S, Calls, call, value, values
from bayplan.model import ServiceSpec
from bayplan.v1 import explain_pb2, rollout_pb2, service_pb2
from bayplan.v1.explain_pb2_grpc import ExplainServiceStub
from bayplan.v1.rollout_pb2_grpc import RolloutServiceStub
from bayplan.v1.service_pb2_grpc import ServiceServiceStub
from bayplan.views import Deployed, Explanation, Move, RolloutAction, RolloutView, ServiceView
from bayplan.wire import to_pb


class ServiceCalls(Calls):
    """ServiceService, RolloutService and ExplainService."""

    def services(self, stack: str = "") -> tuple[ServiceView, ...]:
        request = service_pb2.ListServicesRequest(stack=stack)
        return values(call(self._stub(ServiceServiceStub).ListServices, request, READ_S).services)

    def service(self, name: str) -> tuple[ServiceView, ServiceSpec]:
        request = service_pb2.GetServiceRequest(service=name)
        answer = call(self._stub(ServiceServiceStub).GetService, request, READ_S)
        return value(answer.view), value(answer.spec)

    def scale(self, name: str, replicas: int) -> tuple[str, int, int]:
        """The service's full name, its replicas before and after."""
        request = service_pb2.ScaleRequest(service=name, replicas=replicas)
        answer = call(self._stub(ServiceServiceStub).Scale, request, WRITE_S)
        return answer.service, answer.before, answer.after

    def create_service(self, stack: str, spec: ServiceSpec) -> Deployed:
        """Adds a service to a stack, which is made if there is none."""
        request = rollout_pb2.CreateServiceRequest(stack=stack, spec=to_pb(spec))
        return _deployed(self._stub(RolloutServiceStub).CreateService, request)

    def update_service(self, name: str, spec: ServiceSpec, check_version: int = 0) -> Deployed:
        """Gives a service another spec, with `check_version` only if that still is its version."""
        request = rollout_pb2.UpdateServiceRequest(
            service=name, spec=to_pb(spec), check_version=check_version
        )
        return _deployed(self._stub(RolloutServiceStub).UpdateService, request)

    def rollback_service(self, name: str) -> Deployed:
        """Goes back to the version before the current one."""
        request = rollout_pb2.RollbackServiceRequest(service=name)
        return _deployed(self._stub(RolloutServiceStub).RollbackService, request)

    def restart_service(self, name: str) -> Deployed:
        """Replaces all tasks by new ones of the same spec, as the update policy says."""
        request = rollout_pb2.RestartServiceRequest(service=name)
        return _deployed(self._stub(RolloutServiceStub).RestartService, request)

    def remove_service(self, name: str) -> Deployed:
        """Takes one service out of its stack."""
        request = rollout_pb2.RemoveServiceRequest(service=name)
        return _deployed(self._stub(RolloutServiceStub).RemoveService, request)

    def rollout(self, name: str) -> RolloutView:
        """How far a service's rollout is."""
        request = rollout_pb2.GetRolloutRequest(service=name)
        view: RolloutView = value(call(self._stub(RolloutServiceStub).GetRollout, request, READ_S).rollout)
        return view

    def control_rollout(self, name: str, action: RolloutAction) -> RolloutView:
        """Pauses, resumes, promotes or undoes a rollout; answers with the rollout after that."""
        request = rollout_pb2.ControlRolloutRequest(
            service=name, action=rollout_pb2.RolloutAction.Value(f"ROLLOUT_ACTION_{action.name}")
        )
        answer = call(self._stub(RolloutServiceStub).ControlRollout, request, DEPLOY_S)
        view: RolloutView = value(answer.rollout)
        return view

    def explain(self, target: str) -> Explanation:
        """Why a service or a task stands as it does."""
        request = explain_pb2.ExplainRequest(target=target)
        answer = call(self._stub(ExplainServiceStub).Explain, request, READ_S)
        found: Explanation = value(answer.explanation)
        return found

    def simulate(self, lose: tuple[str, ...]) -> tuple[tuple[Move, ...], tuple[str, ...]]:
        """Where the tasks of lost nodes would go, and the names of those that would end with them."""
        request = explain_pb2.SimulateRequest(lose=lose)
        answer = call(self._stub(ExplainServiceStub).Simulate, request, WRITE_S)
        return values(answer.moves), tuple(answer.ended)

    def rebalance(self, dry_run: bool, moves_max: int = 0) -> tuple[Move, ...]:
        """The tasks that move to even out the load, at most `moves_max` (0: the controller's limit)."""
        request = explain_pb2.RebalanceRequest(dry_run=dry_run, moves_max=moves_max)
        return values(call(self._stub(ExplainServiceStub).Rebalance, request, WRITE_S).moves)


def _deployed(method: Any, request: Any) -> Deployed:
    deployed: Deployed = value(call(method, request, DEPLOY_S).deployed)
    return deployed
