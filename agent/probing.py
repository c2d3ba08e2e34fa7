"""Which containers are probed, and what their probes make of them: issues, and takes in."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from agent import commands as do
from agent import events as ev
from agent import observe
from agent.decide.probes import counted, presumed
from agent.state import Tally, Task, Turn
from bayplan.model import Health, Probe

#: Where a container is probed that has no network of its own.
HOST_ADDRESS = "127.0.0.1"


def follow(turn: Turn) -> None:
    """Let those be probed that run, and no others."""
    state = turn.state
    due, state.probes_due = state.probes_due, set()
    for task_id in sorted(due):
        task = state.tasks.get(task_id)
        command = _start(task) if task is not None else None
        if (command and command.run) == state.probing.get(task_id):
            continue
        if command is None:
            del state.probing[task_id]
            turn.commands.append(do.StopProbe(task_id=task_id))
        else:
            state.probing[task_id] = command.run
            turn.commands.append(command)


def _start(task: Task) -> do.StartProbe | None:
    """How its run is probed; None when it shall not be."""
    container, probe = task.container, _probe(task)
    if probe is None or container is None or not task.alive or task.hooks_due:
        return None
    of_host = task.spec is not None and task.spec.network_mode == "host"
    address = HOST_ADDRESS if of_host else container.address
    return do.StartProbe(task_id=task.id, run=container.run, address=address, probe=probe)


def _probe(task: Task) -> Probe | None:
    return task.spec.probe if task.spec is not None else None


def probed(turn: Turn, event: ev.Probed) -> None:
    """One more probe was made; of a run that is over it says nothing."""
    task = turn.state.tasks.get(event.task_id)
    if task is None or task.container is None or task.container.run != event.run or not task.alive:
        return
    probe = _probe(task)
    if probe is None:
        return
    before = task.probed if task.probed and task.probed.run == event.run else Tally(event.run)
    tally = counted(before, probe, event.why, turn.now.wall_ms - event.run.started_ms)
    if tally != before:
        turn.state.put(replace(task, probed=tally))
    if tally.health is not before.health:
        observe.observed(turn, task.container)


def presume(turn: Turn, containers: Iterable[ev.Container]) -> None:
    """Containers are found as the agent comes back. One that has run for long is taken for healthy until its
    probes have spoken, so that a restart of the agent takes nobody out of the registry."""
    for container in containers:
        task = turn.state.tasks.get(container.task_id)
        probe = _probe(task) if task is not None else None
        if task is None or probe is None or task.probed or container.phase is not ev.Phase.RUNNING:
            continue
        if presumed(probe, turn.now.wall_ms - container.changed_ms):
            turn.state.put(replace(task, probed=Tally(container.run, Health.HEALTHY)))
