"""A service's version begins only after all slots of what it needs were seen, on their hosts, as it needs
them: started, healthy or completed, at the version that is current then."""

from __future__ import annotations

from agent import events as ev
from bayplan.model import Dependency, DependencyCondition, Health
from controller.records import GLOBAL_MODES, Service
from tests.sim.engine import Box
from tests.sim.invariants.base import Part, View, is_running

#: A slot of a service at a version, in a condition.
Met = tuple[str, int, int, DependencyCondition]


class DependenciesFirst:
    watches = frozenset({Part.BOXES, Part.RECORDS})

    def __init__(self) -> None:
        self._met: set[Met] = set()
        self._begun: set[tuple[str, int]] = set()
        self._was: dict[str, tuple[int, int]] = {}
        #: How many requests about each stack had been answered by the last look.
        self._answers: dict[str, int] = {}

    def check(self, world: View) -> str:
        self._watch(world)
        if not world.control.running:
            return ""
        state = world.state
        if Part.RECORDS not in world.news.parts:
            return ""
        for task in state.tasks.values():
            pair = (task.service_id, task.version)
            if pair in self._begun:
                continue
            self._begun.add(pair)
            spec, service = state.specs[pair], state.services[task.service_id]
            # A scheduled job is let go once; its runs come when they are due. The way back waits for nobody,
            # nor does what was at rest and is scaled up from nothing.
            back = service.asked_version != service.version or service.settled == service.version
            # Of several requests that were decided together only what the last one left is seen.
            several = world.intents.answers.get(service.stack, 0) > 1 + self._answers.get(service.stack, 0)
            waits = pair[1] == service.version and spec.schedule is None and not (back or several)
            for dependency in spec.depends_on if waits else ():
                needed = state.service_named(f"{service.stack}_{dependency.service}")
                if needed and dependency.required and (missing := self._missing(world, needed, dependency)):
                    return f"{service.name} v{task.version} began before slot {missing} of {needed.name}"
        self._answers = dict(world.intents.answers)
        self._was = {each.id: (each.version, each.replicas) for each in state.services.values()}
        return ""

    def _watch(self, world: View) -> None:
        tasks = world.control.tasks_ever
        for _, box in world.news.boxes:
            task = tasks.get(box.task_id)
            if task is not None:
                at = (task.service_id, task.version, task.slot)
                self._met.update((*at, condition) for condition in _conditions(box))

    def _missing(self, world: View, needed: Service, dependency: Dependency) -> int:
        """The first slot that was never seen so; 0 also when what is needed has itself just changed. What is
        new was never so."""
        now = (needed.version, needed.replicas)
        if self._was.get(needed.id, now) != now:
            return 0
        slots = range(1, needed.replicas + 1)
        if world.state.spec_of(needed).mode in GLOBAL_MODES:
            slots = range(0)  # which nodes it was to be on then is not known here
        met = ((needed.id, needed.version, slot, dependency.condition) in self._met for slot in slots)
        return next((slot for slot, was_met in zip(slots, met, strict=True) if not was_met), 0)


def _conditions(box: Box) -> list[DependencyCondition]:
    found = [DependencyCondition.STARTED] if box.runs else []
    if is_running(box) and box.health in (Health.NONE, Health.HEALTHY):
        found.append(DependencyCondition.HEALTHY)
    if box.phase is ev.Phase.EXITED and box.exit_code == 0:
        # What has done its work is as healthy as it will ever be.
        found += [DependencyCondition.COMPLETED, DependencyCondition.HEALTHY]
    return found
