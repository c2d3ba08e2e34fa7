"""A node gets blocks of addresses that others have."""

from __future__ import annotations

from collections.abc import Iterator
from unittest.mock import patch

from bayplan import addressing
from controller.decide.addresses import Space
from tests.sim.mutants.base import Mutant


def _free_blocks(self: Space) -> Iterator[int]:
    return iter(range(addressing.blocks_in(self.subnet)))


MUTANT = Mutant("blocks given twice", lambda: patch.object(Space, "free_blocks", _free_blocks))
