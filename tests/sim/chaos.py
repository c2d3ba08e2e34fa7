"""A random run: the shape of the cluster, its stacks, what users ask and what breaks, from the seed.

python -m tests.sim.chaos SEED        # prints the whole trace
python -m tests.sim.chaos 1-200       # runs many, and tells how much time they simulated
"""

from __future__ import annotations

import sys
import time

from bayplan.model import Availability
from controller.decide import order
from tests.sim.control import Control
from tests.sim.havoc import Havoc
from tests.sim.host import Host
from tests.sim.users import Users
from tests.sim.world import CONVERGE_S, World

#: The length of the troubled part of a run.
TROUBLE_S = 90
#: Between two things that befall the cluster.
PAUSE_S = (0.05, 5.0)
#: Five slots that stop one after the other, each drained for 4 s and with 4 s of grace, take so much longer.
ONE_BY_ONE_S = 40


class Chaos:
    """Draws from the world's dice what happens next."""

    def __init__(self, world: World) -> None:
        self.world, self.rng = world, world.rng

    def run(self) -> None:
        """Trouble, then peace, then everything must be as users were promised."""
        world, rng = self.world, self.rng
        fewest = 3 if world.control.settings.consolidation else 1  # between which tasks move
        world.nodes(rng.randint(fewest, 5), cpu=rng.choice((1.5, 4, 4)))
        deeds = Users(world).deeds() + Havoc(world).deeds()
        weights = [weight for weight, _ in deeds]
        end_ms = world.clock.now_ms + TROUBLE_S * 1000
        while world.clock.now_ms < end_ms:
            world.run(rng.uniform(*PAUSE_S))
            rng.choices(deeds, weights)[0][1]()
        world.heal_all()
        for name in sorted(world.hosts.keys() - world.leaving):
            world.update_node(name, Availability.ACTIVE)
        world.converge((CONVERGE_S + ONE_BY_ONE_S) * self._waves())
        world.run(5)

    def _waves(self) -> int:
        """How many services of a stack come one after the other, at most: each has its time."""
        intents = self.world.intents
        depths = [
            max(order.waves(list(wanted.values())).values(), default=1)
            for stack in intents.may_be
            for wanted in intents.allowed(stack)
        ]
        return max(depths, default=1)


def run(seed: int, *, control: type[Control] = Control, host: type[Host] = Host) -> World:
    """One random run. Raises whatever broke, with the seed and the log's end as a note."""
    slow_network = seed % 4 == 0
    delay_ms = (5, 150) if slow_network else (0, 5)
    consolidates = seed % 3 == 0
    world = World(seed, delay_ms=delay_ms, control=control, host=host, consolidation=consolidates)
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
