"""Sessions: how nodes begin to speak, what they say, and that their stream ends.

What that means for a node's life is in `lives`, what they say of their tasks in `statuses`.
"""

from __future__ import annotations

import msgspec

from bayplan.model import NodeCondition, NodeStatus
from bayplan.node_faults import bounded
from bayplan.session import Dismissal, FilesWanted, Goodbye, Heartbeat, Report, Welcome
from controller.core import files, lives, reports
from controller.core.nodes import REMOVED_REASON
from controller.core.turn import Turn
from controller.events import AgentSaid, SessionLost, SessionOpened
from controller.observations import Life
from controller.records import Node

#: What a machine is told that speaks with the identity of a living one.
CLONE_REASON = (
    "another machine, or this one before it restarted, still has this node's session; "
    "if this is a copy of a node, remove the agent's data directory here and join anew"
)


def session_opened(turn: Turn, event: SessionOpened) -> None:
    """An agent said Hello: welcome it, take over all that it says, and tell it all that it shall have."""
    node = turn.state.nodes.get(event.node_id)
    if node is None:
        gone = Dismissal(reason=REMOVED_REASON, final=True)
        turn.send(event.node_id, gone, event.session_id)
        return
    life = turn.state.lives[node.id]
    if _is_clone(life, event):
        turn.send(node.id, Dismissal(reason=CLONE_REASON), event.session_id)
        turn.note("node", node.name, "a second machine with the same identity was refused")
        return
    touched = life.status is not NodeStatus.READY  # then its new status lets it be looked at again
    _begin_session(turn, node, life, event)
    reports.take_hello(turn, node.id, event.hello)
    if not touched:
        turn.touch_node(node.id)


def _is_clone(life: Life, event: SessionOpened) -> bool:
    """Whether a living session of another boot has the node: that machine was here first."""
    other_boot = life.boot_id not in ("", event.hello.boot_id)
    return life.connected and other_boot and life.status is NodeStatus.READY


def _begin_session(turn: Turn, node: Node, life: Life, event: SessionOpened) -> None:
    if life.session_id:
        turn.send(node.id, Dismissal(reason="a newer session took over"), life.session_id)
        turn.state.sessions_ended += 1
    life.session_id, life.boot_id = event.session_id, event.hello.boot_id
    if not life.ever:
        turn.state.came_ms = turn.now.mono_ms
    lives.begin(life, turn.now.mono_ms)
    _note_condition(turn, node.id, life, event.hello.condition)
    # A node of a store from before there were ordinals gets its own here.
    ordinal = node.ordinal or turn.state.next_ordinal()
    if (event.hello.inventory, ordinal) != (node.inventory, node.ordinal):
        turn.put(msgspec.structs.replace(node, inventory=event.hello.inventory, ordinal=ordinal))
    timing = turn.settings.timing
    welcome = Welcome(
        session_id=event.session_id,
        epoch=turn.state.cluster.epoch,
        heartbeat_ms=timing.heartbeat_ms,
        node_name=node.name,
        lease_ms=timing.down_ms,
    )
    turn.send(node.id, welcome)
    lives.pulse(turn, node.id, life)
    lives.set_status(turn, node.id, NodeStatus.READY)


def agent_said(turn: Turn, event: AgentSaid) -> None:
    """A message of a running session; one of an older session is not heard."""
    life = turn.state.lives.get(event.node_id)
    if life is None or life.session_id != event.session_id:
        return
    if isinstance(event.message, Heartbeat):
        lives.answered(turn, event.node_id, life, event.message)
    elif isinstance(event.message, Report):
        reports.take(turn, event.node_id, event.message)
    elif isinstance(event.message, FilesWanted):
        files.wanted(turn, event.node_id, event.message.digests)
    elif isinstance(event.message, NodeCondition):
        _note_condition(turn, event.node_id, life, event.message)
    elif isinstance(event.message, Goodbye):
        life.goodbye = True
        name = turn.state.nodes[event.node_id].name
        turn.note("node", name, f"its agent stops: {event.message.reason or 'asked to'}")


def _note_condition(turn: Turn, node_id: str, life: Life, condition: NodeCondition) -> None:
    life.condition = bounded(condition)
    turn.state.note_node(node_id)


def session_lost(turn: Turn, event: SessionLost) -> None:
    """The stream ended: the node is suspect at once, and down when its lease ends."""
    life = turn.state.lives.get(event.node_id)
    if life is None or life.session_id != event.session_id:
        return
    life.session_id, life.session_lost_ms = "", turn.now.mono_ms
    turn.state.sessions_ended += 1
    if life.status is NodeStatus.READY:
        lives.set_status(turn, event.node_id, NodeStatus.SUSPECT)
