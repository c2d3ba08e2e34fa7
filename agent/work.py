"""Turns decisions into commands, within the node's slots.

Tasks without a free slot stay due and are decided about again at the next step; order is by task
id, so that the same events give the same commands.
"""

from __future__ import annotations

from msgspec.structs import replace

from agent import commands as do
from agent import events as ev
from agent import files, overlays
from agent.decide.container import create_config
from agent.decide.converge import Act, Decision, Situation, decide
from agent.decide.networking import placed
from agent.decide.resolving import resolv_conf
from agent.decide.status import ended, moved, unhealthy_message
from agent.decide.templates import SpecError
from agent.observe import await_image, reject
from agent.state import Task, Turn, Work, wanted_image
from bayplan.lifecycle import TaskState
from bayplan.model import ContainerSpec, Health, PullPolicy

#: Containers being created or started at once, for each core: more gains nothing and costs 10-20 % CPU.
STARTS_IN_FLIGHT_PER_CORE = 2
#: Containers being removed at once, for each core.
REMOVALS_IN_FLIGHT_PER_CORE = 2
#: Containers being stopped at once: they mostly wait for their grace.
STOPS_IN_FLIGHT_MAX = 50
#: Containers whose post_start hooks run at once: they mostly wait.
HOOKS_IN_FLIGHT_MAX = 50
#: Images being pulled at once. Starts of others do not wait for them.
PULLS_IN_FLIGHT_MAX = 3
#: So many more may go on for which nobody waits any more: the next try of what was given up will want them.
ABANDONED_PULLS_MAX = 3


def converge(turn: Turn) -> None:
    """Decide about every task that is due and issue what there is room for."""
    state, session = turn.state, turn.state.session
    greeting = session.greeted and not session.welcomed
    situation = Situation(state.confirmed, session.alone_since, greeting, state.lease.over)
    due, state.due = state.due, set()
    for task_id in sorted(due):
        while (task := state.tasks.get(task_id)) is not None:
            state.due.discard(task_id)
            _act(turn, task, decide(task, situation))
            if task_id not in state.due or state.tasks.get(task_id) is task:
                break  # at rest, or waiting for a slot
    _pull(turn)
    _remove_networks(turn)


def _act(turn: Turn, task: Task, decision: Decision) -> None:
    """Do what was decided for a task, if it is time and there is room."""
    state = turn.state
    state.timers.pop(task.id, None)
    if decision.act is Act.REST:
        return
    if decision.at_ms > turn.now.mono_ms:
        state.timers[task.id] = decision.at_ms
    elif decision.act is Act.FINISH:
        state.put(replace(task, status=ended(task, turn.now.wall_ms)))
    elif decision.act is Act.FORGET:
        state.forget(task)
    elif decision.act in (Act.CREATE, Act.START) and not _is_provided(turn, task):
        return  # due again when what it lacks has come
    elif not _has_room(turn, decision.act):
        state.due.add(task.id)
    elif decision.act is Act.CREATE:
        _create(turn, task)
    else:
        _handle(turn, task, decision)


def _is_provided(turn: Turn, task: Task) -> bool:
    return files.ready(turn, task) and overlays.ready(turn, task)


def _has_room(turn: Turn, act: Act) -> bool:
    busy, cores = turn.state.busy, turn.state.cores
    if act is Act.STOP:
        return busy[Work.STOP] < STOPS_IN_FLIGHT_MAX
    if act is Act.HOOKS:
        return busy[Work.HOOKS] < HOOKS_IN_FLIGHT_MAX
    if act is Act.REMOVE:
        return busy[Work.REMOVE] < REMOVALS_IN_FLIGHT_PER_CORE * cores
    return busy[Work.CREATE] + busy[Work.START] < STARTS_IN_FLIGHT_PER_CORE * cores


def _create(turn: Turn, task: Task) -> None:
    """Cases: no spec came, or a wrong one; the image comes first; a network is going; no address; create."""
    state = turn.state
    assert task.assignment is not None
    if task.spec is None:
        reject(turn, task, f"the controller sent no container spec {task.assignment.spec_id!r}")
        return
    if _image_comes_first(turn, task, task.spec):
        await_image(turn, task, missing=False)
        return
    if task.networks() & state.networks_leaving:
        return  # due again when the removal is over
    addresses = overlays.addresses(turn, task)
    if addresses is None:
        return  # due again when there may be one
    spec = placed(task.spec, addresses)
    try:
        config = create_config(state.identity, task.assignment, spec)
    except SpecError as error:
        reject(turn, task, str(error))
        return
    state.networks.update(dict.fromkeys(sorted(task.networks()), 0))
    command = do.CreateContainer(
        task_id=task.id,
        stack=task.assignment.stack,
        spec=spec,
        config=config,
        overlays=tuple(sorted(addresses)),
        resolv_conf=resolv_conf(spec, state.overlays.told),
    )
    status = moved(task.status, TaskState.PREPARING, turn.now.wall_ms)
    _issue(turn, replace(task, status=status, addresses=addresses), Work.CREATE, command)


