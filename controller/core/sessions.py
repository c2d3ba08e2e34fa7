"""Sessions: how nodes speak and fall silent, and what they say about their tasks."""

from __future__ import annotations

import msgspec

from bayplan.lifecycle import ALIVE, ENDED, TaskState, may_follow
from bayplan.model import NodeStatus, TaskStatus
from bayplan.session import Dismissal, FilesWanted, Goodbye, Report, Welcome
from controller.core import dependencies, files
from controller.core.turn import Turn
from controller.decide import liveness, restarts
from controller.events import AgentSaid, SessionLost, SessionOpened, WitnessLost, WitnessOpened
from controller.records import Node, Task
from controller.state import Life

#: What a machine is told that speaks with the identity of a living one.
CLONE_REASON = (
    "another machine, or this one before it restarted, still has this node's session; "
    "if this is a copy of a node, remove the agent's data directory here and join anew"
)


def session_opened(turn: Turn, event: SessionOpened) -> None:
    """An agent said Hello: welcome it, take over all that it says, and tell it all that it shall have."""
    node = turn.state.nodes.get(event.node_id)
    if node is None:
        gone = Dismissal(reason="this node was removed from the cluster", final=True)
        turn.send(event.node_id, gone, event.session_id)
        return
    life = turn.state.lives[node.id]
    if _is_clone(life, event):
        turn.send(node.id, Dismissal(reason=CLONE_REASON), event.session_id)
        turn.note("node", node.name, "a second machine with the same identity was refused")
        return
    _begin_session(turn, node, life, event)
    told = {status.task_id for status in event.hello.tasks}
    _take_statuses(turn, node.id, event.hello.tasks)
    untold = [task for task in turn.state.tasks_on(node.id) if task.id not in told]
    _take_gone(turn, node.id, tuple(task.id for task in untold if _was_there(turn, task)))
    turn.touch_node(node.id)


def _is_clone(life: Life, event: SessionOpened) -> bool:
    """Whether a living session of another boot has the node: that machine was here first."""
    other_boot = life.boot_id not in ("", event.hello.boot_id)
    return life.connected and other_boot and life.status is NodeStatus.READY


def _begin_session(turn: Turn, node: Node, life: Life, event: SessionOpened) -> None:
    if life.session_id:
        turn.send(node.id, Dismissal(reason="a newer session took over"), life.session_id)
    life.session_id, life.boot_id = event.session_id, event.hello.boot_id
    life.heard_ms, life.ever = turn.now.mono_ms, True
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
    )
    turn.send(node.id, welcome)
    _set_status(turn, node.id, NodeStatus.READY)


def _was_there(turn: Turn, task: Task) -> bool:
    """Whether the agent has had the task: then its silence about it means that it is gone."""
    return not task.wanted or turn.state.status_of(task).state in ALIVE | ENDED


def _never_there(turn: Turn, node_id: str) -> tuple[str, ...]:
    """Tasks to be removed of which an agent that has taken over all it was sent has never spoken: they
    came and went while it was sent something else."""
    tasks = turn.state.tasks_on(node_id)
    return tuple(task.id for task in tasks if task.removing and task.id not in turn.state.statuses)


def agent_said(turn: Turn, event: AgentSaid) -> None:
    """A message of a running session; one of an older session is not heard."""
    life = turn.state.lives.get(event.node_id)
    if life is None or life.session_id != event.session_id:
        return
    life.heard_ms = turn.now.mono_ms
    if life.status is NodeStatus.SUSPECT:
        _set_status(turn, event.node_id, NodeStatus.READY)
    if isinstance(event.message, Report):
        _take_statuses(turn, event.node_id, event.message.tasks)
        _take_gone(turn, event.node_id, event.message.gone)
        if event.message.revision == life.revision:
            _take_gone(turn, event.node_id, _never_there(turn, event.node_id))
    elif isinstance(event.message, FilesWanted):
        files.wanted(turn, event.node_id, event.message.digests)
    elif isinstance(event.message, Goodbye):
        name = turn.state.nodes[event.node_id].name
        turn.note("node", name, f"its agent stops: {event.message.reason or 'asked to'}")


def session_lost(turn: Turn, event: SessionLost) -> None:
    """The stream ended: the node is suspect at once, and down when its lease ends."""
    life = turn.state.lives.get(event.node_id)
    if life is None or life.session_id != event.session_id:
        return
    life.session_id = ""
    if life.status is NodeStatus.READY:
        _set_status(turn, event.node_id, NodeStatus.SUSPECT)


