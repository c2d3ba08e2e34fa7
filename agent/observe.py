"""Takes in what the engine showed and how commands ended. Changes rows, issues nothing."""

from __future__ import annotations

from msgspec.structs import replace

from agent import events as ev
from agent.decide.converge import STEADY_RUN_MS, restart_delay_ms, retry_delay_ms
from agent.decide.status import moved, seen
from agent.state import Pull, State, Task, Turn, WantedImage, Work, taken_up, wanted_image
from bayplan.lifecycle import TaskState
from bayplan.model import PullPolicy

#: How long after a failed removal a network is tried again.
NETWORK_RETRY_MS = 10_000


def engine_listed(turn: Turn, event: ev.EngineListed) -> None:
    """Compare all rows with all containers."""
    state = turn.state
    state.engine_up, state.engine_silent_since, state.inventory = True, None, event.inventory
    listed = {container.task_id for container in event.containers}
    for container in sorted(event.containers, key=lambda container: container.task_id):
        observed(turn, container)
    for task in state.sorted_tasks():
        if task.container is not None and task.id not in listed and task.work is Work.NONE:
            state.put(replace(task, container=None))
    state.networks.update(dict.fromkeys(event.networks, 0))
    state.networks_due = state.overlays.due = True
    state.due.update(state.tasks)


def engine_lost(turn: Turn, event: ev.EngineLost) -> None:
    """The engine is away or hangs. Its containers may well live on: nothing is concluded."""
    state = turn.state
    state.engine_up = False
    if state.engine_silent_since is None:
        state.engine_silent_since = turn.now.mono_ms - event.silent_ms


def observed(turn: Turn, container: ev.Container) -> None:
    """A container is now so; one that no row knows gets a row that nothing is wanted of."""
    task = turn.state.tasks.get(container.task_id)
    task = task or Task(status=taken_up(container.task_id, turn.now.wall_ms))
    was_alive = task.alive
    task = replace(task, container=container, failures=0, addresses=addresses(turn.state, task, container))
    if not task.ended:
        task = replace(task, status=seen(task, container, turn.now.wall_ms))
    if task.alive and not was_alive:
        task = replace(task, started_at=turn.now.mono_ms)
    elif was_alive and not task.alive:
        task = _with_restart_delay(turn, task)
    turn.state.put(task)


def addresses(state: State, task: Task, container: ev.Container) -> dict[str, str]:
    """Those on networks that span nodes, as the engine shows them."""
    overlays = state.overlays.told
    shown = {name: address for name, address in container.addresses.items() if name in overlays}
    return task.addresses | shown


def exited(turn: Turn, event: ev.ContainerExited) -> None:
    """A process ended; an event of a container that the row does not have is an old one."""
    task = turn.state.tasks.get(event.task_id)
    if task is None or task.container is None or task.container.container_id != event.container_id:
        return
    ended_container = replace(
        task.container,
        phase=ev.Phase.EXITED,
        exit_code=event.exit_code,
        oom_killed=event.oom_killed,
        changed_ms=event.at_ms,
    )
    observed(turn, ended_container)


def destroyed(turn: Turn, event: ev.ContainerDestroyed) -> None:
    """A container is gone."""
    task = turn.state.tasks.get(event.task_id)
    if task and task.container and task.container.container_id == event.container_id:
        turn.state.put(replace(task, container=None))


def done(turn: Turn, container: ev.Container) -> None:
    """A create or a stop succeeded."""
    task = turn.state.tasks[container.task_id]
    turn.state.put(replace(task, work=Work.NONE, failures=0, retry_at=0))
    observed(turn, container)


def started(turn: Turn, container: ev.Container) -> None:
    """A start succeeded. The process was alive in between, even if it is gone already: the exit counts."""
    task = turn.state.tasks[container.task_id]
    alive = replace(container, phase=ev.Phase.RUNNING)
    turn.state.put(replace(task, container=alive, started_at=turn.now.mono_ms))
    done(turn, container)


def stopped(turn: Turn, event: ev.ContainerStopped) -> None:
    """A stop succeeded; what its hooks had to say stays with the task."""
    done(turn, event.container)
    task = turn.state.tasks[event.container.task_id]
    if event.note and not task.ended:
        message = "; ".join(filter(None, (task.status.message, event.note)))
        turn.state.put(replace(task, status=replace(task.status, message=message)))


def hooks_done(turn: Turn, event: ev.HooksDone) -> None:
    """Its post_start hooks are done, unless a stop has overtaken them."""
    task = turn.state.tasks.get(event.task_id)
    if task is None or task.work is not Work.HOOKS or task.container is None:
        return
    turn.state.hooked_changed = True
    turn.state.put(replace(task, work=Work.NONE, hooked_ms=event.started_ms, failures=0, retry_at=0))
    observed(turn, task.container)


