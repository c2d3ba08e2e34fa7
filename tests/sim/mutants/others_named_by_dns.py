"""DNS gives the addresses of another service: where one has a name in the directory, it may be any."""

from __future__ import annotations

from unittest.mock import patch

from bayplan.directory import Listing
from bayplan.dns.names import Names
from tests.sim.mutants.base import Mutant


def _any(self: Names, key: str) -> Listing | None:
    """The last listing of all, whatever was asked for."""
    return max(self._directory, key=lambda each: each.key, default=None)


MUTANT = Mutant("others named by DNS", lambda: patch.object(Names, "listing", _any))
