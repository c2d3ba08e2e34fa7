"""Why a service or a task stands as it does, out of the state: nodes' verdicts, last events and outputs.

Only puts together what the deciders know. The words are for people; nothing is parsed out of them.
"""

from __future__ import annotations

from collections.abc import Iterator

from bayplan import cron
from bayplan.errors import ProblemKind, refuse
from bayplan.lifecycle import ENDED, TaskState
from bayplan.model import (
    Desired,
    Health,
    HomePolicy,
    NodeFaultKind,
    NodeStatus,
    Resources,
    ServiceMode,
    TaskStatus,
)
from bayplan.units import format_duration_ms
from bayplan.views import CauseCount, Event, Explanation, NodeVerdict, Score, ServiceView
from controller import names, views
from controller.core import dependencies, fencing, paper, placing, preempting
from controller.core.ground import Ground
from controller.decide import preempt, restarts
from controller.decide.demand import DIMENSIONS
from controller.decide.filling import Wish, bound_of
from controller.decide.fleet import Fleet
from controller.decide.ratings import Rated, Ratings, rate
from controller.decide.verdicts import Verdicts
from controller.records import GLOBAL_MODES, JOB_MODES, Service, Task
from controller.state import State

#: Slots of which lines tell; those with something to tell come by number.
SLOTS_TOLD_MAX = 10
#: Lines of a health check's last output.
OUTPUT_LINES_MAX = 10
#: Tasks named that give way, or would.
HOLDERS_TOLD_MAX = 5
#: Faults of nodes that are told of.
FAULTS_TOLD_MAX = 10
#: Nodes whose verdict is shown: the best, then those that are nearest to taking it.
VERDICTS_MAX = 200
#: Tasks shown.
TASKS_MAX = 100
#: Events shown.
EVENTS_MAX = 20

#: Faults of a node that matter for the networks that they name.
_OF_NETWORKS = (NodeFaultKind.NETWORK, NodeFaultKind.SUBNET, NodeFaultKind.MTU, NodeFaultKind.RESOLVER)
_DONE = (TaskState.COMPLETE, TaskState.SHUTDOWN)


def explain(
    state: State, ground: Ground, target: str, now_ms: int, *, preemption: bool = False
) -> Explanation:
    """The explanation of a service or a task by any of its names; `now_ms` is monotonic, `preemption` says
    whether tasks give way to more important ones here.

    Raises ProblemError (NOT_FOUND).
    """
    service, slot = names.find_slot(state, target)
    wanted = placing.slots_of(state, state.spec_of(service), service.replicas).wanted
    known = wanted.keys() | {task.slot for task in state.tasks_of(service.id)}
    if slot is not None and slot not in known:
        raise refuse(
            ProblemKind.NOT_FOUND,
            f"{service.name} has no slot {slot}",
            hint=f"`bayplan service ps {service.name}` shows those that it has",
        )
    subject = service.name if slot is None else f"{service.name}.{slot}"
    slots = sorted(wanted) if slot is None else [slot]
    rows = views.task_views(state, service_id=service.id)
    ratings, fleet = _ratings(state, ground, service, slot)
    said = ratings.verdicts
    return Explanation(
        subject=subject,
        lines=(
            *_of_service(state, service, now_ms),
            *_of_nodes(state, service),
            *_of_slots(state, service, slots, now_ms),
            *_of_giving_way(state, ground, fleet, service, slot, said, preemption=preemption),
        ),
        verdicts=tuple(_verdict(fleet, each) for each in ratings.rows),
        tasks=tuple(row for row in rows if slot in (None, row.slot))[:TASKS_MAX],
        events=tuple(_events(state, service, slot)),
        nodes=said.nodes,
        fits=said.fits,
        causes=tuple(CauseCount(cause=cause.value, nodes=number) for cause, number in said.causes.items()),
        nearest=said.nearest,
    )


def _of_service(state: State, service: Service, now_ms: int) -> Iterator[str]:
    spec, view = state.spec_of(service), views.service_view(state, service)
    yield f"{_mode(spec.mode)}, version {service.version}: {_numbers(view)}"
    if service.removed:
        yield "it is removed, and goes with its last task"
    if view.waits_for:
        yield f"waits for {view.waits_for}"
    if spec.schedule is not None:
        due = cron.local_time(spec.schedule, view.next_run_ms)
        yield (
            f"run {service.run} was the last, the next is due at {due}"
            if service.run
            else f"runs first at {due}"
        )
    if view.rollout:
        rollout = views.rollout_view(state, service, now_ms)
        order = rollout.policy.order.value.replace("_", "-")
        why = f": {rollout.order_reason}" if rollout.order_reason else ""
        yield view.rollout
        yield f"new tasks come {order}{why}"
        if rollout.deadline_left_ms >= 0:
            yield f"without progress it has failed in {_seconds(rollout.deadline_left_ms)}"


