"""What a container is told of names: its own networks', and nobody else's."""

from __future__ import annotations

import string
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from bayplan.directory import Entry, Facade, Origin, Standing
from bayplan.dns import responder as packets
from tests.unit.dns.network_world import NetworkWorld, on, shop


@pytest.mark.parametrize(
    ("name", "by", "expected"),
    [
        # The virtual address on the asker's first network that both share.
        ("web", "front", ["10.64.1.1"]),
        ("WEB", "back front", ["10.65.1.1"]),
        ("web.shop", "front", ["10.64.1.1"]),
        ("web.shop.bayplan", "back", ["10.65.1.1"]),
        ("web.bayplan", "back", ["10.65.1.1"]),
        # Without one, its instances.
        ("db", "back", ["10.65.0.18"]),
        ("db.shop", "front back", ["10.65.0.18"]),
        ("tasks.web", "front", ["10.64.0.17", "10.64.0.33"]),
        ("tasks.web.shop", "back", ["10.65.0.17", "10.65.0.33"]),
        ("2.web", "front", ["10.64.0.33"]),
        ("2.web.shop.bayplan", "front", ["10.64.0.33"]),
        # Aliases, also where another stack has the same: its own are meant.
        ("postgres", "back", ["10.65.0.18"]),
        ("www", "front", ["10.64.1.1"]),
        ("tasks.db-main", "back", ["10.65.0.18"]),
        # A container by its name.
        ("bp-db1", "back", ["10.65.0.18"]),
        # The other stack on the same network by its full name.
        ("web.blog", "front", ["10.64.0.50"]),
        # What is on no network of the asker is not there, whoever asks how.
        ("db", "front", "NXDOMAIN"),
        ("db.shop", "front", "NXDOMAIN"),
        ("tasks.db.shop", "front", "NXDOMAIN"),
        ("1.db.shop", "front", "NXDOMAIN"),
        ("1.db", "front", "NXDOMAIN"),
        ("tasks.postgres", "front", "NXDOMAIN"),
        ("_http._tcp.db", "front", "NXDOMAIN"),
        ("tasks.org", "front", "ELSEWHERE"),
        ("db.shop.bayplan", "front", "NXDOMAIN"),
        ("postgres", "front", "NXDOMAIN"),
        ("web.blog", "back", "NXDOMAIN"),
        ("nobody", "front", "NXDOMAIN"),
        ("3.web", "front", "NXDOMAIN"),
        ("bp-task7", "back", "NXDOMAIN"),
        ("n1.node.bayplan", "front", "NXDOMAIN"),
        # The rest of the world, a domain that looks like a stack's among it.
        ("example.org", "front", "ELSEWHERE"),
        ("go.shop", "front", "ELSEWHERE"),
        ("web.shop.example.org", "front", "ELSEWHERE"),
        # A dot within a label: what looks like another name is not that one.
        (r"web\.shop", "front", "NXDOMAIN"),
        (r"web\.shop.bayplan", "front", "NXDOMAIN"),
        (r"web\.shop.example.org", "front", "ELSEWHERE"),
    ],
)
def test_a_name_is_that_of_a_service_on_a_network_of_the_asker(
    name: str, by: str, expected: list[str] | str
) -> None:
    said = shop().said(name, by=by)
    assert (sorted(said) if isinstance(said, list) else said) == expected


def test_types_that_a_name_lacks_are_no_data() -> None:
    world = shop()
    for name in ("web", "tasks.web", "web.shop", "1.web.shop.bayplan", "db.shop.bayplan"):
        assert world.said(name, "AAAA", by="back") == "NODATA"
    assert world.said("nobody", "AAAA") == "NXDOMAIN"
    assert world.said("bayplan", "A") == "NODATA"


def test_a_name_as_long_as_names_are_is_denied_in_a_packet_that_others_can_read() -> None:
    """Coverage-guided search found it: the denial's own names stood before the one asked for."""
    longest = ".".join(["a" * 62] * 3 + ["b" * 61])
    world = NetworkWorld()
    world.put("web.shop", on(1, front="10.64.0.17"), on={"front": (longest,)})
    assert world.said(longest) == ["10.64.0.17"]
    assert world.said(longest, "AAAA") == "NODATA"


