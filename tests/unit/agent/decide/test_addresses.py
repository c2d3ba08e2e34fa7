"""Addresses of new tasks: never one in use, never one too soon, the longest free first."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

from hypothesis import given
from hypothesis import strategies as st

from agent.decide.addresses import QUARANTINE_MS, Choice, Uses, choose, pool
from bayplan.addressing import block, blocks_in, gateway
from bayplan.model import Overlay


def overlay(
    subnet: str = "10.64.0.0/20", blocks: tuple[int, ...] = (0,), reserved: tuple[str, ...] = ()
) -> Overlay:
    """This node's part of a network."""
    network = IPv4Network(subnet)
    parts = [block(network, index) for index in blocks]
    own = str(gateway(network, parts)) if parts else ""
    texts = tuple(map(str, parts))
    return Overlay(network="n", vni=0xBA0001, subnet=subnet, gateway=own, blocks=texts, reserved=reserved)


@st.composite
def parts(draw: st.DrawFn) -> Overlay:
    """Any node's part of any network."""
    prefix = draw(st.integers(16, 28))
    subnet = IPv4Network((int(IPv4Address("10.64.0.0")), prefix))
    indices = draw(st.sets(st.integers(0, blocks_in(subnet) - 1), max_size=3))
    bare = overlay(str(subnet), tuple(sorted(indices)))
    addresses = list(pool(bare))
    reserved = draw(st.sets(st.sampled_from(addresses), max_size=3)) if addresses else set()
    return overlay(str(subnet), tuple(sorted(indices)), tuple(sorted(reserved)))


def test_the_first_task_gets_the_first_address_after_the_nodes_own() -> None:
    assert choose(overlay(), Uses(), 0) == Choice("10.64.0.2")
    assert choose(overlay(blocks=(3,)), Uses(), 0) == Choice("10.64.0.49")


def test_reserved_addresses_and_those_in_use_are_passed_over() -> None:
    assert choose(overlay(reserved=("10.64.0.2",)), Uses(held={"10.64.0.3"}), 0) == Choice("10.64.0.4")


def test_what_was_never_used_comes_before_what_became_free() -> None:
    assert choose(overlay(), Uses(freed={"10.64.0.2": 0}), QUARANTINE_MS).address == "10.64.0.3"


def test_of_used_ones_the_one_that_has_been_free_for_longest_comes_first() -> None:
    freed = {address: 1_000 + number for number, address in enumerate(reversed(list(pool(overlay()))))}
    assert choose(overlay(), Uses(freed=freed), 99_000).address == "10.64.0.15"


def test_an_address_rests_before_it_is_given_again() -> None:
    part = overlay("10.64.0.0/28", (1,))
    assert list(pool(part)) == ["10.64.0.5", "10.64.0.6", "10.64.0.7"]
    uses = Uses(held={"10.64.0.5", "10.64.0.6"}, freed={"10.64.0.7": 100})
    assert choose(part, uses, QUARANTINE_MS + 99) == Choice(look_at=QUARANTINE_MS + 100)
    assert choose(part, uses, QUARANTINE_MS + 100) == Choice("10.64.0.7")


def test_with_all_in_use_there_is_no_moment_to_wait_for() -> None:
    part = overlay("10.64.0.0/28", (1,))
    assert choose(part, Uses(held=set(pool(part))), 0) == Choice()
    assert choose(overlay(blocks=()), Uses(), 0) == Choice()


def test_what_an_agent_before_this_one_gave_rests_too() -> None:
    assert choose(overlay(), Uses(unknown_ms=70), 70) == Choice(look_at=QUARANTINE_MS + 70)
    assert choose(overlay(), Uses(unknown_ms=70), QUARANTINE_MS + 70) == Choice("10.64.0.2")


@given(parts(), st.data())
def test_whatever_is_given_is_the_nodes_own_and_free_and_rested(part: Overlay, data: st.DataObject) -> None:
    addresses = list(pool(part))
    some = st.sampled_from(addresses) if addresses else st.nothing()
    held = data.draw(st.sets(some))
    freed = data.draw(st.dictionaries(some, st.integers(0, 20_000)))
    now_ms = data.draw(st.integers(0, 30_000))
    choice = choose(part, Uses(held, freed), now_ms)
    if choice.address:
        address = IPv4Address(choice.address)
        subnet = IPv4Network(part.subnet)
        assert any(address in IPv4Network(each) for each in part.blocks)
        assert choice.address not in {part.gateway, *part.reserved, *held}
        assert address not in (subnet.network_address, subnet.broadcast_address)
        assert freed.get(choice.address, -QUARANTINE_MS) + QUARANTINE_MS <= now_ms
    elif choice.look_at is not None:
        assert choice.look_at > now_ms
        assert choose(part, Uses(held, freed), choice.look_at).address
    else:
        assert set(addresses) <= held


@given(parts(), st.lists(st.tuples(st.booleans(), st.integers(0, 4_000)), max_size=60))
def test_no_two_tasks_ever_have_one_address_and_none_comes_back_too_soon(
    part: Overlay, steps: list[tuple[bool, int]]
) -> None:
    held: list[str] = []
    freed: dict[str, int] = {}
    now_ms = 0
    for comes, ms in steps:
        now_ms += ms
        if comes:
            choice = choose(part, Uses(held, freed), now_ms)
            assert choice.address not in held
            if choice.address:
                assert freed.get(choice.address, -QUARANTINE_MS) + QUARANTINE_MS <= now_ms
                held.append(choice.address)
        elif held:
            freed[held.pop(0)] = now_ms
