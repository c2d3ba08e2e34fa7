"""The nodes' lives: pulses and their answers, suspect, down and back, the brake, coming and going.

It notes and tells; what a silence means is decided in `decide.liveness`. Knows nothing of tasks beyond
that a changed node is looked at again.
"""

from __future__ import annotations

from bayplan.model import Availability, NodeStatus
from bayplan.session import Dismissal, Heartbeat, Pulse
from controller.core import fencing
from controller.core.turn import Turn
from controller.decide import liveness
from controller.events import WitnessLost, WitnessOpened
from controller.observations import Life

#: Pulses that are due within this time are sent together, in ms.
PULSES_APART_MS = 25
#: So many pulses are sent together in any case; of a large fleet's twice as many as are due on an average.
PULSES_TOGETHER = 25
#: Why the tasks of a node that is down are not moved.
HELD = "too many nodes fell silent together: its tasks are not moved"


def pulse_all(turn: Turn, late_ms: int = 0) -> int:
    """A pulse to every node in session whose last one, or whose Hello, was a beat ago. Returns when the next
    is due (monotonic ms). So a large fleet's pulses are spread over the beat as its Hellos came; those that a
    pause of ours has brought together drift apart again. `late_ms`: how long after it was due this comes; of
    who is busy, and asked seldom, no node must miss its pulse."""
    state, now_ms, beat_ms = turn.state, turn.now.mono_ms, turn.settings.timing.heartbeat_ms
    most = max(PULSES_TOGETHER, 2 * len(state.pulsed) * (PULSES_APART_MS + late_ms) // beat_ms)
    for _ in range(len(state.pulsed)):
        node_id = next(iter(state.pulsed))
        life = state.lives.get(node_id)
        if life is None or not life.connected:
            del state.pulsed[node_id]
            continue
        due_ms = _asked_ms(life) + beat_ms
        if due_ms > now_ms + PULSES_APART_MS:
            return min(due_ms, now_ms + beat_ms)
        if not most:
            return now_ms + PULSES_APART_MS
        pulse(turn, node_id, life)
        most -= 1
    return now_ms + beat_ms


def _asked_ms(life: Life) -> int:
    """When the last pulse of a session was sent; its Hello counts as one."""
    return life.pulses[-1][1] if life.pulses else life.heard_ms


def pulse(turn: Turn, node_id: str, life: Life) -> None:
    """Ask a node for a sign of life, and tell it which of its answers has come."""
    turn.state.pulsed[node_id] = None
    turn.state.pulsed.move_to_end(node_id)
    life.pulse += 1
    life.pulses.append((life.pulse, turn.now.mono_ms))
    turn.send(node_id, Pulse(number=life.pulse, heard=life.pulse_answered))


def begin(life: Life, now_ms: int) -> None:
    """A session begins: its Hello is the first sign of life."""
    life.heard_ms = life.answered_ms = now_ms
    life.ever, life.goodbye = True, False
    life.pulse = life.pulse_answered = 0
    life.pulses.clear()
    life.session_lost_ms = None


def answered(turn: Turn, node_id: str, life: Life, beat: Heartbeat) -> None:
    """An answer to a pulse: the node lived when that pulse was sent. One that was never sent, or was
    answered before, says nothing."""
    sent = dict(life.pulses)
    if beat.pulse not in sent:
        return
    life.heard_ms, life.answered_ms = sent[beat.pulse], turn.now.mono_ms
    life.pulse_answered = beat.pulse
    while life.pulses and life.pulses[0][0] <= beat.pulse:
        life.pulses.popleft()
    _note_engine(turn, node_id, life, beat.engine_silent_ms)
    if life.status is NodeStatus.SUSPECT:
        status, _ = liveness.judge(turn.settings.timing, _signs(turn, life), turn.now.mono_ms)
        set_status(turn, node_id, status)


def _note_engine(turn: Turn, node_id: str, life: Life, silent_ms: int) -> None:
    before, life.engine_silent_ms = life.engine_silent_ms, max(0, silent_ms)
    stalled, was = (ms > liveness.ENGINE_SILENT_MS_MAX for ms in (life.engine_silent_ms, before))
    if stalled != was:
        said = "its engine does not answer" if stalled else "its engine answers again"
        turn.note("node", turn.state.nodes[node_id].name, said)
        turn.state.note_node(node_id)
        look_again(turn, node_id)


def witnessed(turn: Turn, event: WitnessOpened | WitnessLost) -> None:
    """A node's witness came or broke: whether the machine still is there when its agent is not."""
    life = turn.state.lives.get(event.node_id)
    if life is None:
        return
    if isinstance(event, WitnessOpened):
        life.witnesses.add(event.witness)
        life.witness_lost_ms = None
    elif event.witness in life.witnesses:
        life.witnesses.remove(event.witness)
        if not life.witnesses:
            life.witness_lost_ms = turn.now.mono_ms


def judge_all(turn: Turn, heard_ms: int) -> int | None:
    """Lets time pass for all nodes, whose silence is known up to `heard_ms`. Returns when to ask again
    (monotonic ms)."""
    due: list[int] = []
    verdicts: dict[str, NodeStatus] = {}
    as_before, unheard = 0, 0
    doubtful = []
    for node_id in turn.state.nodes:
        life = turn.state.lives[node_id]
        sure_ms = _sure_until(turn, life)
        if heard_ms < sure_ms:
            due.append(sure_ms)
            as_before, unheard = as_before + 1, unheard + (life.status is not NodeStatus.READY)
        else:
            doubtful.append(node_id)
    for node_id in sorted(doubtful):
        life = turn.state.lives[node_id]
        signs = _signs(turn, life)
        verdicts[node_id], again_ms = liveness.judge(turn.settings.timing, signs, heard_ms)
        if verdicts[node_id] is not NodeStatus.DOWN:
            due.append(again_ms)
        elif life.session_id:
            turn.send(node_id, Dismissal(reason="the node's lease ended"))
            life.session_id = ""
            turn.state.sessions_ended += 1
        if life.shaky and turn.now.mono_ms >= life.shaky_until_ms:
            life.shaky = False
            turn.state.note_node(node_id)
        due += [life.shaky_until_ms] if life.shaky else []
    _brake(turn, verdicts, as_before, unheard)
    for node_id, status in verdicts.items():
        if status is NodeStatus.DOWN and not turn.state.lives[node_id].lost:
            due += _hold(turn, node_id)
        set_status(turn, node_id, status)
        if status is NodeStatus.DOWN and turn.state.lives[node_id].lost:
            due += _fence(turn, node_id)
    return min(due, default=None)


def _sure_until(turn: Turn, life: Life) -> int:
    """Until when a node's status is as it was, whatever is not heard of it; 0: that is to be found out. All
    nodes are judged often, and these are nearly all of them."""
    if life.status is NodeStatus.READY and life.connected and not life.shaky:
        return life.heard_ms + turn.settings.timing.suspect_ms
    if life.status is NodeStatus.UNKNOWN and not life.ever:
        return _waited_for_since(turn, life) + turn.settings.timing.grace_ms
    return 0


def _waited_for_since(turn: Turn, life: Life) -> int:
    """Since when a node that was not heard yet is waited for: others that come count for it."""
    return max(life.heard_ms, min(turn.state.came_ms, life.heard_ms + liveness.COMING_MS_MAX))


def _signs(turn: Turn, life: Life) -> liveness.Signs:
    """What a node gave to hear. Breaks seen soon after this process stood still are its own doing."""
    severed_ms = liveness.severed(life.session_lost_ms, life.witness_lost_ms, life.goodbye)
    resumed_ms = turn.state.resumed_ms
    if severed_ms and resumed_ms is not None and severed_ms < resumed_ms + turn.settings.timing.grace_ms:
        severed_ms = None
    heard_ms = life.heard_ms
    if not life.ever and life.status is not NodeStatus.DOWN:
        heard_ms = _waited_for_since(turn, life)
    return liveness.Signs(heard_ms, life.connected, life.ever, severed_ms)


def _brake(turn: Turn, verdicts: dict[str, NodeStatus], as_before: int, unheard: int) -> None:
    """Note that the brake is on: a node would be given up, and too many are silent with it. `as_before` more
    nodes are expected to speak, of which `unheard` have not yet."""
    expected = {node_id: status for node_id, status in verdicts.items() if not turn.state.lives[node_id].lost}
    silent = [status for status in expected.values() if status is not NodeStatus.READY]
    if NodeStatus.DOWN in silent and liveness.brakes(len(silent) + unheard, len(expected) + as_before):
        turn.state.braked_ms = turn.now.mono_ms


def _hold(turn: Turn, node_id: str) -> list[int]:
    """Hold a node that is down, or give it up. Returns when to look again. A user who drains it has
    given it up."""
    state, life, now_ms = turn.state, turn.state.lives[node_id], turn.now.mono_ms
    if life.status is not NodeStatus.DOWN:
        life.down_ms = now_ms
    until_ms = liveness.held_until(turn.settings.timing, life.down_ms, state.braked_ms)
    drained = state.nodes[node_id].availability is Availability.DRAIN
    before, life.held = life.held, HELD if now_ms < until_ms and not drained else ""
    if life.held != before:
        state.note_node(node_id)
    if life.held and not before:
        turn.note("node", state.nodes[node_id].name, life.held)
    elif before and not life.held:
        turn.note("node", state.nodes[node_id].name, "its tasks are moved now")
        look_again(turn, node_id)
    return [until_ms] if life.held else []


def _fence(turn: Turn, node_id: str) -> list[int]:
    """Look at a lost node's fenced tasks once they cannot run any more. Returns when the next do."""
    ends = fencing.ends(turn.state, node_id)
    if any(end_ms <= turn.now.mono_ms for end_ms in ends):
        look_again(turn, node_id)
    return [end_ms for end_ms in ends if end_ms > turn.now.mono_ms]


def set_status(turn: Turn, node_id: str, status: NodeStatus) -> None:
    """Note what a node's status is now, and look again at what hangs on it."""
    life = turn.state.lives[node_id]
    if life.status is status:
        return
    before, life.status = life.status, status
    turn.state.note_node(node_id)
    if status is not NodeStatus.DOWN:
        life.held = ""
    if before is NodeStatus.DOWN:
        _came_back(turn, node_id, life)
    look_again(turn, node_id)
    turn.note("node", turn.state.nodes[node_id].name, f"{before.value} -> {status.value}")


def look_again(turn: Turn, node_id: str) -> None:
    """A node has changed: look at what is on it, and whether it can take what waits."""
    turn.touch_node(node_id)
    turn.state.note_node(node_id)


def _came_back(turn: Turn, node_id: str, life: Life) -> None:
    """A node that was down is back; one that comes and goes is avoided for a while."""
    now_ms = turn.now.mono_ms
    life.returns_ms.append(now_ms)
    for_ms = liveness.shaky_for(life.returns_ms, life.shaky_for_ms, life.shaky_until_ms, now_ms)
    if for_ms:
        life.shaky, life.shaky_for_ms, life.shaky_until_ms = True, for_ms, now_ms + for_ms
        name, minutes = turn.state.nodes[node_id].name, for_ms // 60_000
        turn.note("node", name, f"it comes and goes: avoided for {minutes} min")
