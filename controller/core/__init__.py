"""The controller's core: `step(event, now)` is the only way to change its state.

It decides and remembers; it never waits, reads a clock or rolls dice that were not given to it.
"""

from __future__ import annotations

import random
from typing import assert_never

from bayplan.model import Assignments, Now
from bayplan.session import Heartbeat, PreflightResult, Report
from bayplan.step import Step, joined
from controller.core import (
    draining,
    file_requests,
    files,
    foresight,
    joins,
    lives,
    network_views,
    networking,
    nodes,
    quotas,
    reports,
    rollouts,
    sessions,
    stacks,
    statuses,
)
from controller.core.assigning import Assigner
from controller.core.ground import Ground
from controller.core.outsiders import Outsiders
from controller.core.requests import Requests
from controller.core.schedules import Schedules
from controller.core.settling import Settler
from controller.core.turn import Settings, Turn
from controller.events import (
    AgentEvent,
    AgentSaid,
    CallerLeft,
    DeployAsked,
    DeregisterAsked,
    Event,
    FileCreateAsked,
    FileRemoveAsked,
    FileUpdateAsked,
    FollowersLetGo,
    JoinAsked,
    NetworkCreateAsked,
    NetworkRemoveAsked,
    NodeRemoveAsked,
    NodeUpdateAsked,
    OneServiceRequest,
    OverrideAsked,
    PlainRequest,
    PlanAsked,
    QuotaRemoveAsked,
    QuotaSetAsked,
    RebalanceAsked,
    RegisterAsked,
    RemoveAsked,
    RenewAsked,
    RollbackAsked,
    RolloutAsked,
    ScaleAsked,
    ServiceCreateAsked,
    ServiceRemoveAsked,
    ServiceRestartAsked,
    ServiceRollbackAsked,
    ServiceUpdateAsked,
    SessionLost,
    SessionOpened,
    SimulateAsked,
    TokenMade,
    WatcherAcknowledged,
    WatcherCame,
    WatcherLeft,
    WitnessLost,
    WitnessOpened,
)
from controller.state import State

#: A sleep longer than intended by this much was a pause of the whole process (monotonic ms).
OVERSLEPT_MS = 1_000
#: Nodes that are judged in a millisecond on average: at this rate it takes a tenth of the time.
NODES_JUDGED_PER_MS = 16

_TOGETHER = SessionOpened | SessionLost | OneServiceRequest


