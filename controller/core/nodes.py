"""What users ask of nodes: other labels, to be paused or drained, to go."""

from __future__ import annotations

import msgspec

from bayplan.errors import ProblemError, ProblemKind, refuse
from bayplan.model import Availability, NodeStatus
from bayplan.session import Dismissal
from controller import names
from controller.core import belongings, fencing, lives, networking
from controller.core.turn import Turn
from controller.decide.labels import check_labels
from controller.events import NodeRemoveAsked, NodeUpdateAsked
from controller.records import Node

#: What a machine is told that is no node any more.
REMOVED_REASON = "this node was removed from the cluster"
#: A drain's deadline at most.
DRAIN_MS_MAX = 7 * 86_400_000


def asked(turn: Turn, event: NodeUpdateAsked | NodeRemoveAsked) -> None:
    """Does what is asked and answers, or answers why not."""
    try:
        node = names.find_node(turn.state, event.node)
        if isinstance(event, NodeUpdateAsked):
            turn.reply(event.ticket, _update(turn, node, event))
        else:
            _check_removable(turn, node, event)
            _remove(turn, node)
            turn.reply(event.ticket, node)
    except ProblemError as error:
        turn.refuse(event.ticket, error)


def _update(turn: Turn, node: Node, event: NodeUpdateAsked) -> Node:
    """The node as it is then. Raises ProblemError."""
    labels = node.labels | event.label_add
    for key in event.label_remove:
        labels.pop(key, None)
    check_labels(labels)
    availability = event.availability or node.availability
    until_ms = _drain_until(turn, node, availability, event)
    changed = msgspec.structs.replace(node, labels=labels, availability=availability, drain_until_ms=until_ms)
    if changed != node:
        turn.put(changed)
        for line in _told(node, changed, event.deadline_ms):
            turn.note("node", node.name, line)
        lives.look_again(turn, node.id)
    return changed


def _drain_until(turn: Turn, node: Node, availability: Availability, event: NodeUpdateAsked) -> int:
    """When the drain gives up waiting (Unix ms, 0: never). Raises ProblemError."""
    if not 0 <= event.deadline_ms <= DRAIN_MS_MAX:
        summary = f"a drain's deadline is at most {DRAIN_MS_MAX // 86_400_000} days"
        raise refuse(ProblemKind.INVALID, summary, hint="leave it out to wait for ever")
    if availability is not Availability.DRAIN:
        if event.deadline_ms:
            summary = f"{node.name} is not drained, so there is no deadline for it"
            raise refuse(ProblemKind.INVALID, summary, hint=f"`bayplan node drain {node.name}`")
        return 0
    if event.deadline_ms:
        return turn.now.wall_ms + event.deadline_ms
    # A new drain without a deadline has none; another label does not change one that is running.
    return 0 if event.availability else node.drain_until_ms


def _told(before: Node, after: Node, deadline_ms: int) -> list[str]:
    """What has changed, in words."""
    lines = []
    if after.availability is not before.availability:
        words = {
            Availability.ACTIVE: "active again: it takes tasks",
            Availability.PAUSE: "paused: it keeps its tasks and takes no new ones",
            Availability.DRAIN: "drained: its tasks move to other nodes",
        }
        lines.append(words[after.availability])
    if after.drain_until_ms != before.drain_until_ms and deadline_ms:
        lines.append(f"what has no heir in {deadline_ms // 1000} s is stopped without one")
    gone = sorted(before.labels.keys() - after.labels.keys())
    new = sorted(f"{key}={value}" for key, value in after.labels.items() if before.labels.get(key) != value)
    lines += [f"label {label}" for label in new] + [f"label {key} removed" for key in gone]
    return lines


def _check_removable(turn: Turn, node: Node, event: NodeRemoveAsked) -> None:
    """Raises ProblemError (REFUSED) for a node that may run something."""
    status = turn.state.lives[node.id].status
    tasks = turn.state.tasks_on(node.id)
    running = sum(turn.state.holds_node(task) for task in tasks)
    fenced = [task for task in tasks if fencing.fenced(turn.state, task)]
    if event.force:
        return
    if status is NodeStatus.DOWN and any(not fencing.gone(turn.state, t, turn.now.mono_ms) for t in fenced):
        raise refuse(
            ProblemKind.REFUSED,
            f"{node.name} is down, but fenced tasks may still run on it",
            hint="wait until they are replaced, or say with --force that the machine is off",
        )
    if status is NodeStatus.DOWN or not running:
        return
    raise refuse(
        ProblemKind.REFUSED,
        f"{node.name} is {status.value} and has {running} task{'' if running == 1 else 's'}",
        hint=f"`bayplan node drain {node.name}` moves them away first; with --force they are left behind",
    )


def _remove(turn: Turn, node: Node) -> None:
    """Forget a node: its session ends for good, its certificate is void, what was on it is made elsewhere."""
    state = turn.state
    session_id = state.lives[node.id].session_id
    if session_id:
        turn.send(node.id, Dismissal(reason=REMOVED_REASON, final=True), session_id)
    state.sessions_ended += 1
    turn.touch_node(node.id)
    for task in state.tasks_on(node.id):
        if not task.completed:  # what did its work must not be done again
            turn.drop(task)
    turn.nodes.discard(node.id)
    belongings.forget_node(turn, node.id)
    turn.drop(node)
    networking.forget_node(turn, node.id)
    turn.note("node", node.name, "removed from the cluster")
