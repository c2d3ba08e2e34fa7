"""A copy that is told what it lacks becomes the directory, from whichever index."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from bayplan.directory import Directory, Entry, Listing, Port, Standing, directory
from bayplan.directory.entries import News
from bayplan.model import Health


def listing(service: str = "web", *ids: str, revision: int = 1, stack: str = "shop") -> Listing:
    return Listing.of(stack, service, revision, [Entry(id=each) for each in ids])


def seen(found: Directory) -> list[Listing]:
    return list(found)


@st.composite
def deeds(draw: st.DrawFn) -> list[tuple[str, tuple[str, ...] | None]]:
    """Services that come with entries, change and go (None)."""
    ids = st.lists(st.sampled_from("abcdefgh"), unique=True).map(tuple)
    return draw(st.lists(st.tuples(st.sampled_from(["web", "db", "a.b"]), st.none() | ids), max_size=25))


@settings(max_examples=300)
@given(deeds(), st.data())
def test_a_copy_that_asks_now_and_then_becomes_the_directory(
    happens: list[tuple[str, tuple[str, ...] | None]], data: st.DataObject
) -> None:
    truth, copy = Directory(), Directory()
    for index, (service, ids) in enumerate(happens, 1):
        if ids is None:
            truth.drop("shop", service, index)
        else:
            truth.put(listing(service, *ids, revision=index), index)
        if data.draw(st.booleans()):
            copy.apply(truth.since(copy.index))
            assert seen(copy) == seen(truth)
    copy.apply(truth.since(copy.index))
    assert seen(copy) == seen(truth)
    assert copy.index == truth.index
    assert copy.services("shop") == truth.services("shop")


def test_only_what_changed_is_told() -> None:
    truth = Directory()
    truth.put(listing("web", "a", "b", "c"), 1)
    truth.put(listing("db", "d"), 2)
    truth.put(listing("web", "a", "c", "e", revision=3), 3)
    news = truth.since(2)
    assert [(each.service, each.whole) for each in news.listings] == [("web", False)]
    assert [entry.id for entry in news.listings[0].put] == ["e"]
    assert news.listings[0].gone == ("b",)


def test_what_is_forgotten_makes_news_whole_instead_of_wrong() -> None:
    truth, copy = Directory(), Directory()
    ids = [f"i{number}" for number in range(directory.ENTRIES_GONE_MAX + 10)]
    truth.put(listing("web", *ids), 1)
    copy.apply(truth.since(0))
    for index, _ in enumerate(ids, 2):
        truth.put(listing("web", *ids[index - 1 :], revision=index), index)
    assert truth.since(1).listings[0].whole
    assert not truth.since(truth.index - 1).listings[0].whole
    copy.apply(truth.since(copy.index))
    assert seen(copy) == seen(truth)


def test_a_directory_that_began_anew_tells_everything_to_a_copy_that_is_ahead() -> None:
    truth, copy = Directory(), Directory()
    copy.put(listing("web", "a"), 70)
    truth.put(listing("db", "d"), 3)
    changed = copy.apply(truth.since(copy.index))
    assert seen(copy) == seen(truth) and copy.index == 3
    assert sorted(changed) == ["db.shop", "web.shop"]


def test_a_service_that_left_is_known_by_when_it_did() -> None:
    truth = Directory()
    truth.put(listing("web", "a"), 1)
    truth.drop("shop", "web", 2)
    assert truth.get("shop", "web") is None
    assert truth.changed_at("shop", "web") == 2
    assert truth.since(1) == News(index=2, dropped=("web.shop",))


def test_entries_that_are_given_come_first_and_by_slot() -> None:
    entries = [
        Entry(id="a", slot=1, standing=Standing.DRAINING),
        Entry(id="b", slot=3),
        Entry(id="c", slot=2),
        Entry(id="d", slot=4, standing=Standing.SUSPECT),
        Entry(id="e", slot=5, weight=0),
        Entry(id="f", slot=6, standing=Standing.UNHEALTHY, health=Health.UNHEALTHY),
        Entry(id="g", slot=7, standing=Standing.UNHEALTHY),  # its node is gone
    ]
    found = Listing.of("shop", "web", 1, entries)
    assert [each.id for each in found.entries] == ["c", "b", "e", "d", "f", "g", "a"]
    assert [each.id for each in found.given()] == ["c", "b", "d"]
    protected = Listing.of("shop", "web", 1, entries, protected=True)
    assert [each.id for each in protected.given()] == ["c", "b", "d", "f"]


def test_nodes_are_listed_apart_from_services_and_travel_with_them() -> None:
    truth, copy = Directory(), Directory()
    truth.put(listing("web", "a"), 1)
    truth.put(Listing.of("", "", 1, [Entry(id="k", node="n1", address="10.0.0.1")]), 2)
    copy.apply(truth.since(1))
    assert [each.node for each in copy.nodes] == ["n1"]
    copy.apply(truth.since(0))
    assert copy.stacks() == ["shop"]
    assert [each.service for each in copy] == ["web"] and len(copy) == 1


def test_what_changed_since_an_index_is_known_by_its_key() -> None:
    truth = Directory()
    for index, service in enumerate(("web", "db", "cache"), 1):
        truth.put(listing(service, "a"), index)
    truth.drop("shop", "db", 4)
    assert truth.changed_since(2) == ["cache.shop", "db.shop"]
    assert truth.changed_since(4) == []
    assert truth.changed_since(5) is None, "an index that this directory has not reached"


def test_whole_news_change_only_what_differs() -> None:
    truth, copy = Directory(), Directory()
    for index, service in enumerate(("web", "db"), 1):
        truth.put(listing(service, "a"), index)
    copy.apply(truth.since(0))
    truth.put(listing("db", "b", revision=3), 3)
    assert copy.apply(truth.since(0)) == ["db.shop"]
    assert copy.changed_since(2) == ["db.shop"] and seen(copy) == seen(truth)


def test_after_an_index_that_goes_back_nothing_has_changed_in_the_future() -> None:
    truth, copy = Directory(), Directory()
    truth.put(listing("web", "a"), 100)
    copy.apply(truth.since(0))
    anew = Directory()
    anew.put(listing("web", "a"), 2)
    copy.apply(anew.since(0))
    assert copy.changed_at("shop", "web") == copy.index == 2


def test_a_port_is_reached_at_the_number_that_it_has_for_the_entrys_address() -> None:
    sixth, fourth = Port(target=80, published=32_773, host_ip="::"), Port(target=80, published=32_774)
    loopback = Port(target=80, published=32_775, host_ip="127.0.0.1")
    mine = Entry(id="t1", address="10.0.0.1", ports=(sixth, fourth, loopback))
    assert [mine.number_of(port) for port in mine.ports] == [0, 32_774, 0]
    assert [structs.replace(mine, address="fd00::1").number_of(port) for port in mine.ports] == [
        32_773,
        32_774,
        0,
    ]
    inside = structs.replace(mine, ports=(Port(target=80),))
    assert inside.number_of(inside.ports[0]) == 80
