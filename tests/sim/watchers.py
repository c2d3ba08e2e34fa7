"""Those who watch a service's endpoints, use what they see, and acknowledge it a moment later."""

from __future__ import annotations

from controller.decide import registry
from controller.events import WatcherAcknowledged, WatcherCame, WatcherLeft
from controller.lookup import lookup
from controller.state import State
from tests.sim.clock import Clock
from tests.sim.control import Control


class Watcher:
    """Of a service by its full name. `uses` are the tasks that it may still send requests to."""

    def __init__(self, clock: Clock, control: Control, service: str, name: str, ack_ms: int) -> None:
        self.service, self.name, self.ack_ms = service, name, ack_ms
        self.uses: frozenset[str] = frozenset()
        self.here = True
        self._clock, self._control = clock, control
        self._run = self._revision = 0

    def look(self, state: State) -> None:
        """The controller has turned: take what is new, and acknowledge it when it is in use."""
        if self._run != self._control.runs:
            self._run, self._revision = self._control.runs, 0
            self._post(WatcherCame(service=self.service, watcher=self.name))
        service = state.service_named(self.service)
        if (state.exposure(service.id).revision if service else 0) == self._revision:
            return
        stack, _, short = self.service.partition("_")
        found = lookup(state, stack, short)
        assert not found.revision or found.revision > self._revision, f"{self.service} went back"
        self._revision = found.revision
        view = frozenset(each.id for each in registry.ready(found.instances))
        revision, run = found.revision, self._run
        self._clock.after(self.ack_ms, lambda: self._use(view, revision, run))

    def leave(self) -> None:
        """It goes, and uses nothing any more."""
        self.here, self.uses = False, frozenset()
        self._post(WatcherLeft(service=self.service, watcher=self.name))

    def _use(self, view: frozenset[str], revision: int, run: int) -> None:
        if not self.here:
            return
        self.uses = view
        if run == self._control.runs:
            said = WatcherAcknowledged(service=self.service, watcher=self.name, revision=revision)
            self._post(said)

    def _post(self, event: WatcherCame | WatcherAcknowledged | WatcherLeft) -> None:
        """Not within the turn that is being told of."""
        self._clock.after(0, lambda: self._control.post(event))
