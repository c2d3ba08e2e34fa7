"""Tasks are stopped at once, whoever still sends requests to them."""

from __future__ import annotations

from unittest.mock import patch

from controller.core import draining
from tests.sim.mutants.base import Mutant
from tests.sim.stacks import service, stack
from tests.sim.world import World


def watched(seed: int) -> World:
    """A service is updated while somebody watches it who takes his time."""
    world = World(seed)
    world.nodes(3)
    world.deploy(stack("shop", service("web", 3, drain_ms=5_000)))
    world.converge()
    world.watch("shop_web", 1.5)
    world.run(30)
    world.deploy(stack("shop", service("web", 3, version="v2", drain_ms=5_000)))
    world.run(30)
    return world


MUTANT = Mutant(
    "endpoints not let go of", lambda: patch.object(draining, "begin", lambda *arguments: None), watched
)
