"""Copies of the directory keep entries that are gone."""

from __future__ import annotations

from unittest.mock import patch

from msgspec.structs import replace

from bayplan.directory import Directory, Listing, ListingNews
from tests.sim.mutants.base import Mutant

_merged = Directory._merged


def _keeps(self: Directory, news: ListingNews) -> Listing:
    return _merged(self, replace(news, gone=()))


MUTANT = Mutant("gone kept in copies", lambda: patch.object(Directory, "_merged", _keeps))
