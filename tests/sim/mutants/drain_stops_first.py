"""Whoever is on a drained node stops before his heir is there."""

from __future__ import annotations

from unittest.mock import patch

from controller.decide import reconcile
from controller.decide.reconcile import Decision
from controller.decide.rows import Row
from tests.sim.mutants.base import Mutant

_Slot = reconcile._Slot
_real = _Slot._renew


def _renew(slot: _Slot, row: Row, others: list[Row]) -> Decision:
    return reconcile.away([row]) if row.displaced else _real(slot, row, others)


MUTANT = Mutant("drain stops first", lambda: patch.object(_Slot, "_renew", _renew))
