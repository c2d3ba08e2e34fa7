"""The directory does not see that a listing has lost an entry."""

from __future__ import annotations

from unittest.mock import patch

from bayplan.directory import Listing
from controller import upkeep
from tests.sim.mutants.base import Mutant

_alike = upkeep._alike


def _overlooks(before: Listing | None, now: Listing) -> bool:
    fewer = before is not None and len(now.entries) < len(before.entries)
    return fewer or _alike(before, now)


MUTANT = Mutant("gone kept in listings", lambda: patch.object(upkeep, "_alike", _overlooks))