def _of_nodes(state: State, service: Service) -> Iterator[str]:
    """Faults of nodes that matter for the service: its published ports on any, its networks where it runs.
    That nothing comes from a node which is away is no news."""
    container = state.spec_of(service).container
    ports = {str(port.published) for port in container.ports if port.published}
    networks = {attachment.network for attachment in container.networks}
    here = {task.node_id for task in state.tasks_of(service.id)}
    silent = {node.address for node in state.nodes.values() if not state.lives[node.id].connected}
    peers = {node.address for node in state.nodes.values()} - silent
    told = 0
    for node in sorted(state.nodes.values(), key=lambda node: node.name):
        life = state.lives[node.id]
        for fault in life.condition.faults if life.connected else ():
            of_port = fault.kind is NodeFaultKind.PORT and fault.subject in ports
            of_network = fault.kind in _OF_NETWORKS and fault.subject in networks
            of_node = bool(networks) and (fault.kind is NodeFaultKind.DATA_PLANE or fault.subject in peers)
            if of_port or (node.id in here and (of_network or of_node)):
                told += 1
                if told > FAULTS_TOLD_MAX:
                    yield "and more faults of nodes: `bayplan doctor` shows all"
                    return
                yield f"on node {node.name}: {fault.text}"


def _mode(mode: ServiceMode) -> str:
    return mode.value.replace("_", " ")


def _numbers(view: ServiceView) -> str:
    if view.mode in JOB_MODES:
        return f"{view.completed} of {view.desired} done, {view.running} running"
    return f"{view.ready} of {view.desired} ready, {view.running} running"


def _of_slots(state: State, service: Service, slots: list[int], now_ms: int) -> Iterator[str]:
    """What is to be told of slots, those that are as they shall be left out."""
    told, tasks = 0, state.tasks_by_slot(service.id)
    for slot in slots:
        lines = list(_of_slot(state, service, slot, tasks.get(slot, []), now_ms))
        told += bool(lines)
        if told > SLOTS_TOLD_MAX:
            yield "and more: ask about one of them, as SERVICE.SLOT"
            return
        yield from lines


def _of_slot(state: State, service: Service, slot: int, tasks: list[Task], now_ms: int) -> Iterator[str]:
    """What is to be told of a slot, whose tasks come oldest first."""
    name = f"{service.name}.{slot}"
    if any(task.completed and task.run == service.run for task in tasks):
        return
    for task in tasks:
        if not task.leaving:
            yield from (f"{name} {text}" for text in _of_task(state, service, task, now_ms))
    version = tasks[-1].version if tasks else service.version
    history = state.pasts.get(service.id, {}).get((slot, version))
    waits_ms = history.not_before_ms - now_ms if history else 0
    if history and waits_ms > 0 and not any(task.wanted and not state.ended(task) for task in tasks):
        times = "1 failure" if history.failures == 1 else f"{history.failures} failures in a row"
        yield f"{name} is started again in {_seconds(waits_ms)}, after {times}"
    ends = [task for task in tasks if _end_of(state, task).state in ENDED]
    if ends and _end_of(state, ends[-1]).state not in _DONE:
        yield from _of_end(state, name, ends[-1])


