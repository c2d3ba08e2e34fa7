"""What time brings about in jobs: their runs by schedule, and the end of those that have finished.

Due times are of the wall clock, which may be set; so it is looked at again at least once a minute.
"""

from __future__ import annotations

import msgspec

from bayplan import cron
from bayplan.model import Schedule, ServiceSpec
from bayplan.units import format_duration_ms
from controller.core import dependencies, placing, services, stacks
from controller.core.turn import Turn
from controller.decide.cron import Outcome, Verdict, judge
from controller.records import Service, Task
from controller.state import State

#: How long a due time is waited for without a look at the clock (ms).
LOOK_AGAIN_MS = 60_000


class Schedules:
    """Remembers only when each job is to be looked at again (monotonic ms)."""

    def __init__(self) -> None:
        self._wakes: dict[str, int] = {}

    def wake_at(self) -> int | None:
        """When to look at the clock next."""
        return min(self._wakes.values(), default=None)

    def look(self, turn: Turn) -> None:
        """Begin the runs that are due, and remove the jobs whose time is over."""
        due = {service_id for service_id, at in self._wakes.items() if at <= turn.now.mono_ms}
        for service_id in sorted(due | turn.services):
            left_ms = self._look_at(turn, service_id)
            if left_ms is None:
                self._wakes.pop(service_id, None)
            else:
                self._wakes[service_id] = turn.now.mono_ms + max(1, min(left_ms, LOOK_AGAIN_MS))

    def _look_at(self, turn: Turn, service_id: str) -> int | None:
        """Looks at one service. Returns how long until its next time, None when it has none."""
        service = turn.state.services.get(service_id)
        if service is None or service.removed:
            return None
        spec = turn.state.spec_of(service)
        if spec.schedule is not None:
            return _keep_schedule(turn, service, spec.schedule)
        return _let_go(turn, service, spec) if spec.ttl_ms else None


def _keep_schedule(turn: Turn, service: Service, schedule: Schedule) -> int:
    busy = going_on(turn.state, service)
    verdict = judge(schedule, service.fired_ms, turn.now.wall_ms, busy=busy)
    run = service.run + 1 if verdict.runs else service.run
    if (run, verdict.fired_ms) != (service.run, service.fired_ms):
        turn.put(msgspec.structs.replace(service, run=run, fired_ms=verdict.fired_ms))
        turn.services.add(service.id)
    if verdict.runs:
        turn.state.forget_failures(service.id)
    if verdict.outcome is not Outcome.NONE:
        turn.note("service", service.name, _told(schedule, verdict, run))
    return verdict.next_ms - turn.now.wall_ms


def _told(schedule: Schedule, verdict: Verdict, run: int) -> str:
    due = cron.local_time(schedule, verdict.fired_ms)
    match verdict.outcome:
        case Outcome.STARTED:
            return f"run {run} started"
        case Outcome.MADE_UP:
            return f"run {run} started, which makes up for that of {due}"
        case Outcome.LEFT_OUT:
            return f"the run of {due} is left out: run {run} still goes on"
        case _:
            return f"the run of {due} was missed, and is too long ago to be made up for"


def going_on(state: State, service: Service) -> bool:
    """Whether a slot of a job has neither done its work, in the current run, nor been given up."""
    spec = state.spec_of(service)
    if spec.schedule is not None and not service.run:
        return False
    slots = placing.slots_of(state, spec, service.replicas).wanted
    current = [task for task in state.tasks_of(service.id) if _is_current(task, service, spec)]
    over = {task.slot for task in current if dependencies.is_over(state, service, task)}
    return not slots.keys() <= over


def _is_current(task: Task, service: Service, spec: ServiceSpec) -> bool:
    """Whether a task is of the current run; without a schedule each version is one."""
    mine = task.run == service.run if spec.schedule else task.version == service.version
    return mine and (task.wanted or task.completed)


def next_run_ms(service: Service, spec: ServiceSpec) -> int:
    """When a scheduled job runs next; 0 when it does not."""
    if spec.schedule is None or service.removed:
        return 0
    return cron.next_due_ms(spec.schedule, service.fired_ms)


def _let_go(turn: Turn, service: Service, spec: ServiceSpec) -> int | None:
    """Removes a job whose time to live after its end is over, unless others of its stack need it."""
    state = turn.state
    if going_on(state, service):
        return None
    ends = [  # by their nodes' clocks, which may be wrong
        max((task.end or state.status_of(task)).since_ms, task.created_ms)
        for task in state.tasks_of(service.id)
        if _is_current(task, service, spec)
    ]
    left_ms = max(ends, default=turn.now.wall_ms) + spec.ttl_ms - turn.now.wall_ms
    if left_ms > 0:
        return left_ms
    if services.dependents(state, service):
        return LOOK_AGAIN_MS
    stacks.retire(turn, service, f"{spec.name} had finished {format_duration_ms(spec.ttl_ms)} before")
    return None
