"""Draws what breaks: networks, processes, machines, engines, containers, disks and clocks."""

from __future__ import annotations

from collections.abc import Callable

from tests.sim.daemon import Moment
from tests.sim.host import Host
from tests.sim.world import World

#: Container deaths in a run are bounded: back-off would outlast the time in which it must converge.
DEATHS_MAX = 6
#: Somebody sets a clock by an hour, or a year, either way.
CLOCK_STEPS_S = (3_600, -3_600, 365 * 86_400, -365 * 86_400)


class Havoc:
    """Each method is one thing that befalls the cluster."""

    def __init__(self, world: World) -> None:
        self.world, self.rng = world, world.rng
        self.deaths = 0

    def deeds(self) -> list[tuple[int, Callable[[], None]]]:
        """All of them, with their weights."""
        return [
            (4, self.cut),
            (3, self.crash_controller),
            (4, self.crash_agent),
            (3, self.power_cycle),
            (3, self.kill_container),
            (2, self.lose_messages),
            (2, self.break_session),
            (2, self.step_clock),
            (1, self.sicken_container),
            (1, self.take_container_away),
            (1, self.restart_engine),
            (1, self.hang_engine),
            (1, self.trouble_engine),
            (1, self.stall_pulls),
            (1, self.pause),
            (1, self.lose_journal),
            (1, self.fill_disk),
            (1, self.clone),
            (1, self.resume_old_controller),
        ]

    def _host(self) -> Host:
        """Any machine that shall stay."""
        world = self.world
        return self.rng.choice([host for name, host in world.hosts.items() if name not in world.leaving])

    def _later(self, low_s: float, high_s: float, act: Callable[[], None]) -> None:
        self.world.clock.after(int(self.rng.uniform(low_s, high_s) * 1000), act)

    # --- networks and processes ---

    def cut(self) -> None:
        host, ways = self._host(), self.rng.choice(((True, True), (True, False), (False, True)))
        if not any(host.wire.is_cut):
            self.world.cut(host.name, up=ways[0], down=ways[1])
            self._later(0.2, 20, lambda: self.world.heal(host.name) if any(host.wire.is_cut) else None)

    def lose_messages(self) -> None:
        host = self._host()
        if not host.wire.loss:
            self.world.lose_messages(host.name, self.rng.choice((0.05, 0.3)), self.rng.uniform(1, 15))

    def break_session(self) -> None:
        self.world.break_session(self._host().name)

    def crash_controller(self) -> None:
        self.world.crash_controller(self.rng.choice(list(Moment)), self.rng.uniform(0.1, 8))

    def crash_agent(self) -> None:
        moment = self.rng.choice((Moment.NOW, *Moment))
        self.world.crash_agent(self._host().name, moment, self.rng.uniform(0.1, 5))

    def pause(self) -> None:
        if self.rng.random() < 0.5:
            self.world.pause_controller(self.rng.uniform(0.5, 12))
        else:
            self.world.pause_agent(self._host().name, self.rng.uniform(0.5, 20))

    def resume_old_controller(self) -> None:
        self.world.resume_old_controller(self.rng.uniform(1, 10))

    # --- machines ---

    def power_cycle(self) -> None:
        host = self._host()
        if host.powered:
            self.world.power_off(host.name, silently=self.rng.random() < 0.6)
            self._later(1, 20, lambda: self.world.power_on(host.name) if not host.powered else None)

    def clone(self) -> None:
        self.world.clone(self._host().name, self.rng.uniform(1, 10))

    def step_clock(self) -> None:
        name = "" if self.rng.random() < 0.5 else self._host().name
        self.world.step_clock(name, self.rng.choice(CLOCK_STEPS_S))

    def fill_disk(self) -> None:
        name = "" if self.rng.random() < 0.5 else self._host().name
        self.world.fill_disk(name, self.rng.uniform(0.5, 8))

    def lose_journal(self) -> None:
        host = self._host()
        self.world.crash_agent(host.name, down_s=self.rng.uniform(0.1, 5))
        if not host.running:
            host.lose_journal()

    # --- engines and containers ---

    def kill_container(self) -> None:
        boxes = [(host, box) for host, box in self.world.boxes() if not host.engine.hangs]
        if boxes and self.deaths < DEATHS_MAX:
            self.deaths += 1
            host, box = self.rng.choice(boxes)
            self.world.kill_container(box, host, oom=self.rng.random() < 0.2)

    def sicken_container(self) -> None:
        boxes = [(host, box) for host, box in self.world.boxes() if box.spec.health_check]
        if boxes and self.deaths < DEATHS_MAX:
            self.deaths += 1
            host, box = self.rng.choice(boxes)
            host.engine.sicken(box)

    def take_container_away(self) -> None:
        boxes = [(host, box) for host, box in self.world.boxes(running=False) if not host.engine.hangs]
        if boxes and self.deaths < DEATHS_MAX:
            self.deaths += 1
            host, box = self.rng.choice(boxes)
            host.engine.take_away(box)

    def restart_engine(self) -> None:
        self.world.restart_engine(self._host().name, self.rng.uniform(0.2, 4))

    def hang_engine(self) -> None:
        self.world.hang_engine(self._host().name, self.rng.uniform(1, 20))

    def trouble_engine(self) -> None:
        host = self._host()
        self.world.trouble(host.name, self.rng.choice((0.05, 0.2)), self.rng.choice((1, 1, 5)))
        self._later(2, 15, lambda: self.world.trouble(host.name, 0))

    def stall_pulls(self) -> None:
        self.world.stall_pulls(self._host().name, self.rng.uniform(1, 20))
