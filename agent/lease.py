"""The lease by which the controller holds this node: pulses, their answers, and when it ends.

The controller counts a node by the answers that reached it. So the lease runs from the moment at which
an answer left that the controller says it has; from then on it can only have counted longer than we do.
"""

from __future__ import annotations

from agent import commands as do
from agent.state import State, Turn
from bayplan.session import Heartbeat, Pulse, Welcome

#: An agent that was started anew does not know how long its node had not been heard: its fenced tasks wait
#: this long for a controller.
FENCE_RESTART_MS = 2_000


def greeted(turn: Turn) -> None:
    """Hello is out: the Welcome that answers it says that it was heard."""
    lease = turn.state.lease
    lease.answers.clear()
    lease.answers.append((0, turn.now.mono_ms))


def welcomed(turn: Turn, message: Welcome) -> None:
    """A controller has heard the Hello."""
    lease = turn.state.lease
    lease.ms, lease.pulsed_at = message.lease_ms, turn.now.mono_ms
    _heard(turn.state, 0)


def pulsed(turn: Turn, pulse: Pulse) -> None:
    """Answer a pulse at once, and note which answer has come."""
    state, lease, now_ms = turn.state, turn.state.lease, turn.now.mono_ms
    lease.pulsed_at = now_ms
    _heard(state, pulse.heard)
    lease.answers.append((pulse.number, now_ms))
    beat = Heartbeat(pulse=pulse.number, engine_silent_ms=state.engine_silent_ms(turn.now))
    turn.commands.append(do.Say(link=state.session.link, message=beat))


def _heard(state: State, number: int) -> None:
    """The controller has our answers up to this one."""
    answers = state.lease.answers
    while answers and answers[0][0] <= number:
        state.lease.held_from = answers.popleft()[1]


def silent_at(state: State) -> int | None:
    """When the controller will have been silent for the lease (monotonic ms); None out of session."""
    lease = state.lease
    return lease.pulsed_at + lease.ms if state.session.welcomed and lease.ms else None


def fence_at(state: State) -> int | None:
    """When fenced tasks must stop, another may then be started elsewhere; None while no lease is known."""
    lease = state.lease
    if lease.held_from is None:
        return None if lease.started_at is None else lease.started_at + FENCE_RESTART_MS
    return lease.held_from + lease.ms if lease.ms else None


def fence(turn: Turn) -> None:
    """Note whether fenced tasks may run, and look at them again when that changes."""
    state, now_ms = turn.state, turn.now.mono_ms
    if state.lease.started_at is None:
        state.lease.started_at = now_ms
    at = fence_at(state)
    over = at is not None and now_ms >= at
    if over is not state.lease.over:
        state.lease.over = over
        state.due.update(task.id for task in state.tasks.values() if task.fenced)


def moments(state: State) -> list[int]:
    """When something here falls due, monotonic ms."""
    found = [silent_at(state)]
    if not state.lease.over and any(task.fenced for task in state.tasks.values()):
        found.append(fence_at(state))
    return [at for at in found if at is not None]