def _image_comes_first(turn: Turn, task: Task, spec: ContainerSpec) -> bool:
    """Whether to wait for a pull: where the policy is `always`, or while a missing image is under way."""
    if spec.pull_policy is PullPolicy.ALWAYS and not task.pulled:
        return True
    pull = turn.state.pulls.get(wanted_image(spec))
    return spec.pull_policy is not PullPolicy.NEVER and pull is not None and pull.missing


def _handle(turn: Turn, task: Task, decision: Decision) -> None:
    """Start, stop or remove the task's container, or run its hooks."""
    container = task.container
    assert container is not None
    ids = {"task_id": task.id, "container_id": container.container_id}
    if decision.act is Act.START:
        again = container.phase is ev.Phase.EXITED
        status = task.status
        if again:  # it stays "running", but nobody shall be sent to it before it is there again
            status = replace(status, restarts=status.restarts + 1, health=Health.STARTING)
        _issue(turn, replace(task, status=status), Work.START, do.StartContainer(**ids))
    elif decision.act is Act.HOOKS:
        assert task.spec is not None
        run = do.RunHooks(**ids, started_ms=container.changed_ms, hooks=task.spec.post_start)
        _issue(turn, task, Work.HOOKS, run)
    elif decision.act is Act.STOP:
        hooks = task.spec.pre_stop if task.spec else ()
        stop = do.StopContainer(**ids, grace_ms=container.stop_grace_ms, pre_stop=hooks)
        _issue(turn, _ending(turn, task, container, decision), Work.STOP, stop)
    else:
        assert decision.act is Act.REMOVE
        _issue(turn, task, Work.REMOVE, do.RemoveContainer(**ids))


def _ending(turn: Turn, task: Task, container: ev.Container, decision: Decision) -> Task:
    """The task on its way to its end; the first reason for a stop is the one that counts."""
    ending = decision.ending
    if task.ending is not None or ending is None:
        return task
    sick = ending is TaskState.FAILED and container.health is Health.UNHEALTHY
    message = unhealthy_message(container) if sick else decision.why
    status = moved(task.status, TaskState.STOPPING, turn.now.wall_ms, message)
    return replace(task, ending=ending, status=status)


def _issue(turn: Turn, task: Task, work: Work, command: do.Command) -> None:
    turn.state.put(replace(task, work=work))
    turn.state.due.discard(task.id)
    turn.commands.append(command)


def _pull(turn: Turn) -> None:
    pulls = turn.state.pulls
    if not pulls:
        return
    in_flight = [wanted for wanted, pull in pulls.items() if pull.in_flight]
    abandoned = sum(not turn.state.waiting_for(wanted) for wanted in in_flight)
    busy = len(in_flight) - min(abandoned, ABANDONED_PULLS_MAX)
    for wanted, pull in sorted(pulls.items(), key=lambda item: (item[1].failures, item[0])):
        if pull.in_flight:
            continue
        if not turn.state.waiting_for(wanted):
            del pulls[wanted]
        elif busy < PULLS_IN_FLIGHT_MAX and pull.retry_at <= turn.now.mono_ms:
            pulls[wanted] = replace(pull, in_flight=True)
            turn.commands.append(do.PullImage(image=wanted.image, platform=wanted.platform))
            busy += 1


def _remove_networks(turn: Turn) -> None:
    """Remove the networks that no task uses; a set of tasks must have been confirmed first."""
    state = turn.state
    if not state.confirmed:
        return
    if not state.networks_due and not any(0 < at <= turn.now.mono_ms for at in state.networks.values()):
        return
    state.networks_due = False
    used = {name for task in state.tasks.values() for name in task.networks()} | state.overlays.told.keys()
    for network, at in sorted(state.networks.items()):
        if network not in used and at <= turn.now.mono_ms:
            del state.networks[network]
            state.networks_leaving.add(network)
            turn.commands.append(do.RemoveNetwork(network=network))
