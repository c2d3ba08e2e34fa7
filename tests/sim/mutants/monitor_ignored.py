"""A rollout takes a new task for good as soon as it runs, however short it is to be watched."""

from __future__ import annotations

from unittest.mock import patch

import msgspec

from bayplan.model import ServiceSpec, UpdatePolicy
from controller.decide import progress, rollout
from controller.records import Service
from tests.sim.mutants.base import Mutant

_real = rollout.policy


def _policy(service: Service, spec: ServiceSpec) -> UpdatePolicy:
    return msgspec.structs.replace(_real(service, spec), monitor_ms=0)


MUTANT = Mutant("monitor ignored", lambda: patch.multiple(progress, policy=_policy))
