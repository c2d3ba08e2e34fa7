"""Tasks are stopped as soon as watchers have let go, whatever the copies of the directory still give."""

from __future__ import annotations

from unittest.mock import patch

from controller.decide import draining
from tests.sim.mutants.base import Mutant
from tests.sim.stacks import service, stack
from tests.sim.world import World


def followed(seed: int) -> World:
    """A service is updated while a watcher is quick and the way to the copies is slow."""
    world = World(seed, delay_ms=(200, 400))
    world.nodes(3)
    world.deploy(stack("shop", service("web", 3, drain_ms=10_000)))
    world.converge()
    world.watch("shop_web", 0)
    world.run(30)
    world.deploy(stack("shop", service("web", 3, version="v2", drain_ms=10_000)))
    world.run(30)
    return world


MUTANT = Mutant(
    "copies not waited for",
    lambda: patch.object(draining, "has_left_copies", lambda leaving, followed: True),
    followed,
)
