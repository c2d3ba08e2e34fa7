"""A rollout takes a new task for good as soon as it runs, however short it is to be watched."""

from __future__ import annotations

from unittest.mock import patch

import msgspec

from bayplan.model import FailureAction, ServiceSpec, UpdatePolicy
from controller.decide import progress, rollout
from controller.records import Service
from tests.sim.mutants.base import Mutant
from tests.sim.stacks import service, stack
from tests.sim.world import World

_real = rollout.policy


def _policy(service: Service, spec: ServiceSpec) -> UpdatePolicy:
    return msgspec.structs.replace(_real(service, spec), monitor_ms=0)


def broken_update(seed: int) -> World:
    """A version that dies half a second after its start must go back."""
    world = World(seed)
    world.nodes(3)
    policy = UpdatePolicy(failure_action=FailureAction.ROLLBACK, monitor_ms=3_000)
    world.deploy(stack("shop", service("web", 2, update=policy)))
    world.converge()
    world.run(5)
    world.deploy(stack("shop", service("web", 2, image="crash", update=policy)))
    world.run(30)
    assert {box.spec.image for _, box in world.boxes("shop")} == {"app"}, (
        "a broken version was taken for good"
    )
    return world


MUTANT = Mutant("monitor ignored", lambda: patch.object(progress, "policy", _policy), broken_update)