def hooks_failed(turn: Turn, event: ev.HooksFailed) -> None:
    """Cases: a stop has overtaken them; the process is gone, and its exit counts; run them again; the
    task has failed, with or without a controller."""
    task = turn.state.tasks.get(event.task_id)
    if task is None or task.work is not Work.HOOKS:
        return
    task = replace(task, work=Work.NONE)
    if not task.alive:
        turn.state.put(task)
    elif event.fault.kind is ev.FaultKind.UNANSWERED or not turn.state.engine_up:
        turn.state.put(_with_retry(turn, task))
    else:
        status = moved(task.status, TaskState.STOPPING, turn.now.wall_ms, event.fault.reason)
        turn.state.put(replace(task, ending=TaskState.FAILED, status=status))


def removed(turn: Turn, task_id: str) -> None:
    """A removal succeeded."""
    turn.state.put(replace(turn.state.tasks[task_id], work=Work.NONE, container=None))


def failed(turn: Turn, task_id: str, fault: ev.Fault) -> None:
    """Cases: the container is gone; no image here, to be pulled or not; a refused restart or start;
    anything else is retried."""
    state, task = turn.state, turn.state.tasks[task_id]
    work, task = task.work, replace(task, work=Work.NONE)
    no_image = fault.kind is ev.FaultKind.NO_IMAGE
    refused = fault.kind is ev.FaultKind.REFUSED or (no_image and task.pulled)
    again = task.container is not None and task.container.phase is ev.Phase.EXITED
    if fault.kind is ev.FaultKind.NO_CONTAINER:
        state.put(replace(task, container=None))
    elif no_image and task.spec is not None and task.spec.pull_policy is PullPolicy.NEVER:
        reject(turn, task, f"image {task.spec.image} is not on this node, and pull_policy is never")
    elif no_image and not task.pulled:
        await_image(turn, task, missing=True)
    elif work is Work.START and again and refused:
        state.put(_with_restart_delay(turn, task))
    elif work in (Work.CREATE, Work.START) and refused:
        reject(turn, task, fault.reason)
    else:
        state.put(_with_retry(turn, task))


def reject(turn: Turn, task: Task, reason: str) -> None:
    """The task cannot be started, and why."""
    status = moved(task.status, TaskState.REJECTED, turn.now.wall_ms, reason)
    turn.state.put(replace(task, work=Work.NONE, status=status))


def await_image(turn: Turn, task: Task, *, missing: bool) -> None:
    """Let a task that is still wanted wait for its image, which may be `missing` on this node."""
    if task.wanted and task.spec is not None:
        pulls, wanted = turn.state.pulls, wanted_image(task.spec)
        pull = pulls.get(wanted, Pull())
        pulls[wanted] = replace(pull, missing=pull.missing or missing)
        message = f"pulling {task.spec.image}"
        status = moved(task.status, TaskState.PREPARING, turn.now.wall_ms, message)
        task = replace(task, work=Work.PULL, status=status)
    turn.state.put(task)


def pulled(turn: Turn, event: ev.ImagePulled) -> None:
    """Those who waited for the image go on."""
    wanted = WantedImage(event.image, event.platform)
    turn.state.pulls.pop(wanted, None)
    for task in turn.state.waiting_for(wanted):
        turn.state.put(replace(task, work=Work.NONE, pulled=True))


def pull_failed(turn: Turn, event: ev.PullFailed) -> None:
    """Those who waited are rejected; if nothing came, or the engine was away, the pull is tried again."""
    wanted = WantedImage(event.image, event.platform)
    pull = turn.state.pulls.pop(wanted, Pull())
    again = event.fault.kind is ev.FaultKind.UNANSWERED
    if again:
        retry_at = turn.now.mono_ms + retry_delay_ms(pull.failures)
        turn.state.pulls[wanted] = Pull(missing=pull.missing, failures=pull.failures + 1, retry_at=retry_at)
    for task in turn.state.waiting_for(wanted):
        if again:
            message = f"{event.fault.reason}; it is tried again"
            status = moved(task.status, TaskState.PREPARING, turn.now.wall_ms, message)
            turn.state.put(replace(task, status=status))
        else:
            reject(turn, task, event.fault.reason)


def network_settled(turn: Turn, event: ev.NetworkRemoved | ev.NetworkKept) -> None:
    """A network's removal is over; tasks may wait for its name."""
    turn.state.networks_leaving.discard(event.network)
    if isinstance(event, ev.NetworkKept):
        turn.state.networks[event.network] = turn.now.mono_ms + NETWORK_RETRY_MS
    turn.state.due.update(turn.state.tasks)


def _with_retry(turn: Turn, task: Task) -> Task:
    retry_at = turn.now.mono_ms + retry_delay_ms(task.failures)
    return replace(task, failures=task.failures + 1, retry_at=retry_at)


def _with_restart_delay(turn: Turn, task: Task) -> Task:
    quick = turn.now.mono_ms - task.started_at < STEADY_RUN_MS
    exits = task.quick_exits if quick else 0
    restart_at = turn.now.mono_ms + restart_delay_ms(exits)
    return replace(task, quick_exits=exits + 1, restart_at=restart_at)
