"""The registry's revision of a service name never goes down, and moves when what is ready does."""

from __future__ import annotations

from bayplan.directory import Entry
from controller import instances
from controller.decide import registry
from tests.sim.invariants.base import Part, View


class RevisionsGrow:
    watches = frozenset({Part.VIEW})

    def __init__(self) -> None:
        #: By name: the revision, what was shown at it, and what of that could be connected to.
        self._seen: dict[str, tuple[int, tuple[Entry, ...], object]] = {}

    def check(self, world: View) -> str:
        if not world.control.running:
            return ""
        state = world.state
        for service in state.services.values():
            exposure = state.exposures.get(service.id)
            if service.removed or exposure is None or not exposure.revision:
                continue
            shown = instances.entries(state, service.id)
            revision, shown_before, before = self._seen.get(service.name, (0, (), ()))
            if exposure.revision == revision and shown is shown_before:
                continue
            routable = registry.routable(shown)
            self._seen[service.name] = (exposure.revision, shown, routable)
            if exposure.revision < revision:
                return f"{service.name} was at revision {revision} and is at {exposure.revision}"
            if exposure.revision == revision and routable != before:
                return f"{service.name} changed and stayed at revision {revision}"
        return ""
