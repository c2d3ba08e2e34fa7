"""What can befall the cluster, and which hosts count as disturbed by it.

A fault that lasts counts from its begin to its end; a while after that its host is calm again.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from bayplan.model import NodeStatus
from tests.sim.clock import Clock
from tests.sim.control import Control
from tests.sim.daemon import Moment
from tests.sim.engine import Box
from tests.sim.host import Host
from tests.sim.intents import Intents
from tests.sim.link import Wire
from tests.sim.news import News, Part

#: An engine in trouble is so for no longer.
TROUBLE_S_MAX = 60
#: An agent that is back needs so long to stop what it should: 2 s until it fences, a stop's grace, a margin.
ABLE_AFTER_MS = 20_000
#: A host counts as calm again this long after its last fault: agents reconnect within 5 s of back-off,
#: a stop lasts up to its grace.
CALM_AFTER_MS = 25_000


class Faults:
    """The world's part that breaks it. `_clone_of` makes a second machine with a host's identity."""

    seed: int | str
    clock: Clock
    rng: random.Random
    news: News
    hosts: dict[str, Host]
    control: Control
    intents: Intents
    #: Machines that are on their way out of the cluster, or have left it.
    leaving: set[str]
    _clone_of: Callable[[Host, Wire], Host]

    def __init__(self) -> None:
        #: Hosts with a fault now, and until when each counts as disturbed (ms).
        self.faults: dict[str, int] = {}
        self.disturbed_until: dict[str, int] = {}
        #: Until when each host's agent cannot be sure to stop what it should (ms).
        self.unable_until: dict[str, int] = {}
        #: Machines with the identity of a host, by the host's name.
        self.clones: dict[str, Host] = {}
        #: A controller of a lower epoch that came back; some agents reach it instead of the newest.
        self.old_control: Control | None = None
        self._control_down_ms = 0

    # --- the network ---

    def cut(self, name: str, *, up: bool = True, down: bool = True) -> None:
        """Cut a host off, both ways or one (`up` is from the host to the controller)."""
        self._fault(name)
        self.hosts[name].wire.cut(up=up, down=down)
        self.news.tell(f"{name} is cut off{'' if up and down else ' upwards' if up else ' downwards'}")

    def heal(self, name: str) -> None:
        """Mend the cut."""
        self.hosts[name].wire.heal()
        self.news.tell(f"{name} is mended")
        self._mend(name)

    def lose_messages(self, name: str, share: float, for_s: float) -> None:
        """A share of a host's packets is lost for a while, and sent again."""
        self.hosts[name].wire.loss = share
        self.news.tell(f"{name} loses {share:.0%} of its packets for {for_s:.1f} s")
        self._lasts(name, for_s, lambda: setattr(self.hosts[name].wire, "loss", 0.0))

    def break_session(self, name: str) -> None:
        """An agent's connection ends on its side; what it had sent arrives late, after the next session."""
        self._fault(name)
        self.news.tell(f"{name} loses its connection; what is under way strays")
        for connection in list(self.hosts[name].wire.connections):
            connection.stray()
        self._mend(name)

    # --- processes ---

    def crash_controller(self, moment: Moment = Moment.NOW, down_s: float = 0.5) -> None:
        """Kill the controller; it is started again later."""
        self._control_down_ms = int(down_s * 1000)
        self.control.crash(moment)

    def _control_died(self) -> None:
        self.intents.unanswered()
        self.news.parts.add(Part.SERVICES)
        for name in list(self.clones):
            self._remove_clone(name)
        self.clock.after(self._control_down_ms, self.control.start)

    def crash_agent(self, name: str, moment: Moment = Moment.NOW, down_s: float = 1) -> None:
        """Kill an agent; systemd starts it again."""
        host = self.hosts[name]
        if host.daemon is None:
            return
        self._fault(name)

        def died() -> None:
            self._cripple(name, down_s)
            host.stop_agent()
            self.clock.after(int(down_s * 1000), back)

        def back() -> None:
            host.start_agent()
            self._mend(name)

        if moment is Moment.NOW:
            died()
        else:
            host.daemon.dies, host.daemon.on_death = moment, died

    def pause_controller(self, for_s: float) -> None:
        """The controller stands still for a while; nobody is calm in that time."""
        for name in self.hosts:
            self._lasts(name, for_s, lambda: None)
        self.control.pause(int(for_s * 1000))

    def pause_agent(self, name: str, for_s: float) -> None:
        """An agent stands still for a while."""
        self._cripple(name, for_s)
        self.hosts[name].pause_agent(int(for_s * 1000))
        self._lasts(name, for_s, lambda: None)

    def resume_old_controller(self, for_s: float) -> None:
        """A controller of a lower epoch, frozen until now, goes on; agents must connect anew, and half of
        them reach it."""
        past = self.control.past
        if not past or self.old_control is not None or not self.control.running:
            return
        old = type(self.control)(
            self.clock, f"{self.seed}/old", lambda reply: None, lambda: None, News(self.clock)
        )
        old.settings = self.control.settings
        old.resume_old(past)
        self.old_control = old
        self.news.tell(f"an old controller is back for {for_s:.1f} s")

        def gone() -> None:
            self.old_control = None
            old.crash()

        self.clock.after(int(for_s * 1000), gone)
        for name in self.hosts:
            self.break_session(name)
            self._lasts(name, for_s, lambda: None)

    # --- machines ---

    def power_off(self, name: str, *, silently: bool = True) -> None:
        """A machine stops at once; not silently: its processes are killed, and their connections break."""
        self._fault(name)
        self.hosts[name].power_off(silently=silently)

    def power_on(self, name: str) -> None:
        """It boots, unless it was to be out of the cluster for good."""
        if name in self.leaving:
            return
        self._cripple(name, 0)
        self.hosts[name].power_on()
        self._mend(name)

    def clone(self, name: str, for_s: float) -> None:
        """A second machine starts with a host's identity, while that one is well. It is taken away before
        the first one could lose its place to it."""
        if name in self.clones or not self.calm(name) or not self._in_session(name):
            return
        wire = Wire(self.clock, random.Random(f"{self.seed}/clone/{name}/{self.clock.now_ms}"), (0, 5))
        self.clones[name] = self._clone_of(self.hosts[name], wire)
        self.news.tell(f"a clone of {name} starts")
        self.clones[name].start_agent()
        self.clock.after(int(for_s * 1000), lambda: self._remove_clone(name))

    def _in_session(self, name: str) -> bool:
        """Whether the controller has a host for ready."""
        node_id = self.hosts[name].identity.node_id
        return self.control.running and self.control.state.lives[node_id].status is NodeStatus.READY

    def _remove_clone(self, name: str) -> None:
        clone = self.clones.pop(name, None)
        if clone is not None:
            self.news.tell(f"the clone of {name} is taken away")
            clone.stop_agent()
            assert not clone.starts, f"the clone of {name} started {clone.starts}"

    def step_clock(self, name: str, by_s: float) -> None:
        """Somebody sets the wall clock of a host, or of the controller (an empty name)."""
        machine = self.hosts[name] if name else self.control
        machine.step_clock(int(by_s * 1000))

    def fill_disk(self, name: str, for_s: float) -> None:
        """A host's disk, or the controller's (an empty name), takes nothing more for a while."""
        self.news.tell(f"{name or 'controller'} disk is full for {for_s:.1f} s")
        if name:
            self.hosts[name].journal.full = True
            self._lasts(name, for_s, self.hosts[name].make_room)
            return
        self.control.disk_full = True
        for each in self.hosts:
            self._lasts(each, for_s, lambda: None)
        self.clock.after(int(for_s * 1000), lambda: setattr(self.control, "disk_full", False))

    # --- engines and containers ---

    def restart_engine(self, name: str, away_s: float = 1) -> None:
        """A machine's engine goes away and comes back."""
        self._cripple(name, away_s)
        self.hosts[name].restart_engine(int(away_s * 1000))
        self._lasts(name, away_s, lambda: None)

    def hang_engine(self, name: str, for_s: float) -> None:
        """A machine's engine stands still for a while."""
        if not self.hosts[name].engine.hangs:
            self._cripple(name, for_s)
            self.hosts[name].hang_engine(int(for_s * 1000))
            self._lasts(name, for_s, lambda: None)

    def stall_pulls(self, name: str, for_s: float) -> None:
        """No pull of a host gets on for a while."""
        engine = self.hosts[name].engine
        engine.pulls_stall = True
        engine.images.clear()
        self.news.tell(f"{name} pulls stall for {for_s:.1f} s, and its images are gone")
        self._lasts(name, for_s, engine.pull_on)

    def trouble(self, name: str, share: float, slowness: int = 1) -> None:
        """Let a share of a host's engine calls go unanswered, and all take longer."""
        self._cripple(name, TROUBLE_S_MAX if share else 0)
        self.hosts[name].engine.trouble, self.hosts[name].engine.slowness = share, slowness
        self.news.tell(f"{name} engine: trouble {share:.2f}, {slowness} times slower")

    def kill_container(self, box: Box, host: Host, *, oom: bool = False) -> None:
        """A container's process dies."""
        host.engine.kill(box, 137, oom_killed=oom)

    # --- the end of it ---

    def heal_all(self) -> None:
        """End all faults."""
        for name, host in self.hosts.items():
            self._heal_host(name, host)
            if name in self.leaving:
                continue
            host.power_on()
            host.start_agent()
            if self.faults.pop(name, 0):
                self._mend(name)
        for name in list(self.clones):
            self._remove_clone(name)
        if self.old_control is not None:
            self.old_control.crash()
            self.old_control = None
        if self.control.daemon is not None:
            self.control.daemon.dies = None
        self.control.disk_full = False
        self.control.start()

    def _heal_host(self, name: str, host: Host) -> None:
        self.trouble(name, 0)
        host.wire.loss = 0.0
        host.make_room()
        host.engine.pull_on()
        host.resume_engine()
        if host.daemon is not None:
            host.daemon.dies = None
        if any(host.wire.is_cut):
            self.heal(name)

    def _lasts(self, name: str, for_s: float, end: Callable[[], None]) -> None:
        """Count a fault of a host until it ends."""
        self._fault(name)

        def over() -> None:
            end()
            self._mend(name)

        self.clock.after(int(for_s * 1000), over)

    def _fault(self, name: str) -> None:
        self.faults[name] = self.faults.get(name, 0) + 1
        self._remove_clone(name)

    def _mend(self, name: str) -> None:
        left = self.faults.get(name, 0) - 1
        self.faults[name] = max(0, left)
        self.disturbed_until[name] = self.clock.now_ms + CALM_AFTER_MS
        self.news.later(CALM_AFTER_MS, Part.CALM)

    def _cripple(self, name: str, for_s: float) -> None:
        """A host's agent cannot stop containers for this long, and needs a while to make up for it."""
        until_ms = self.clock.now_ms + int(for_s * 1000) + ABLE_AFTER_MS
        self.unable_until[name] = max(until_ms, self.unable_until.get(name, 0))

    def able(self, name: str) -> bool:
        """Whether a host's agent and engine have been there for a while to stop containers."""
        return self.clock.now_ms >= self.unable_until.get(name, 0)

    def calm(self, name: str) -> bool:
        """Whether a host has had no fault for a while."""
        return not self.faults.get(name) and self.clock.now_ms >= self.disturbed_until.get(name, 0)
