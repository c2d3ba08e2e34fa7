"""How often one address may try."""

from controller.doors.ratelimit import BURST_ATTEMPTS, PEERS_MAX, PeerLimiter, peer_host


def admitted(limiter, peer, times_ms):
    return sum(limiter.admit(peer, time_ms) for time_ms in times_ms)


def test_an_address_may_try_a_burst_and_then_once_a_second():
    limiter = PeerLimiter()
    assert admitted(limiter, "ipv4:10.0.0.1:1", [0] * 1_000) == BURST_ATTEMPTS
    assert admitted(limiter, "ipv4:10.0.0.1:1", range(1, 60_002, 10)) == 60


def test_a_new_port_is_no_new_address():
    limiter = PeerLimiter()
    assert sum(limiter.admit(f"ipv4:10.0.0.1:{port}", 0) for port in range(1_000)) == BURST_ATTEMPTS
    assert limiter.admit("ipv4:10.0.0.2:1", 0)


def test_all_addresses_of_an_ipv6_network_count_as_one():
    limiter = PeerLimiter()
    assert sum(limiter.admit(f"ipv6:%5B2001:db8::{i:x}%5D:1", 0) for i in range(1_000)) == BURST_ATTEMPTS
    assert limiter.admit("ipv6:%5B2001:db8:0:1::1%5D:1", 0)


def test_an_idle_address_gets_its_burst_back():
    limiter = PeerLimiter()
    admitted(limiter, "ipv4:10.0.0.1:1", [0] * 50)
    assert admitted(limiter, "ipv4:10.0.0.1:1", [BURST_ATTEMPTS * 1_000] * 50) == BURST_ATTEMPTS


def test_only_so_many_addresses_are_remembered():
    limiter = PeerLimiter()
    for number in range(PEERS_MAX + 500):
        limiter.admit(f"ipv4:10.{number >> 16}.{number >> 8 & 255}.{number & 255}:1", number)
    assert len(limiter._free_at_ms) == PEERS_MAX


def test_the_host_of_a_peer_is_bare():
    assert peer_host("ipv4:10.0.0.1:53412") == "10.0.0.1"
    assert peer_host("ipv6:%5B::1%5D:53412") == "::1"
    assert peer_host("unix:/run/x.sock") == "/run/x.sock"
