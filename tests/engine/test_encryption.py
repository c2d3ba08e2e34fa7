"""Networks whose packets are encrypted between nodes: two hosts on a cable that somebody listens to."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.labels import bridge_name, secure_name
from agent.runtime import wireguard
from agent.runtime.links import open_links
from agent.runtime.overlay import OverlayKeeper
from agent.tunnel_keys import TunnelKeys
from bayplan.model import Overlay
from tests.engine.net_world import Namespace, command

pytestmark = pytest.mark.skipif(
    not Path("/dev/net/tun").exists(),
    reason="no WireGuard module is asked for, and wireguard-go needs /dev/net/tun",
)

NAMES = ("n1", "n2")
OUTER = {"n1": "10.9.0.1", "n2": "10.9.0.2"}
WITHIN = {"n1": "10.64.0.1", "n2": "10.64.0.17"}
VNI, PORT = 0xBA0001, 5000
BRIDGE = bridge_name(VNI)
MARK = b"what nobody else shall read"
ETH_P_ALL = 3
#: The first packet waits for a handshake, and for the neighbour's address.
HEAR_S_MAX, TRIES = 1.0, 10


class Engine:
    """An engine that makes bridges, for that is all that matters here."""

    def __init__(self) -> None:
        self.networks: list[str] = []
        self.mtu = 0

    async def list_networks(self) -> list[str]:
        return self.networks

    async def keep_overlay(self, overlay: Overlay, mtu: int) -> None:
        self.mtu = mtu
        if overlay.network not in self.networks:
            command(f"ip link add {BRIDGE} type bridge")
            command(f"ip addr add {overlay.gateway}/20 dev {BRIDGE}")
            command(f"ip link set {BRIDGE} mtu {mtu} up")
            self.networks.append(overlay.network)


class Host:
    """A node in a namespace, with a keeper of networks."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.space, self.engine = name, Namespace(), Engine()
        self.keys = TunnelKeys(folder / name)
        self.restart()

    def restart(self) -> None:
        """Another agent takes over."""
        self.keeper = OverlayKeeper(self.engine, f"node-{self.name}", OUTER[self.name], self.keys.private)

    def do(self, *lines: str) -> None:
        for line in lines:
            self.space.run(lambda line=line: command(line))  # type: ignore[misc]

    def links(self) -> set[str]:
        def listed() -> set[str]:
            with open_links() as links:
                return set(links.all())

        return self.space.run(listed)

    def keep(self, *overlays: Overlay) -> None:
        kept = self.space.run(lambda: asyncio.run(self.keeper.keep(overlays)))
        assert not kept.faults, kept.faults

    def socket(self, family: int, kind: int, protocol: int = 0) -> socket.socket:
        return self.space.run(lambda: socket.socket(family, kind, protocol))


class Pair:
    """Two hosts, and what was seen on the cable between them."""

    def __init__(self, folder: Path) -> None:
        self.hosts = {name: Host(name, folder) for name in NAMES}
        first, second = self.hosts.values()
        there = second.space.run(threading.get_native_id)
        first.do(f"ip link add eth0 type veth peer name eth0 netns {there}")
        for name, host in self.hosts.items():
            host.do(f"ip addr add {OUTER[name]}/24 dev eth0", "ip link set eth0 up", "ip link set lo up")
        self.tap = first.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        first.space.run(lambda: self.tap.bind(("eth0", 0)))
        self.tap.setblocking(False)

    def overlay(self, name: str, *, encrypted: bool = True) -> Overlay:
        (other,) = set(NAMES) - {name}
        keys = {OUTER[other]: self.hosts[other].keys.announced()} if encrypted else {}
        return Overlay(
            network="shop_net",
            vni=VNI,
            subnet="10.64.0.0/20",
            gateway=WITHIN[name],
            peers=(OUTER[other],),
            keys=keys,
            encrypted=encrypted,
        )

    def join(self, *, encrypted: bool = True) -> None:
        for name, host in self.hosts.items():
            host.keep(self.overlay(name, encrypted=encrypted))

    def send(self, mark: bytes = MARK, tries: int = TRIES) -> bool:
        """Say something from the first host to the second, within the network; whether it was heard."""
        with (
            self.hosts["n1"].socket(socket.AF_INET, socket.SOCK_DGRAM) as caller,
            self.hosts["n2"].socket(socket.AF_INET, socket.SOCK_DGRAM) as server,
        ):
            server.bind((WITHIN["n2"], PORT))
            server.settimeout(HEAR_S_MAX)
            for _ in range(tries):
                caller.sendto(mark, (WITHIN["n2"], PORT))
                try:
                    if server.recv(2000) == mark:
                        return True
                except TimeoutError:
                    continue
        return False

    def seen(self) -> list[bytes]:
        """The frames that have passed since this was last asked."""
        frames = []
        while True:
            try:
                frames.append(self.tap.recv(2000))
            except BlockingIOError:
                return frames


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    made = Pair(tmp_path)
    yield made
    made.tap.close()
    for host in made.hosts.values():
        host.space.run(lambda host=host: asyncio.run(host.keeper.take_down()))  # type: ignore[misc]
        host.space.__exit__()


