"""The door for questions: why something stands as it does, and what would be if."""

from __future__ import annotations

from typing import Any

from bayplan.v1 import explain_pb2, explain_pb2_grpc
from bayplan.wire import to_pb
from controller import explaining
from controller.core.ground import Ground
from controller.doors.gate import Context, Gate, answers
from controller.events import RebalanceAsked, SimulateAsked


class ExplainDoor(explain_pb2_grpc.ExplainServiceServicer):
    """ExplainService."""

    def __init__(self, gate: Gate, ground: Ground, *, preemption: bool) -> None:
        self._gate, self._ground, self._preemption = gate, ground, preemption

    @answers
    async def Explain(self, request: explain_pb2.ExplainRequest, context: Context) -> Any:
        """Why a service or a task stands as it does."""
        state = await self._gate.read()
        now_ms, preemption = self._gate.clock().mono_ms, self._preemption
        found = explaining.explain(state, self._ground, request.target, now_ms, preemption=preemption)
        return explain_pb2.ExplainResponse(explanation=to_pb(found))

    @answers
    async def Simulate(self, request: explain_pb2.SimulateRequest, context: Context) -> Any:
        """Where the tasks of lost nodes would go."""
        lose = tuple(request.lose)
        found = await self._gate.ask(lambda ticket: SimulateAsked(ticket=ticket, lose=lose))
        return explain_pb2.SimulateResponse(moves=[to_pb(each) for each in found.moves], ended=found.ended)

    @answers
    async def Rebalance(self, request: explain_pb2.RebalanceRequest, context: Context) -> Any:
        """Which tasks move to even out the load."""
        found = await self._gate.ask(
            lambda ticket: RebalanceAsked(ticket=ticket, dry_run=request.dry_run, moves_max=request.moves_max)
        )
        return explain_pb2.RebalanceResponse(moves=[to_pb(each) for each in found.moves])
