"""The data plane in a kernel: what its rules make of connections between namespaces, and what it finds again.

Two hosts with a bridge each, joined as the nodes of a cluster are; no engine, no agent.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings

from agent.decide.dataplane import Place, Segment
from agent.decide.rules import TABLES, Rules, difference, whole
from agent.doors.dataplane import DataPlane
from agent.runtime import tables
from agent.runtime.nft import Nft, NftError
from bayplan.directory import Listing
from tests.engine.net_world import Namespace, command
from tests.unit.agent.decide.dataplane_world import HERE, entry, listing, published
from tests.unit.agent.decide.test_rules import states


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    with Namespace() as made:
        yield made


def listed(nft: Nft) -> Counter[str]:
    """Every line of the tables, but for the order in which the kernel gives elements."""
    text = re.sub(r",\s+", ", ", nft.run("list ruleset"))
    return Counter(tuple(sorted(line.strip().split(", "))) for line in text.splitlines())  # type: ignore[misc]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(old=states(), new=states())
def test_a_difference_makes_of_the_kernels_rules_the_whole_of_the_new(
    namespace: Namespace, old: Rules, new: Rules
) -> None:
    nft = namespace.run(Nft)
    nft.run(whole(old))
    if text := difference(old, new):
        nft.run(text)
    reached = listed(nft)
    nft.run(whole(new))
    assert reached == listed(nft)
    tables.remove(nft, TABLES)
    assert nft.run("list ruleset") == ""
    nft.close()


class Plane:
    """A data plane in a namespace with a bridge that has two containers' ports."""

    def __init__(self, namespace: Namespace) -> None:
        self.namespace, self.plane = namespace, DataPlane()
        namespace.run(lambda: command("ip link add bp-1 type bridge"))
        namespace.run(lambda: command("ip link add v1 type veth peer name v2"))
        namespace.run(lambda: command("ip link set v1 master bp-1"))

    def show(self, *listings: Listing, place: Place = HERE, look: bool = False) -> None:
        keys = {**dict.fromkeys(self.plane.keys), **{each.key: each for each in listings}}
        self.namespace.run(lambda: self.plane.change(keys, place, look=look))

    def addresses(self) -> set[str]:
        text = self.namespace.run(lambda: command("ip -o -4 addr show dev bp-1"))
        return set(re.findall(r"inet (\S+)", text))

    def rules(self) -> str:
        return self.namespace.run(lambda: command("nft list ruleset"))


def test_a_bridge_has_the_virtual_addresses_of_its_network_and_no_others(namespace: Namespace) -> None:
    plane = Plane(namespace)
    namespace.run(lambda: command("ip addr add 10.64.0.1/20 dev bp-1"))
    plane.show(listing(entry(1)), listing(service="db", vip="10.64.15.2"))
    assert plane.addresses() == {"10.64.0.1/20", "10.64.15.1/32", "10.64.15.2/32"}
    plane.show(listing(entry(1)))
    assert plane.addresses() == {"10.64.0.1/20", "10.64.15.1/32"}
    plane.show()
    assert plane.addresses() == {"10.64.0.1/20"}
    assert "10.64.15" not in plane.rules()


def test_containers_may_reach_themselves_through_their_bridge(namespace: Namespace) -> None:
    plane = Plane(namespace)
    plane.show(listing(entry(1)))
    assert "hairpin on" in namespace.run(lambda: command("bridge -d link show dev v1"))


def test_what_somebody_took_away_is_made_anew(namespace: Namespace) -> None:
    plane = Plane(namespace)
    shown = listing(entry(1), ports=(published(8000),))
    plane.show(shown)
    before = plane.rules()
    namespace.run(lambda: command("nft flush ruleset"))
    namespace.run(lambda: command("ip addr flush dev bp-1"))
    plane.show(shown)
    assert plane.rules() == "", "it is not looked at with each change"
    plane.show(shown, look=True)
    assert Counter(plane.rules().split()) == Counter(before.split())
    assert plane.addresses() == {"10.64.15.1/32"}


def test_another_data_plane_replaces_what_the_one_before_it_left(namespace: Namespace) -> None:
    first = Plane(namespace)
    first.show(listing(entry(1)), listing(entry(2), service="db", vip="10.64.15.2"))
    first.plane = DataPlane()
    first.show(listing(entry(1)))
    assert "10.64.15.1" in first.rules() and "10.64.15.2" not in first.rules()
    assert first.addresses() == {"10.64.15.1/32"}


def test_a_bridge_that_comes_later_gets_its_addresses_when_it_is_looked_for(namespace: Namespace) -> None:
    plane = Plane(namespace)
    place = Place("n1", {"net": Segment("net", "bp-9")})
    plane.show(listing(entry(1)), place=place)
    namespace.run(lambda: command("ip link add bp-9 type bridge"))
    plane.show(listing(entry(1)), place=place, look=True)
    assert "10.64.15.1/32" in namespace.run(lambda: command("ip -o -4 addr show dev bp-9"))


@pytest.mark.parametrize("table", TABLES)
def test_a_table_of_our_name_that_is_not_ours_is_never_touched(namespace: Namespace, table: str) -> None:
    plane = Plane(namespace)
    namespace.run(lambda: command(f"nft add table {table}"))
    before = plane.rules()
    plane.show()
    with pytest.raises(NftError, match=f"a table {table} that is not bayplan's is in the way"):
        plane.show(listing(entry(1)))
    plane.show()
    assert plane.rules() == before
