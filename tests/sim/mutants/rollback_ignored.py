"""A rollout that was to go back when it fails only halts."""

from __future__ import annotations

from collections.abc import Sequence
from unittest.mock import patch

import msgspec

from bayplan.model import FailureAction, ServiceSpec
from controller.decide import progress, rollout
from controller.decide.rows import NO_PLAIN, Plain
from controller.records import Service
from tests.sim.mutants.base import Mutant

_real = progress._acted


def _acted(
    service: Service, spec: ServiceSpec, rows: Sequence[rollout.Seen], total: int, plain: Plain = NO_PLAIN
) -> Service:
    policy = msgspec.structs.replace(spec.update, failure_action=FailureAction.PAUSE)
    return _real(service, msgspec.structs.replace(spec, update=policy), rows, total, plain)


MUTANT = Mutant("rollback ignored", lambda: patch.object(progress, "_acted", _acted))
