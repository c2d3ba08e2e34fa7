"""Endpoints that are about to stop: found no more, but serving until their watchers have let go of them.

That a task shall stop is durable at once; only how long its node is not told yet is kept in memory.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import assert_never

from controller import instances
from controller.core.turn import Turn
from controller.decide import draining
from controller.endpoints import Leaving
from controller.events import FollowersLetGo, WatcherAcknowledged, WatcherCame, WatcherEvent, WatcherLeft
from controller.records import Service, Task
from controller.state import State


def watched(turn: Turn, event: WatcherEvent) -> None:
    """A watcher came, let go of what is not in its view, or left; or all copies of the directory let go."""
    watchers = turn.state.watchers
    match event:
        case WatcherCame():
            watchers.came(event.service, event.watcher)
        case WatcherAcknowledged():
            # A service that is gone is shown without any revision: who saw that uses none of its tasks.
            gone = not event.revision and turn.state.service_named(event.service) is None
            watchers.acknowledged(
                event.service, event.watcher, turn.state.revision if gone else event.revision
            )
        case WatcherLeft():
            watchers.left(event.service, event.watcher)
        case FollowersLetGo():
            watchers.followed = event.revision
        case _:
            assert_never(event)


def begin(turn: Turn, service: Service, task_ids: Iterable[str]) -> None:
    """Tasks of a service are about to be told to go: those that serve do so for a while."""
    state = turn.state
    has_watchers = state.watchers.revision(service.name) is not None
    waiting = list[Task]()
    for task in (state.tasks[task_id] for task_id in task_ids):
        spec = state.specs[service.id, task.version]
        waits = draining.waits(spec, removed=service.removed, watched=has_watchers)
        if waits and task.wanted and not state.is_down(task.node_id):
            waiting.append(task)
    ready = {each.id for each in instances.ready(state, service.id)} if waiting else ()
    for task in sorted(waiting, key=lambda each: each.id):
        if task.id in ready:
            drain_ms = state.specs[service.id, task.version].drain_ms
            state.leaving[task.id] = Leaving(turn.now.mono_ms + drain_ms)


def shown(turn: Turn, service: Service) -> None:
    """The registry's view of a service is renewed: it offers no task that leaves."""
    state = turn.state
    revision = state.exposure(service.id).revision
    for task_id, leaving in state.leaving.items() if state.leaving else ():
        if not leaving.revision and state.tasks[task_id].service_id == service.id:
            state.leaving[task_id] = leaving._replace(revision=revision)


def end(turn: Turn) -> None:
    """Let those stop that were let go of, and forget those that have ended."""
    state, followed, now_ms = turn.state, turn.state.watchers.followed, turn.now.mono_ms
    for task_id, leaving in list(state.leaving.items()):
        task = state.tasks[task_id]
        acknowledged = state.watchers.revision(state.services[task.service_id].name)
        over = draining.over(leaving, acknowledged, followed, now_ms)
        until_ms = draining.until(leaving, acknowledged, followed, now_ms)
        state.leaving[task_id] = leaving._replace(until_ms=until_ms)
        if over or state.ended(task):
            del state.leaving[task_id]
            turn.services.add(task.service_id)
            turn.nodes.add(task.node_id)


def wake_at(state: State) -> int | None:
    """When the next one has served long enough (monotonic ms)."""
    return min([each.until_ms for each in state.leaving.values()], default=None)
