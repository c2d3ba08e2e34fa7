"""Where the amounts of a reservation come from."""

from __future__ import annotations

from bayplan.model import Resources
from bayplan.views import Origin
from controller.decide.reservations import reserve
from tests.unit.controller.world import GIB, service

DEFAULTS = Resources(cpu_millis=50, memory_bytes=64 << 20)


def test_each_amount_has_its_own_origin() -> None:
    limits = Resources(cpu_millis=2000, memory_bytes=GIB)
    found = reserve(service(memory=GIB // 2, container={"limits": limits}), DEFAULTS)
    assert found.resources == Resources(cpu_millis=2000, memory_bytes=GIB // 2)
    assert (found.cpu_origin, found.memory_origin) == (Origin.LIMIT, Origin.EXPLICIT)


def test_what_declares_nothing_gets_the_clusters_default() -> None:
    found = reserve(service(), DEFAULTS)
    assert (found.resources, found.cpu_origin) == (DEFAULTS, Origin.DEFAULT)
    assert reserve(service(), Resources()).memory_origin is Origin.NONE
