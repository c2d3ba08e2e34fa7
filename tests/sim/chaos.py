"""A random run: the shape of the cluster, its stacks, what users ask and what breaks, from the seed.

python -m tests.sim.chaos SEED        # prints the whole trace
python -m tests.sim.chaos 1-200       # runs many, and tells how much time they simulated
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import msgspec

from bayplan.model import (
    Dependency,
    DependencyCondition,
    FailureAction,
    RestartPolicy,
    ServiceMode,
    ServiceSpec,
    StackSpec,
    UpdateOrder,
    UpdatePolicy,
)
from controller.records import GLOBAL_MODES
from tests.sim.control import Control
from tests.sim.daemon import Moment
from tests.sim.host import Host
from tests.sim.stacks import service, stack
from tests.sim.world import CONVERGE_S, World

#: The length of the troubled part of a run.
TROUBLE_S = 90
#: Between two things that befall the cluster.
PAUSE_S = (0.05, 6.0)
#: Container deaths in a run are bounded: back-off would outlast the time in which it must converge.
DEATHS_MAX = 6
#: Of one size for all: what was placed once can then be placed again, in whatever order.
CPU = 0.25
#: Services of a stack may wait for each other in so many waves.
WAVES_MAX = 3
#: Users who may ask about one stack at the same time.
REQUESTS_AT_ONCE_MAX = 3


class Chaos:
    """Draws from the world's dice what happens next."""

    def __init__(self, world: World) -> None:
        self.world, self.rng = world, world.rng
        self.deaths = 0
        self._deeds: list[tuple[int, Callable[[], None]]] = [
            (6, self._deploy),
            (3, self._scale),
            (2, self._break),
            (2, self._remove),
            (2, self._rush),
            (4, self._cut),
            (3, self._crash_controller),
            (4, self._crash_agent),
            (3, self._power_cycle),
            (3, self._kill_container),
            (1, self._restart_engine),
            (1, self._trouble_engine),
            (1, self._pause),
            (1, self._lose_journal),
            (1, self._take_container_away),
        ]

    def run(self) -> None:
        """Trouble, then peace, then everything must be as users were promised."""
        world, rng = self.world, self.rng
        world.nodes(rng.randint(1, 5), cpu=rng.choice((1.5, 4, 4)))
        end_ms = world.clock.now_ms + TROUBLE_S * 1000
        while world.clock.now_ms < end_ms:
            world.run(rng.uniform(*PAUSE_S))
            weights = [weight for weight, _ in self._deeds]
            rng.choices(self._deeds, weights)[0][1]()
        world.heal_all()
        world.converge(CONVERGE_S * WAVES_MAX)
        world.run(5)

    # --- users ---

    def _free_stack(self) -> str:
        """A stack about which few wait for an answer."""
        name = self.rng.choice(("ant", "bee", "cat"))
        return name if self.world.intents.waiting().count(name) < REQUESTS_AT_ONCE_MAX else ""

    def _deploy(self) -> None:
        if name := self._free_stack():
            self.world.deploy(self._stack(name))

    def _stack(self, name: str) -> StackSpec:
        """Up to three services; each may depend on those before it."""
        names = self.rng.sample(("web", "api", "db"), self.rng.randint(1, 3))
        made: list[ServiceSpec] = []
        for each in sorted(names):
            made.append(self._with_order(self._service(name, each), made))
        return stack(name, *made)

    def _with_order(self, spec: ServiceSpec, before: list[ServiceSpec]) -> ServiceSpec:
        """The service with dependencies on some that came before it."""
        rng = self.rng
        needed = [each for each in before if rng.random() < 0.3]
        return msgspec.structs.replace(
            spec,
            depends_on=tuple(
                Dependency(
                    service=each.name,
                    condition=DependencyCondition.COMPLETED
                    if each.container.image == "job"
                    else rng.choice((DependencyCondition.STARTED, DependencyCondition.HEALTHY)),
                    required=rng.random() < 0.7,
                )
                for each in needed
            ),
        )

    def _policy(self) -> UpdatePolicy:
        rng = self.rng
        return UpdatePolicy(
            parallelism=rng.choice((0, 1, 1, 2)),
            order=rng.choice(list(UpdateOrder)),
            monitor_ms=rng.choice((0, 500, 3_000)),
            max_failure_ratio=rng.choice((0.0, 0.0, 0.5)),
            failure_action=rng.choice(list(FailureAction)),
        )

    def _service(self, stack_name: str, name: str) -> ServiceSpec:
        rng = self.rng
        fixed_port = rng.random() < 0.25
        port = 8000 + 10 * "abc".index(stack_name[0]) + len(name) if fixed_port else 0
        replicas = rng.randint(1, max(1, len(self.world.hosts) - 1)) if fixed_port else rng.randint(0, 4)
        image = rng.choices(("app", "slow", "ghost", "crash", "sick", "job"), (60, 18, 4, 10, 4, 8))[0]
        mode = ServiceMode.GLOBAL if rng.random() < 0.12 else ServiceMode.REPLICATED
        if image == "ghost":
            mode = ServiceMode.REPLICATED
        elif image == "job":
            mode = rng.choice((ServiceMode.REPLICATED_JOB, ServiceMode.GLOBAL_JOB))
        return service(
            name,
            max(1, replicas) if image == "ghost" else replicas,  # nobody is asked about no tasks
            image,
            cpu=CPU,
            port=0 if image == "job" or mode in GLOBAL_MODES else port,
            health=image == "sick" or rng.random() < 0.3,
            mode=mode,
            update=self._policy(),
            rollback=self._policy(),
            network=f"{stack_name}_default" if rng.random() < 0.5 else "",
            version=rng.choice(("", "v1", "v2")),
            restart=RestartPolicy(delay_ms=rng.choice((0, 0, 500))),
        )

    def _scale(self) -> None:
        name = self._free_stack()
        wanted = self.world.intents.allowed(name)[0] if name else {}
        scalable = [(full, spec) for full, spec in sorted(wanted.items()) if spec.mode not in GLOBAL_MODES]
        free = [full for full, spec in scalable if not spec.container.ports]
        if free:
            self.world.scale(self.rng.choice(free), self.rng.randint(0, 5))

    def _break(self) -> None:
        """A version of a service that fails, and shall go back then."""
        name = self._free_stack()
        wanted = self.world.intents.allowed(name)[0] if name else {}
        good = [full for full, spec in sorted(wanted.items()) if spec.container.image in ("app", "slow")]
        if good:
            broken = self.rng.choice(good)
            specs = {**wanted, broken: self._broken(wanted[broken])}
            self.world.deploy(stack(name, *(spec for _, spec in sorted(specs.items()))))

    def _broken(self, spec: ServiceSpec) -> ServiceSpec:
        policy = msgspec.structs.replace(
            self._policy(), failure_action=FailureAction.ROLLBACK, monitor_ms=3_000
        )
        container = msgspec.structs.replace(spec.container, image="crash")
        return msgspec.structs.replace(spec, container=container, update=policy)

    def _remove(self) -> None:
        if name := self._free_stack():
            self.world.remove(name)

    def _rush(self) -> None:
        """Several users at once."""
        for ask in self.rng.choices((self._deploy, self._scale, self._remove), k=4):
            ask()

    # --- faults ---

    def _host(self) -> Host:
        return self.rng.choice(list(self.world.hosts.values()))

    def _later(self, low_s: float, high_s: float, act: Callable[[], None]) -> None:
        self.world.clock.after(int(self.rng.uniform(low_s, high_s) * 1000), act)

    def _cut(self) -> None:
        host, ways = self._host(), self.rng.choice(((True, True), (True, False), (False, True)))
        if not any(host.wire.is_cut):
            self.world.cut(host.name, up=ways[0], down=ways[1])
            self._later(0.2, 20, lambda: self.world.heal(host.name) if any(host.wire.is_cut) else None)

    def _crash_controller(self) -> None:
        self.world.crash_controller(self.rng.choice(list(Moment)), self.rng.uniform(0.1, 8))

    def _crash_agent(self) -> None:
        moment = self.rng.choice((Moment.NOW, *Moment))
        self.world.crash_agent(self._host().name, moment, self.rng.uniform(0.1, 5))

    def _power_cycle(self) -> None:
        host = self._host()
        if host.powered:
            self.world.power_off(host.name)
            self._later(1, 20, lambda: self.world.power_on(host.name) if not host.powered else None)

    def _kill_container(self) -> None:
        boxes = self.world.boxes()
        if boxes and self.deaths < DEATHS_MAX:
            self.deaths += 1
            host, box = self.rng.choice(boxes)
            self.world.kill_container(box, host, oom=self.rng.random() < 0.2)

    def _take_container_away(self) -> None:
        boxes = self.world.boxes(running=False)
        if boxes and self.deaths < DEATHS_MAX:
            self.deaths += 1
            host, box = self.rng.choice(boxes)
            host.engine.take_away(box)

    def _pause(self) -> None:
        if self.rng.random() < 0.5:
            self.world.pause_controller(self.rng.uniform(0.5, 12))
        else:
            self.world.pause_agent(self._host().name, self.rng.uniform(0.5, 20))

    def _lose_journal(self) -> None:
        host = self._host()
        self.world.crash_agent(host.name, down_s=self.rng.uniform(0.1, 5))
        if not host.running:
            host.lose_journal()

    def _restart_engine(self) -> None:
        self.world.restart_engine(self._host().name, self.rng.uniform(0.2, 4))

    def _trouble_engine(self) -> None:
        host = self._host()
        self.world.trouble(host.name, self.rng.choice((0.05, 0.2)), self.rng.choice((1, 1, 5)))
        self._later(2, 15, lambda: self.world.trouble(host.name, 0))


def run(seed: int, *, control: type[Control] = Control, host: type[Host] = Host) -> World:
    """One random run. Raises whatever broke, with the seed and the log's end as a note."""
    slow_network = seed % 4 == 0
    delay_ms = (5, 150) if slow_network else (0, 5)
    world = World(seed, delay_ms=delay_ms, control=control, host=host)
    Chaos(world).run()
    return world


def main(arguments: list[str]) -> None:
    """See the module's docstring."""
    first, _, last = arguments[0].partition("-")
    if not last:
        print("\n".join(run(int(first)).trace))
        return
    began, simulated_s, failed = time.monotonic(), 0.0, 0
    for seed in range(int(first), int(last) + 1):
        try:
            simulated_s += run(seed).clock.now_ms / 1000
        except Exception as error:
            failed += 1
            print(f"seed {seed}: {error}", flush=True)
    wall_s = time.monotonic() - began
    hours, rate = simulated_s / 3600, simulated_s / 60 / wall_s
    print(f"{hours:.2f} simulated hours in {wall_s:.1f} s: {rate:.2f} hours a minute; {failed} failed")


if __name__ == "__main__":
    main(sys.argv[1:])
