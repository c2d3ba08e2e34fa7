"""An agent lets its fenced tasks run on when its lease is over."""

from __future__ import annotations

from unittest.mock import patch

from agent import lease
from tests.sim.mutants.base import Mutant
from tests.sim.stacks import service, stack
from tests.sim.world import World


def cut_off(seed: int) -> World:
    """The host of a fenced service is cut off for longer than lease and grace."""
    world = World(seed)
    world.nodes(3)
    world.deploy(stack("shop", service("web", 1, fence=True)))
    world.converge()
    host, _ = world.boxes("shop")[0]
    world.cut(host.name)
    world.run(40)
    return world


MUTANT = Mutant("fence ignored", lambda: patch.object(lease, "fence_at", lambda state: None), cut_off)
