"""Draws what users ask: deploys, changes of single services, of rollouts and of nodes."""

from __future__ import annotations

from collections.abc import Callable

from bayplan.directory import EXTERNAL
from bayplan.model import Availability, ServiceSpec
from bayplan.views import RolloutAction
from controller.records import GLOBAL_MODES
from tests.sim.drawing import Drawer
from tests.sim.stacks import stack
from tests.sim.world import World

#: Users who may ask about one stack at the same time.
REQUESTS_AT_ONCE_MAX = 3
#: Machines that leave in one run, and those that stay at least: what was placed once has room on them.
LEAVING_MAX, STAYING_MIN = 1, 2
#: Watchers at the same time.
WATCHERS_MAX = 4
#: Of the services where tasks move so that nodes become free: a node must have no others.
PLAIN_SHARE = 0.9
STACKS = ("ant", "bee", "cat")
#: Those from outside who register.
OUTSIDERS = ("rim", "sun")
#: An operator takes back what was said of an instance after this time.
OVERRIDE_MS = 10_000


class Users:
    """Each method is one request, or none where nothing could be asked."""

    def __init__(self, world: World) -> None:
        self.world, self.rng = world, world.rng
        plain_share = PLAIN_SHARE if world.control.settings.consolidation else 0
        self.drawer = Drawer(world.rng, len(world.hosts), plain_share)

    def deeds(self) -> list[tuple[int, Callable[[], None]]]:
        """All of them, with their weights."""
        return [
            (6, self.deploy),
            (3, self.scale),
            (2, self.break_version),
            (2, self.remove),
            (2, self.rush),
            (2, self.update_service),
            (1, self.restart_service),
            (1, self.remove_service),
            (3, self.update_node),
            (1, self.remove_node),
            (3, self.steer),
            (1, self.roll_back),
            (1, self.rebalance),
            (2, self.watch),
            (2, self.register),
            (1, self.deregister),
            (1, self.override),
        ]

    def _free_stack(self) -> str:
        """A stack about which few wait for an answer."""
        name = self.rng.choice(STACKS)
        return name if self.world.intents.waiting().count(name) < REQUESTS_AT_ONCE_MAX else ""

    def _wanted(self) -> tuple[str, dict[str, ServiceSpec]]:
        """A stack and what it may be now."""
        name = self._free_stack()
        return name, self.world.intents.allowed(name)[0] if name else {}

    def deploy(self) -> None:
        if name := self._free_stack():
            self.world.deploy(self.drawer.stack(name))

    def scale(self) -> None:
        _, wanted = self._wanted()
        scalable = [(full, spec) for full, spec in sorted(wanted.items()) if spec.mode not in GLOBAL_MODES]
        free = [full for full, spec in scalable if not spec.container.ports]
        if free:
            self.world.scale(self.rng.choice(free), self.rng.randint(0, 5))

    def break_version(self) -> None:
        """A version of a service that fails, and shall go back then."""
        name, wanted = self._wanted()
        good = [full for full, spec in sorted(wanted.items()) if spec.container.image in ("app", "slow")]
        if good:
            broken = self.rng.choice(good)
            specs = {**wanted, broken: self.drawer.broken(wanted[broken])}
            self.world.deploy(stack(name, *(spec for _, spec in sorted(specs.items()))))

    def remove(self) -> None:
        if name := self._free_stack():
            self.world.remove(name)

    def rush(self) -> None:
        """Several users at once."""
        for ask in self.rng.choices((self.deploy, self.scale, self.remove), k=4):
            ask()

    def update_service(self) -> None:
        name, wanted = self._wanted()
        if wanted:
            full = self.rng.choice(sorted(wanted))
            self.world.update_service(full, self.drawer.service(name, full.partition("_")[2]))

    def restart_service(self) -> None:
        _, wanted = self._wanted()
        if wanted:
            self.world.restart_service(self.rng.choice(sorted(wanted)))

    def remove_service(self) -> None:
        _, wanted = self._wanted()
        if wanted:
            self.world.remove_service(self.rng.choice(sorted(wanted)))

    def steer(self) -> None:
        _, wanted = self._wanted()
        if wanted:
            self.world.steer(self.rng.choice(sorted(wanted)), self.rng.choice(list(RolloutAction)))

    def roll_back(self) -> None:
        _, wanted = self._wanted()
        if wanted:
            self.world.roll_back(self.rng.choice(sorted(wanted)))

    def rebalance(self) -> None:
        self.world.rebalance()

    def watch(self) -> None:
        """A watcher comes, or one leaves; some are slow."""
        if len(self.world.watchers) >= WATCHERS_MAX:
            self.world.unwatch(self.rng.choice(self.world.watchers))
            return
        full = f"{self.rng.choice(STACKS)}_{self.rng.choice(('web', 'api', 'db'))}"
        self.world.watch(full, self.rng.choice((0.01, 0.1, 1, 30)))

    def register(self) -> None:
        """Somebody from outside comes, comes again elsewhere, or wants the name of a stack."""
        stack_name = self.rng.choice((EXTERNAL, EXTERNAL, *STACKS))
        entry_id = self.rng.choice(OUTSIDERS)
        self.world.register("web", entry_id, stack_name, ttl_s=self.rng.choice((1, 5, 20)))

    def deregister(self) -> None:
        self.world.deregister("web", self.rng.choice(OUTSIDERS), self.rng.choice((EXTERNAL, *STACKS)))

    def override(self) -> None:
        """An operator's word about an instance that is there, for a while."""
        world, keeper = self.world, self.world.control.keeper
        found = [(each, entry.id) for each in keeper.directory for entry in each.entries] if keeper else []
        if found:
            listing, entry_id = self.rng.choice(found)
            word = self.rng.choice(({"drain": True}, {"weight": 0}, {"weight": 7}))
            names = listing.stack, listing.service, entry_id
            world.override(*names, **word)
            world.clock.after(OVERRIDE_MS, lambda: world.take_back(*names))

    def update_node(self) -> None:
        """Drained nodes come back later."""
        name = self.rng.choice(sorted(self.world.hosts.keys() - self.world.leaving))
        availability = self.rng.choice((Availability.DRAIN, Availability.DRAIN, Availability.PAUSE))
        self.world.update_node(name, availability, deadline_s=self.rng.choice((0, 0, 5)))
        self.world.clock.after(
            int(self.rng.uniform(5, 30) * 1000), lambda: self.world.update_node(name, Availability.ACTIVE)
        )

    def remove_node(self) -> None:
        world = self.world
        staying = sorted(world.hosts.keys() - world.leaving)
        if len(world.leaving) < LEAVING_MAX and len(staying) > STAYING_MIN:
            world.take_out(self.rng.choice(staying), drained=self.rng.random() < 0.5)
