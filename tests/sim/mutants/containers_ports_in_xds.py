"""xDS gives the container's port beside the node's address."""

from __future__ import annotations

from unittest.mock import patch

from google.protobuf.message import Message
from msgspec.structs import replace

from bayplan.directory import Listing
from bayplan.surfaces.xds import resources
from bayplan.surfaces.xds.resources import Kind
from tests.sim.mutants.base import Mutant

_endpoints = resources._MAKERS[Kind.ENDPOINTS]


def _inside(name: str, listing: Listing | None, part: str) -> Message:
    assert listing is not None
    inner = tuple([replace(each, port=each.target + 1) for each in listing.entries])
    return _endpoints(name, replace(listing, entries=inner), part)


MUTANT = Mutant("containers' ports in xDS", lambda: patch.dict(resources._MAKERS, {Kind.ENDPOINTS: _inside}))
