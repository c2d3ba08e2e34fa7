"""An agent welcomes a controller of an older epoch than it has obeyed."""

from __future__ import annotations

from unittest.mock import patch

from agent import talk
from agent.state import Turn
from bayplan.session import Welcome
from tests.sim.mutants.base import Mutant
from tests.sim.stacks import service, stack
from tests.sim.world import World

_real = talk._welcomed


def _welcomed(turn: Turn, message: Welcome) -> None:
    turn.state.epoch = message.epoch - 1  # whatever comes looks newer
    _real(turn, message)


def old_backup(seed: int) -> World:
    """A controller is started from a backup that is older than what the agents have obeyed."""
    world = World(seed)
    world.nodes(2)
    backup = dict(world.control.records)
    for _ in range(3):
        world.crash_controller(down_s=0.5)
        world.run(5)
    world.deploy(stack("shop", service("web", 2)))
    world.converge()
    before = world.container_ids()
    world.forget_intents("shop")
    world.crash_controller(down_s=0.5)
    world.control.records.clear()
    world.control.records.update(backup)
    world.run(20)
    assert world.container_ids() == before, "agents obey a controller of an older epoch"
    return world


MUTANT = Mutant("no epoch fence", lambda: patch.object(talk, "_welcomed", _welcomed), old_backup)