class ControllerCore:
    """Takes events, one after the other; see `bayplan.step.Core`."""

    def __init__(self, state: State, rng: random.Random, now: Now, settings: Settings | None = None) -> None:
        self.state = state
        self._rng = rng
        self._settings = settings or Settings()
        state.default_reservation = self._settings.default_reservation
        state.lease_ms = self._settings.timing.down_ms
        #: The nodes as the scheduler sees them, for who wants to know what they would say.
        self.ground = Ground(state)
        self._requests = Requests(self.ground)
        self._settler = Settler(self.ground)
        self._schedules = Schedules()
        self._outsiders = Outsiders(state, now)
        self._assigner = Assigner(state)
        #: What was taken and is not settled yet, and what was settled since a step was last given.
        self._open: Turn | None = None
        self._steps: list[Step] = []
        self._last_ms = now.mono_ms
        self._nodes_due_ms: int | None = now.mono_ms
        self._judged_ms = now.mono_ms
        self._pulse_due_ms = now.mono_ms
        for life in state.lives.values():
            life.heard_ms = life.answered_ms = now.mono_ms
        statuses.recall(state, now)
        networking.recall(state, now.mono_ms)
        self._unseen = set(state.services)

    def step(self, event: Event, now: Now) -> Step:
        """Apply one event, and settle it."""
        self.take(event, now)
        self._close()
        return self._taken()

    def take(self, event: Event, now: Now) -> None:
        """Apply one event. What agents say, that they come and go, and requests that change one service are
        settled together; anything else on its own, after what was said before it."""
        together = isinstance(event, _TOGETHER) or (
            isinstance(event, AgentSaid) and isinstance(event.message, Report | Heartbeat | PreflightResult)
        )
        if not together:
            self._close()
        if self._open is None:
            self._open = self._turn(now)
        self._dispatch(self._open, event)
        if not together:
            self._close()

    def settle(self, now: Now, heard_ms: int | None = None) -> Step:
        """Let time pass after all that was taken. A sign of life that waits counts first: nodes are judged
        by the time up to which all are heard."""
        idle = self._open is None and not self._steps
        self._close()
        self._steps.append(self.wake(now, heard_ms, idle=idle))
        return self._taken()

    def _close(self) -> None:
        """Settle what was taken."""
        if self._open is not None:
            self._steps.append(self._done(self._open, event=True))
            self._open = None

    def _taken(self) -> Step:
        steps, self._steps = self._steps, []
        return joined(steps)

    def wake(self, now: Now, heard_ms: int | None = None, *, idle: bool = True) -> Step:
        """Let time pass; see `settle`. `idle`: nothing else happened."""
        turn = self._turn(now)
        turn.services |= self._unseen
        self._unseen.clear()
        if self._nodes_due_ms is not None and now.mono_ms >= self._nodes_due_ms:
            due_ms = lives.judge_all(turn, now.mono_ms if heard_ms is None else heard_ms)
            self._judged_ms = now.mono_ms
            self._nodes_due_ms = None if due_ms is None else max(due_ms, self._judge_again_ms())
        if now.mono_ms >= self._pulse_due_ms:
            self._pulse_due_ms = lives.pulse_all(turn, late_ms=now.mono_ms - self._pulse_due_ms)
        requests_due_ms = self._requests.wake_at()
        if requests_due_ms is not None and now.mono_ms >= requests_due_ms:
            self._requests.wake(turn)
        if not self.state.tasks.waiting_services():  # they look at all that has changed
            self.ground.keep_up(idle=idle)
        return self._done(turn)

    def assignments(self, node_id: str) -> Assignments | None:
        """All that a node shall have by what has been decided so far; None for one that is no more."""
        return self._assigner.assignments(node_id)

    def wake_at(self) -> int | None:
        """When a lease, a delay or a deadline ends next."""
        dues = (
            self._nodes_due_ms,
            self._pulse_due_ms if self.state.nodes else None,
            self._requests.wake_at(),
            self._settler.wake_at(),
            self._schedules.wake_at(),
            self._outsiders.wake_at(),
            draining.wake_at(self.state),
            networking.wake_at(self.state),
        )
        return min([due for due in dues if due is not None], default=None)

    def _turn(self, now: Now) -> Turn:
        self._allow_for_pause(now)
        return Turn(self.state, self._rng, self._settings, now)

    def _done(self, turn: Turn, *, event: bool = False) -> Step:
        reports.settle(turn)
        self._requests.give_up(turn)
        self._schedules.look(turn)
        self._settler.settle(turn, event=event)
        self._outsiders.settle(turn)
        files.collect(turn)
        self._last_ms = turn.now.mono_ms
        return turn.done()

    def _dispatch(self, turn: Turn, event: Event) -> None:
        match event:
            case SessionOpened() | AgentSaid() | SessionLost() | WitnessOpened() | WitnessLost():
                self._from_agent(turn, event)
            case (
                DeployAsked()
                | PlanAsked()
                | RollbackAsked()
                | ScaleAsked()
                | ServiceCreateAsked()
                | ServiceUpdateAsked()
                | ServiceRestartAsked()
                | ServiceRemoveAsked()
            ):
                self._requests.asked(turn, event)
            case CallerLeft():
                self._requests.caller_left(event)
            case WatcherCame() | WatcherAcknowledged() | WatcherLeft() | FollowersLetGo():
                draining.watched(turn, event)
            case _:
                self._from_user(turn, event)

    def _from_agent(self, turn: Turn, event: AgentEvent) -> None:
        """What nodes say, and that they fall silent."""
        match event:
            case SessionOpened():
                sessions.session_opened(turn, event)
                self._judge_soon(turn)
            case AgentSaid(message=PreflightResult() as answer):
                sessions.agent_said(turn, event)
                self._requests.answered(turn, event.node_id, answer)
            case AgentSaid():
                sessions.agent_said(turn, event)
            case SessionLost():
                sessions.session_lost(turn, event)
                self._judge_soon(turn)
            case WitnessOpened() | WitnessLost():
                lives.witnessed(turn, event)
                self._judge_soon(turn)
            case _:
                assert_never(event)

    def _from_user(self, turn: Turn, event: PlainRequest) -> None:
        """What users ask that no node has a say in."""
        match event:
            case RemoveAsked():
                stacks.remove_asked(turn, event)
            case ServiceRollbackAsked() | RolloutAsked():
                rollouts.asked(turn, event)
            case NodeUpdateAsked() | NodeRemoveAsked():
                nodes.asked(turn, event)
                self._judge_soon(turn)
            case RebalanceAsked() | SimulateAsked():
                foresight.asked(turn, event, self.ground)
            case QuotaSetAsked() | QuotaRemoveAsked():
                quotas.asked(turn, event)
            case FileCreateAsked() | FileUpdateAsked() | FileRemoveAsked():
                file_requests.asked(turn, event)
            case NetworkCreateAsked() | NetworkRemoveAsked():
                network_views.asked(turn, event)
            case RegisterAsked() | RenewAsked() | DeregisterAsked() | OverrideAsked():
                self._outsiders.asked(turn, event)
            case TokenMade():
                joins.token_made(turn, event)
            case JoinAsked():
                joins.join_asked(turn, event)
                self._judge_soon(turn)
            case _:
                assert_never(event)

    def _judge_soon(self, turn: Turn) -> None:
        self._nodes_due_ms = max(turn.now.mono_ms, self._judge_again_ms())

    def _judge_again_ms(self) -> int:
        """All nodes are judged together, so the more there are, the less often."""
        return self._judged_ms + len(self.state.nodes) // NODES_JUDGED_PER_MS

    def _allow_for_pause(self, now: Now) -> None:
        """After a pause of this process the nodes' silence is its own: their leases begin anew, and the pause
        is no rollout's lack of progress."""
        if now.mono_ms - self._last_ms <= OVERSLEPT_MS:
            return
        due = self.wake_at()
        intended = self._last_ms if due is None else max(due, self._last_ms)
        overslept = now.mono_ms - intended
        if due is not None and overslept > OVERSLEPT_MS:
            self.state.resumed_ms = now.mono_ms
            self._outsiders.resumed(now)
            for life in self.state.lives.values():
                life.shift(overslept)
            for service_id, going in self.state.headways.items():
                self.state.headways[service_id] = going._replace(since_ms=going.since_ms + overslept)
