"""An agent obeys its current session only, and never a lower epoch than it has obeyed."""

from __future__ import annotations

from bayplan.model import Assignments
from tests.sim.invariants.base import Part, View


class NewestControllerObeyed:
    watches = Part.HOST

    def __init__(self) -> None:
        self._highest: dict[str, int] = {}
        self._held: dict[str, tuple[Assignments, int]] = {}

    def check(self, world: View) -> str:
        for name, host in world.hosts.items():
            if host.core is None:
                continue
            state = host.core.state
            if state.epoch < self._highest.get(name, 0):
                return f"{name} obeys epoch {state.epoch} after {self._highest[name]}"
            self._highest[name] = host.kept_epoch
            held, revision = self._held.get(name, (None, 0))
            if state.assignments is held:
                continue
            self._held[name] = (state.assignments, state.assignments.revision)
            obeyed = state.assignments.revision > 0 and held is not None
            if obeyed and not host.was_said_in_session(state.assignments, state.epoch):
                return f"{name} obeys revision {state.assignments.revision}, not of its session and epoch"
        return ""
