"""No source gets more than its share."""

from __future__ import annotations

import dns.message

from bayplan.dns import budget
from bayplan.dns.budget import ANSWERS_PER_S_MAX, SOURCES_MAX, Budget
from tests.unit.dns.world import shop

_PACKET = shop().responder.respond(dns.message.make_query("web.shop.bayplan", "A").to_wire())
assert isinstance(_PACKET, bytes)
ANSWER: bytes = _PACKET


def spent(counted: Budget, host: str, times: int, now_s: float) -> tuple[int, int]:
    """How many whole and how many short answers go to a host."""
    found = [counted.spend(host, ANSWER, now_s) for _ in range(times)]
    short = [each for each in found if each is not None and len(each) < len(ANSWER)]
    return found.count(ANSWER), len(short)


def test_a_source_that_asks_too_much_is_told_to_come_over_tcp_now_and_then() -> None:
    counted = Budget()
    assert spent(counted, "10.0.0.9", ANSWERS_PER_S_MAX + 100, 1.0) == (ANSWERS_PER_S_MAX, 100 // budget.SLIP)
    assert spent(counted, "10.0.0.8", 10, 1.5) == (10, 0), "others are not held to that"
    assert spent(counted, "10.0.0.9", 10, 2.0) == (10, 0), "nor is it, a second later"


def test_an_ipv6_network_is_one_source() -> None:
    counted = Budget()
    for host in range(100):
        spent(counted, f"2001:db8::{host:x}", ANSWERS_PER_S_MAX // 100, 1.0)
    assert spent(counted, "2001:db8::ffff", 10, 1.0)[0] == 0
    assert spent(counted, "2001:db8:0:1::1%eth0", 10, 1.0)[0] == 10


def test_more_sources_than_can_be_counted_are_told_to_come_over_tcp() -> None:
    counted = Budget()
    for number in range(SOURCES_MAX):
        counted.spend(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", ANSWER, 1.0)
    assert spent(counted, "192.0.2.1", 5, 1.0) == (0, 5)
    assert spent(counted, "10.0.0.1", 5, 1.0) == (5, 0)