def _of_task(state: State, service: Service, task: Task, now_ms: int) -> Iterator[str]:
    """What keeps one task from being ready and where it shall be, in words that follow its name."""
    status, node = state.status_of(task), _node_name(state, task)
    if not task.node_id:
        yield f"waits for a node: {' · '.join(state.pending_reasons.get(task.id, ())) or 'it was just made'}"
        return
    if dependencies.is_over(state, service, task):
        yield "is not started again: that is its restart policy"
        return
    if state.ended(task):
        return
    life = state.lives.get(task.node_id)
    if life is not None and life.status is not NodeStatus.READY:
        silent = format_duration_ms((now_ms - life.heard_ms) // 1_000 * 1_000)
        held = f", and is not moved: {life.held}" if life.held else ""
        yield f"is on {node}, which is {life.status.value} (not heard for {silent}){held}"
    if task.wanted and state.is_lost(task.node_id) and fencing.fenced(state, task):
        yield _of_fence(state, task, now_ms)
    if task.desired is Desired.READY:
        yield f"has a successor of version {task.version} prepared on {node}"
    elif task.displaced:
        yield f"is to move away from {node}, once its successor is ready"
    if task.id in state.leaving:
        yield f"is draining on {node}: it serves on until nobody uses it any more"
    if status.state not in (TaskState.RUNNING, *ENDED):
        since = f": {status.message}" if status.message else ""
        yield f"is {status.state.value} on {node}{since}"
    elif status.health in (Health.STARTING, Health.UNHEALTHY):
        passed = "has not passed yet" if status.health is Health.STARTING else "fails"
        yield f"runs on {node}, but its health check {passed}"
        yield from (f"  | {line}" for line in _output(status))


def _of_fence(state: State, task: Task, now_ms: int) -> str:
    node, end_ms = _node_name(state, task), fencing.end(state, task)
    if end_ms is None:
        return (
            f"is fenced, and nobody can tell when it has ended on {node}: "
            f"if that is off, say so with `bayplan node rm --force {node}`"
        )
    return f"is fenced: it is replaced in {_seconds(end_ms - now_ms)}, when it has surely ended on {node}"


def _of_end(state: State, name: str, task: Task) -> Iterator[str]:
    end = _end_of(state, task)
    yield f"{name} ended last on {_node_name(state, task)}: {end.message or end.state.value}"
    yield from (f"{name}   | {line}" for line in _output(end))


def _end_of(state: State, task: Task) -> TaskStatus:
    return task.end or state.status_of(task)


def _output(status: TaskStatus) -> list[str]:
    """The last lines of what a health check printed."""
    return status.probe_output.strip().splitlines()[-OUTPUT_LINES_MAX:]


def _node_name(state: State, task: Task) -> str:
    node = state.nodes.get(task.node_id)
    return node.name if node else "no node"


def _seconds(amount_ms: int) -> str:
    """A time that is left, in whole seconds."""
    return format_duration_ms(max(1, round(amount_ms / 1_000)) * 1_000)


def _ratings(state: State, ground: Ground, service: Service, slot: int | None) -> tuple[Ratings, Fleet]:
    """What each node says to a new task; to one in the place of those that a slot has."""
    spec, table = state.spec_of(service), state.tasks.table
    rows = table.of_service(service.id)
    fleet = paper.fleet(ground, state, without=rows[table.slot[rows] == (-1 if slot is None else slot)])
    wanted = placing.slots_of(state, spec, service.replicas).wanted
    wish = Wish(
        service.id,
        ground.demand(service.id, service.version),
        bound_of(max(service.replicas, fleet.counts.total(service.id) + 1)),
        restarts.avoided(state.tasks_of(service.id), service.version),
    )
    return rate(fleet, wish, VERDICTS_MAX, wanted.get(slot or 0, "")), fleet


def _of_giving_way(
    state: State,
    ground: Ground,
    fleet: Fleet,
    service: Service,
    slot: int | None,
    said: Verdicts,
    *,
    preemption: bool,
) -> Iterator[str]:
    """Who makes room, or would, for a task of these that waits for it, and else why nobody does."""
    tasks = [task for task in state.tasks_of(service.id) if slot in (None, task.slot)]
    waits = any(task.wanted and not task.node_id for task in tasks)
    spec, asked = state.spec_of(service), said.demand
    if said.fits or not waits or spec.mode in GLOBAL_MODES or spec.homes is HomePolicy.STAY:
        return
    own = {task.id for task in tasks} if slot else set[str]()  # the fleet is without them
    rooms = preempting.Rooms(state, ground, fleet, gone=lambda task: task.id in own)
    rows = rooms.near(service.id, asked)
    found = rooms.best(asked, rows)
    if found is None:
        why = preempt.staying(asked.priority, rooms.room(rows[0])) if rows and preemption else {}
        if why:
            there = " · ".join(f"{number} {text}" for text, number in why.items())
            yield (
                f"nobody gives way to it, whose priority is {asked.priority}: "
                f"the tasks on {rooms.room(rows[0]).name}, which is short of least, are {there}"
            )
    elif not found.holders:
        yield f"{found.room.name} will have room for it once the tasks that leave it have ended"
    elif preemption:
        yield f"on {found.room.name} there will be room for it: {_holders(state, found)} give way"
    else:
        yield (
            f"{found.room.name} would have room for it if {_holders(state, found)} gave way to its priority "
            f"{asked.priority}; this controller stops nobody for others (`bayplan init --preemption` does)"
        )


def _holders(state: State, found: preempt.Eviction) -> str:
    """`shop_low.1 (priority 20) and shop_low.2 (priority 20)`, and how many more."""
    tasks = [(state.tasks[each.task_id], each.priority) for each in found.holders]
    names = [f"{state.services[task.service_id].name}.{task.slot} (priority {n})" for task, n in tasks]
    if len(names) > HOLDERS_TOLD_MAX:
        names = [*names[: HOLDERS_TOLD_MAX - 1], f"{len(names) - HOLDERS_TOLD_MAX + 1} more"]
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _verdict(fleet: Fleet, rated: Rated) -> NodeVerdict:
    free = {each: max(0, fleet.free[each].item(rated.row)) for each in DIMENSIONS}
    return NodeVerdict(
        node=fleet.nodes[rated.row].name,
        fits=rated.cause is None,
        reason=rated.reason,
        free=Resources(**free),
        tasks=rated.tasks,
        rank=rated.rank,
        scores=tuple(Score(part=part, value=value) for part, value in rated.parts),
    )


def _events(state: State, service: Service, slot: int | None) -> list[Event]:
    """The last events about the service and its tasks, or only this slot's, oldest first."""
    of_slot = f"{service.name}.{slot}"

    def concerns(subject: str) -> bool:
        task = subject.startswith(f"{service.name}.") if slot is None else subject == of_slot
        return task or subject == service.name

    return [event for event in state.events if concerns(event.subject)][-EVENTS_MAX:]