def judge_all(turn: Turn) -> int | None:
    """Lets time pass for all nodes. Returns when to ask again (monotonic ms)."""
    due: list[int] = []
    for node_id in sorted(turn.state.nodes):
        life = turn.state.lives[node_id]
        status, again_ms = liveness.judge(
            turn.settings.timing, life.heard_ms, life.connected, life.ever, turn.now.mono_ms
        )
        if status is NodeStatus.DOWN and life.session_id:
            turn.send(node_id, Dismissal(reason="the node's lease ended"))
            life.session_id = ""
        _set_status(turn, node_id, status)
        if status is not NodeStatus.DOWN:
            due.append(again_ms)
    return min(due, default=None)


def _set_status(turn: Turn, node_id: str, status: NodeStatus) -> None:
    life = turn.state.lives[node_id]
    if life.status is status:
        return
    before, life.status = life.status, status
    turn.touch_node(node_id)
    turn.services.update(task.service_id for task in turn.state.waiting())
    turn.note("node", turn.state.nodes[node_id].name, f"{before.value} -> {status.value}")


def _take_statuses(turn: Turn, node_id: str, statuses: tuple[TaskStatus, ...]) -> None:
    """Believes an agent about its own tasks, as long as states go forward."""
    for status in statuses:
        task = turn.state.tasks.get(status.task_id)
        if task is None or task.node_id != node_id:
            continue
        before = turn.state.status_of(task)
        if not may_follow(before.state, status.state):
            continue
        if before.state is not status.state:
            _entered(turn, task, before.state, status)
        turn.state.statuses[task.id] = status
        turn.services.add(task.service_id)


def _entered(turn: Turn, task: Task, before: TaskState, status: TaskStatus) -> None:
    """A task entered a state: count an end in its slot, and tell people what matters."""
    since = turn.state.since_ms.get(task.id, turn.now.mono_ms)
    turn.state.since_ms[task.id] = turn.now.mono_ms
    if before is TaskState.RUNNING:
        turn.state.ran_ms[task.id] = turn.now.mono_ms - since
    if status.state is TaskState.COMPLETE and task.wanted:
        _complete(turn, task)
    if status.state in ENDED and task.wanted and status.state is not TaskState.SHUTDOWN:
        _count_end(turn, task, turn.state.ran_ms.get(task.id, 0) >= restarts.PROVEN_MS)
    if status.state in ENDED or status.state is TaskState.RUNNING:
        name = turn.state.services[task.service_id].name
        text = f"{status.state.value}{f': {status.message}' if status.message else ''}"
        turn.note("task", f"{name}.{task.slot}", text)


def _complete(turn: Turn, task: Task) -> None:
    """Keep it that a task did its work, if that is all that was asked of it: it must not be done again."""
    service = turn.state.services[task.service_id]
    policy = dependencies.restart_policy(turn.state, service, turn.state.specs[task.service_id, task.version])
    if not restarts.wants_successor(policy, TaskState.COMPLETE, ()):
        turn.put(msgspec.structs.replace(task, completed=True))


def _count_end(turn: Turn, task: Task, proven: bool) -> None:
    history = turn.state.slot(task.service_id, task.slot)
    history.failures = 1 if proven else history.failures + 1
    history.ended_ms.append(turn.now.mono_ms)
    policy = turn.state.specs[task.service_id, task.version].restart
    history.not_before_ms = turn.now.mono_ms + restarts.delay_ms(policy, history.failures)


def _take_gone(turn: Turn, node_id: str, task_ids: tuple[str, ...]) -> None:
    """Tasks of which the node has no trace any more."""
    for task_id in task_ids:
        task = turn.state.tasks.get(task_id)
        if task is None or task.node_id != node_id:
            continue
        turn.services.add(task.service_id)
        if not task.wanted:
            turn.drop(task)
        elif not turn.state.ended(task):
            lost = TaskStatus(
                task_id=task.id,
                state=TaskState.LOST,
                message="the container is no longer on its node",
                since_ms=turn.now.wall_ms,
            )
            _take_statuses(turn, node_id, (lost,))


def witnessed(turn: Turn, event: WitnessOpened | WitnessLost) -> None:
    """A node's witness came or broke: whether the machine still is there when its agent is not."""