def test_who_listens_to_the_cable_reads_an_open_network_and_not_an_encrypted_one(pair: Pair) -> None:
    pair.join(encrypted=False)
    assert pair.send()
    assert any(MARK in frame for frame in pair.seen())
    for host in pair.hosts.values():
        host.space.run(lambda: command(f"ip link del {BRIDGE}"))
        host.engine.networks.clear()
        host.keep()
    pair.join()
    assert pair.send()
    frames = pair.seen()
    assert frames and not any(MARK in frame for frame in frames)


def test_nodes_that_hear_of_each_other_speak_at_once_and_go_on(pair: Pair) -> None:
    pair.join()
    first, name = pair.hosts["n1"], secure_name("node-n1")
    kept = first.space.run(lambda: command(f"wg show {name} persistent-keepalive"))
    assert kept.split()[1] == str(wireguard.KEEPALIVE_S)
    time.sleep(1)
    shaken = first.space.run(lambda: command(f"wg show {name} latest-handshakes"))
    assert int(shaken.split()[1]), "though nobody had anything to say"


def test_nothing_leaves_in_plaintext_when_the_tunnel_is_taken_away(pair: Pair) -> None:
    pair.join()
    assert pair.send()
    first = pair.hosts["n1"]
    first.do("ip -6 addr add fd00::1/64 dev eth0 nodad", "ip -6 route add default via fd00::2 dev eth0")
    first.do("ip -6 neigh add fd00::2 lladdr 02:00:00:00:00:09 dev eth0")
    first.do(f"ip link del {secure_name('node-n1')}")
    pair.seen()
    assert not pair.send(tries=2)
    assert not any(MARK in frame for frame in pair.seen())
    pair.join()
    assert pair.send()


def test_packets_as_large_as_the_network_takes_get_through(pair: Pair) -> None:
    pair.join()
    assert pair.hosts["n1"].engine.mtu == 1500 - wireguard.WIREGUARD_BYTES - 70
    assert pair.send(bytes(pair.hosts["n1"].engine.mtu - 28))


def test_an_agent_that_restarts_finds_its_tunnel_again_and_the_last_network_takes_it_along(
    pair: Pair,
) -> None:
    pair.join()
    first, name = pair.hosts["n1"], secure_name("node-n1")
    number = first.space.run(lambda: socket.if_nametoindex(name))
    first.restart()
    pair.join()
    assert first.space.run(lambda: socket.if_nametoindex(name)) == number
    assert pair.send()
    first.space.run(lambda: command(f"ip link del {BRIDGE}"))
    first.engine.networks.clear()
    first.keep()
    assert first.links() == {"lo", "eth0"}
    assert first.space.run(lambda: command("nft list ruleset")) == ""


def test_a_new_key_is_used_when_the_controller_has_heard_of_it(pair: Pair, tmp_path: Path) -> None:
    pair.join()
    assert pair.send()
    first = pair.hosts["n1"]
    before = first.keys.announced()
    (tmp_path / "n1" / "tunnel.key.next").write_bytes((tmp_path / "n2" / "tunnel.key").read_bytes())
    other = TunnelKeys(tmp_path / "spare").private()
    (tmp_path / "n1" / "tunnel.key.next").write_text(other)
    assert first.keys.announced() != before
    assert pair.send(), "the old key is used still"
    assert first.keys.heard()
    first.space.run(lambda: asyncio.run(first.keeper.renew_key()))
    pair.hosts["n2"].keep(pair.overlay("n2"))
    assert pair.send()
