"""Tasks are moved also when so many nodes are silent that it is rather the controller that is cut off."""

from __future__ import annotations

from unittest.mock import patch

from controller.decide import liveness
from tests.sim.mutants.base import Mutant
from tests.sim.stacks import service, stack
from tests.sim.world import World


def controller_cut_off(seed: int) -> World:
    """No host reaches the controller for a while; then they come back one after the other."""
    world = World(seed)
    world.nodes(4)
    world.deploy(stack("shop", service("web", 6)))
    world.converge()
    before = world.container_ids()
    for name in world.hosts:
        world.cut(name)
    world.run(world.rng.uniform(8, 40))
    for name in world.hosts:
        world.heal(name)
        world.run(world.rng.uniform(0, 2))
    world.run(30)
    assert world.container_ids() == before, "the tasks of hosts that the controller could not hear were moved"
    return world


MUTANT = Mutant(
    "no brake", lambda: patch.object(liveness, "brakes", lambda silent, expected: False), controller_cut_off
)
