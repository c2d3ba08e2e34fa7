"""Subnets, blocks and virtual addresses: nothing twice, nothing in the way, always the same."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayplan.errors import ProblemError, ProblemKind
from bayplan.model import IpamPool, NetworkSpec
from bayplan.model.network import VNI_BASE
from controller.decide import addresses
from controller.decide.addresses import NOBODY, Space, Taken

POOL = IPv4Network(addresses.POOL)

ranges = st.builds(
    lambda number, prefix: IPv4Network((number >> (32 - prefix) << (32 - prefix), prefix)),
    st.integers(int(POOL.network_address) - 2**22, int(POOL.broadcast_address) + 2**22),
    st.integers(9, 32),
)
subnets = st.integers(16, 28).map(lambda prefix: IPv4Network(f"10.64.0.0/{prefix}"))


def taken(*texts: str) -> list[Taken]:
    return [Taken(IPv4Network(text), f"the owner of {text}") for text in texts]


def test_the_first_subnet_is_the_lowest_of_the_pool() -> None:
    assert addresses.choose_subnet(POOL, []) == IPv4Network("10.64.0.0/20")
    assert addresses.choose_subnet(POOL, taken("10.64.0.0/20", "10.64.16.0/30")) == IPv4Network(
        "10.64.32.0/20"
    )
    assert addresses.choose_subnet(POOL, taken("10.64.16.0/20")) == IPv4Network("10.64.0.0/20")


@given(st.lists(ranges, max_size=30))
def test_a_chosen_subnet_overlaps_nothing_and_is_the_same_again(found: list[IPv4Network]) -> None:
    in_the_way = [Taken(each, "somebody") for each in found]
    try:
        subnet = addresses.choose_subnet(POOL, in_the_way)
    except ProblemError:
        free = (each for each in POOL.subnets(new_prefix=20) if not any(map(each.overlaps, found)))
        assert next(free, None) is None
        return
    assert subnet.subnet_of(POOL) and not any(subnet.overlaps(each) for each in found)
    assert addresses.choose_subnet(POOL, reversed(in_the_way)) == subnet


def test_a_pool_without_room_is_refused_with_who_has_it() -> None:
    with pytest.raises(ProblemError) as refused:
        addresses.choose_subnet(IPv4Network("10.0.0.0/20"), taken("10.0.0.0/8"))
    assert refused.value.problem.kind is ProblemKind.REFUSED
    assert "the owner of 10.0.0.0/8 (10.0.0.0/8)" in refused.value.problem.details[0]


@pytest.mark.parametrize(
    ("text", "words", "kind"),
    [
        ("10.1.0.0/33", "cannot be read", ProblemKind.INVALID),
        ("10.1.0.1/24", "cannot be read", ProblemKind.INVALID),
        ("fd00::/64", "cannot be read", ProblemKind.INVALID),
        ("10.0.0.0/15", "too large", ProblemKind.INVALID),
        ("10.1.0.0/29", "too small", ProblemKind.INVALID),
        ("10.2.0.0/16", "overlaps", ProblemKind.REFUSED),
    ],
)
def test_a_subnet_that_cannot_be_had_is_refused_in_words(text: str, words: str, kind: ProblemKind) -> None:
    with pytest.raises(ProblemError) as refused:
        addresses.given_subnet(text, taken("10.2.3.0/24"))
    assert words in refused.value.problem.summary and refused.value.problem.kind is kind


def test_segments_are_numbered_from_the_lowest_that_is_free() -> None:
    assert addresses.choose_vni(()) == VNI_BASE + 1
    assert addresses.choose_vni({VNI_BASE + 1, VNI_BASE + 3}) == VNI_BASE + 2
    with pytest.raises(ProblemError):
        addresses.choose_vni(range(VNI_BASE, VNI_BASE + 0x10000))


Ask = tuple[str, int]
asks = st.lists(st.tuples(st.sampled_from(["", "a", "b", "c", "d"]), st.integers(1, 60)), max_size=20)


@given(subnets, asks, st.sets(st.integers(0, 40), max_size=10))
def test_no_address_is_in_the_blocks_of_two(subnet: IPv4Network, asked: list[Ask], apart: set[int]) -> None:
    reserved = frozenset(subnet.network_address + each for each in apart)
    space = Space(subnet, {}, reserved)
    for owner, wanted in asked:
        before = space.blocks.get(owner, ())
        mine = space.more_blocks(owner, wanted)
        assert mine == space.more_blocks(owner, wanted)
        assert mine[: len(before)] == before
        assert space.holds(mine, wanted) or not any(
            next(space.addresses((index,)), None) for index in set(space.free_blocks()) - set(mine)
        )
        space = space._replace(blocks={**space.blocks, owner: mine})
    everybody = [address for blocks in space.blocks.values() for address in space.addresses(blocks)]
    assert len(everybody) == len(set(everybody))
    edges = {subnet.network_address, subnet.broadcast_address}
    assert not set(everybody) & (edges | reserved) and all(each in subnet for each in everybody)


@given(subnets, st.integers(1, 30))
def test_no_virtual_address_is_given_twice(subnet: IPv4Network, services: int) -> None:
    space, used = Space(subnet, {"node": (0,)}), set[int]()
    for _ in range(services):
        blocks, place = space.virtual(used)
        space = space._replace(blocks={**space.blocks, NOBODY: blocks})
        if place is None:
            assert not any(True for _ in space.free_blocks())
            return
        assert place not in used and subnet[place] not in set(space.addresses((0,)))
        used.add(place)


def test_blocks_are_within_the_range_that_was_written() -> None:
    space = Space(IPv4Network("10.9.0.0/24"), {}, within=IPv4Network("10.9.0.128/26"))
    found = space.ranges(space.more_blocks("a", 1_000))
    assert found == list(IPv4Network("10.9.0.128/26").subnets(new_prefix=28))


def test_what_a_definition_names_is_given_to_nobody() -> None:
    pool = IpamPool(subnet="10.9.0.0/24", gateway="10.9.0.1", aux_addresses={"printer": "10.9.0.9"})
    found = addresses.set_aside(NetworkSpec(pools=(pool,)), ["10.9.0.77"])
    assert found == {IPv4Address(each) for each in ("10.9.0.1", "10.9.0.9", "10.9.0.77")}


def test_the_gateway_is_the_first_address_that_is_not_set_aside() -> None:
    subnet = IPv4Network("10.9.0.0/24")
    assert Space(subnet, {}).gateway((0,)) == "10.9.0.1"
    assert Space(subnet, {}, frozenset({IPv4Address("10.9.0.1")})).gateway((0,)) == "10.9.0.2"
    assert Space(subnet, {}).gateway(()) == ""