def test_ports_are_those_inside() -> None:
    world = shop()
    record = "0 1 8080 0a410012.addr.bayplan."
    assert world.said("db", "SRV", by="back") == [record]
    assert world.said("_http._tcp.db", "SRV", by="back") == [record]
    assert world.said("_db._tcp.shop", "SRV", by="back") == [record]
    assert world.said("_db._udp.shop", "SRV", by="back") == "NXDOMAIN"
    assert world.said("0a410012.addr.bayplan", by="back") == ["10.65.0.18"]


def test_addresses_have_names_on_their_own_networks_only() -> None:
    world = shop()
    assert world.said("18.0.65.10.in-addr.arpa", "PTR", by="back") == ["1.db.shop.bayplan."]
    assert world.said("1.1.65.10.in-addr.arpa", "PTR", by="back") == ["web.shop.bayplan."]
    assert world.said("99.0.65.10.in-addr.arpa", "PTR", by="back") == "NXDOMAIN"
    # Not on a network of the asker: somebody else may know it.
    assert world.said("18.0.65.10.in-addr.arpa", "PTR", by="front") == "ELSEWHERE"
    assert world.said("1.2.0.192.in-addr.arpa", "PTR", by="back") == "ELSEWHERE"


def test_services_that_share_an_alias_are_all_given_in_turns() -> None:
    world = shop()
    assert world.said("www", by="front", stack="other") == ["10.64.0.50", "10.64.1.1"]
    assert world.said("www", by="front", stack="other") == ["10.64.1.1", "10.64.0.50"]


def test_a_service_with_nobody_has_its_virtual_address_still() -> None:
    world = shop()
    world.put("web.shop", on={"front": ()}, vips={"front": "10.64.1.1"})
    world.put("db.shop", on={"back": ()})
    assert world.said("web") == ["10.64.1.1"]
    assert world.said("tasks.web") == "NODATA"
    assert world.said("db", by="back") == "NODATA"


def test_who_is_not_ready_has_the_name_of_its_slot_only() -> None:
    world = shop()
    starting = replace(on(2, back="10.65.0.19"), standing=Standing.STARTING)
    world.put("db.shop", on(1, back="10.65.0.18"), starting, on={"back": ()})
    assert world.said("db", by="back") == ["10.65.0.18"]
    assert world.said("2.db", by="back") == ["10.65.0.19"]
    assert sorted(world.said("all.db", by="back")) == ["10.65.0.18", "10.65.0.19"]


def test_the_node_s_own_come_first_where_that_is_wanted() -> None:
    world = NetworkWorld()
    entries = [on(n, front=f"10.64.0.{n}") for n in (3, 2, 1)]
    world.put("web.shop", *entries, on={"front": ()}, local_first=True)
    for _ in range(4):
        assert world.said("web")[0] == "10.64.0.1"


def test_answers_that_are_kept_follow_the_directory() -> None:
    world = shop()
    assert world.said("db", by="back") == ["10.65.0.18"]
    world.put("db.shop", on(2, back="10.65.0.20"), on={"back": ()})
    assert world.said("db", by="back") == ["10.65.0.20"]
    assert world.said("postgres", by="back") == "NXDOMAIN"
    # Another service takes a name that a kept answer has.
    world.put("cache.shop", on(3, back="10.65.0.30"), on={"back": ("db",)})
    assert sorted(world.said("db", by="back")) == ["10.65.0.20", "10.65.0.30"]
    world.drop("db.shop")
    assert world.said("db", by="back") == ["10.65.0.30"]
    assert world.said("db.shop", by="back") == "ELSEWHERE"


def test_a_node_that_knows_nothing_yet_denies_nothing() -> None:
    world = shop()
    world.source.state = Origin(node="n1", whole=False)
    assert world.said("nobody") == "SERVFAIL"
    assert world.said("web") == ["10.64.1.1"]


def test_outsiders_are_found_below_the_apex() -> None:
    world = shop()
    world.source.put("external", "pg", Entry(id="x", address="198.51.100.7", port=5432))
    assert world.said("pg.external.bayplan") == ["198.51.100.7"]
    assert world.said("pg.external") == "NXDOMAIN"


# --- against a model that knows nothing of keeping ---


