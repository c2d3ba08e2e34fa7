"""No service waits for those that it depends on."""

from __future__ import annotations

from unittest.mock import patch

from bayplan.model import Dependency, DependencyCondition
from controller.core import dependencies
from tests.sim.mutants.base import Mutant
from tests.sim.stacks import service, stack
from tests.sim.world import World


def waiting(seed: int) -> World:
    """A service needs another one that takes a while to become healthy."""
    world = World(seed)
    world.nodes(3)
    needs = (Dependency(service="db", condition=DependencyCondition.HEALTHY, required=True),)
    world.deploy(stack("shop", service("db", health=True), service("web", 2, depends_on=needs)))
    world.run(10)
    return world


MUTANT = Mutant(
    "order ignored", lambda: patch.object(dependencies, "hindrance", lambda state, service: ""), waiting
)
