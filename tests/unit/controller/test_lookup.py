"""Which instances a lookup gives, and in which order."""

from __future__ import annotations

import pytest

from bayplan.directory import Entry, Listing, Standing
from bayplan.model import Health
from controller.lookup import Wanted, select

LISTING = Listing.of(
    "shop",
    "web",
    1,
    [
        Entry(id="a", slot=1, node="n1", zone="z1", version=1, tags=("canary", "env=prod")),
        Entry(id="b", slot=2, node="n2", zone="z2", version=2, tags=("env=prod",), health=Health.HEALTHY),
        Entry(id="c", slot=3, node="n3", zone="z2", version=2, standing=Standing.SUSPECT),
        Entry(id="d", slot=4, node="n4", standing=Standing.UNHEALTHY, health=Health.UNHEALTHY),
        Entry(id="e", slot=5, node="n5", weight=0),
    ],
)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Wanted(), "abc"),
        (Wanted(every=True), "abecd"),
        (Wanted(tags=("env=prod",)), "ab"),
        (Wanted(tags=("env=prod", "canary")), "a"),
        (Wanted(version=2), "bc"),
        (Wanted(health=frozenset({Health.HEALTHY})), "b"),
        (Wanted(every=True, health=frozenset({Health.UNHEALTHY})), "d"),
        (Wanted(near="n3"), "cba"),
        (Wanted(near="elsewhere"), "bca"),
    ],
)
def test_filters_and_nearness(wanted: Wanted, found: str) -> None:
    assert "".join(each.id for each in select(LISTING, wanted, zone="z2")) == found


def test_those_that_fail_are_given_last_while_the_service_is_protected() -> None:
    protected = Listing.of("shop", "web", 1, LISTING.entries, protected=True)
    assert [each.id for each in select(protected, Wanted())] == ["a", "b", "c", "d"]