@dataclass(frozen=True)
class _Service:
    stack: str
    name: str
    networks: dict[str, tuple[str, ...]]
    vips: bool
    count: int

    def addresses(self, network: str, base: int) -> list[str]:
        if self.vips:
            return [f"10.{64 + base}.1.{_NAMES.index(self.name) + 10 * _STACKS.index(self.stack)}"]
        return [_address(self, n, base) for n in range(1, self.count + 1)]


_NETWORKS, _STACKS, _NAMES = ("front", "back", "far"), ("shop", "blog"), ("web", "db", "mq")


def _address(service: _Service, number: int, base: int) -> str:
    return f"10.{64 + base}.{2 + _STACKS.index(service.stack)}.{10 * _NAMES.index(service.name) + number}"


_SERVICES = st.builds(
    _Service,
    stack=st.sampled_from(_STACKS),
    name=st.sampled_from(_NAMES),
    networks=st.dictionaries(
        st.sampled_from(_NETWORKS), st.lists(st.sampled_from((*_NAMES, "alias")), max_size=2).map(tuple)
    ),
    vips=st.booleans(),
    count=st.integers(0, 3),
)


def _put(world: NetworkWorld, service: _Service) -> None:
    bases = {network: _NETWORKS.index(network) for network in service.networks}
    entries = [
        on(n, **{network: _address(service, n, base) for network, base in bases.items()})
        for n in range(1, service.count + 1)
    ]
    entries = [replace(each, id=f"{service.name}.{service.stack}.{each.slot}") for each in entries]
    vips = {network: service.addresses(network, base)[0] for network, base in bases.items() if service.vips}
    facade = Facade(
        names={network: (service.name, *more) for network, more in service.networks.items()}, vips=vips
    )
    world.source.put(service.stack, service.name, *entries, facade=facade)


def _expected(
    services: dict[tuple[str, str], _Service], name: str, networks: tuple[str, ...], stack: str
) -> set[str] | None:
    """The addresses that a bare name or a service's full one has for an asker; None for an unknown name."""
    called, _, of_stack = name.partition(".")
    if of_stack:
        service = services.get((of_stack, called))
        shared = [each for each in networks if service and each in service.networks]
        return set(service.addresses(shared[0], _NETWORKS.index(shared[0]))) if service and shared else None
    for candidates in ([each for each in services.values() if each.stack == stack], services.values()):
        for network in networks:
            found = [
                each
                for each in candidates
                if called in (each.name, *each.networks.get(network, ())) and network in each.networks
            ]
            if found:
                base = _NETWORKS.index(network)
                return {address for each in found for address in each.addresses(network, base)}
    return None


@settings(max_examples=150, deadline=None)
@given(
    changes=st.lists(_SERVICES, min_size=1, max_size=8),
    asked=st.lists(
        st.tuples(
            st.sampled_from((*_NAMES, "alias", "web.shop", "db.blog")),
            st.lists(st.sampled_from(_NETWORKS), min_size=1, max_size=3, unique=True).map(tuple),
            st.sampled_from(_STACKS),
        ),
        min_size=1,
        max_size=6,
    ),
)
def test_whatever_changes_an_asker_is_told_what_is_on_its_networks(
    changes: list[_Service], asked: list[tuple[str, tuple[str, ...], str]]
) -> None:
    world, services = NetworkWorld(), {}
    for change in changes:
        services[change.stack, change.name] = change
        _put(world, change)
        for name, networks, stack in asked:
            said = world.said(name, by=" ".join(networks), stack=stack)
            expected = _expected(services, name, networks, stack)
            if expected is None:
                assert said in ("NXDOMAIN", "ELSEWHERE")
            elif not expected:
                assert said == "NODATA"
            else:
                assert isinstance(said, list) and set(said) == expected


@given(st.text(string.ascii_lowercase + "-.0123456789_", min_size=1, max_size=40))
def test_no_bare_name_ever_leaves(name: str) -> None:
    labels = [each for each in name.split(".") if each]
    if len(labels) != 1 or len(labels[0]) > 63:
        return
    assert shop().said(labels[0]) != "ELSEWHERE"


def test_a_responder_keeps_no_more_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packets, "PASSING_MAX", 10)
    world = shop()
    for number in range(50):
        world.said(f"guess{number}")
    (responder,) = world._responders.values()
    assert responder.kept <= 12
