"""Networks that span nodes in the kernel: links, peers and their filter, each in a namespace of its own."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from agent.events import FaultKind, OverlaysKept
from agent.labels import bridge_name, tunnel_name
from agent.runtime.kernel import EngineBridge, look
from agent.runtime.links import VXLAN_PORT
from agent.runtime.overlay import BRIDGE_SWITCH, OverlayKeeper
from bayplan.model import Overlay
from tests.engine.net_world import Namespace

ADDRESS, PEER, FORGER = "10.9.0.1", "10.9.0.2", "10.9.0.3"
MAC = "02:00:00:00:00:07"
VNI = 0xBA0001
NET = Overlay(
    network="shop_net",
    vni=VNI,
    subnet="10.64.0.0/20",
    gateway="10.64.0.1",
    blocks=("10.64.0.0/28",),
    peers=(PEER,),
)
BRIDGE, TUNNEL = bridge_name(VNI), tunnel_name(VNI)
TABLE = "inet bayplan-peers"


class Engine:
    """An engine that makes bridges, for that is all that matters here."""

    def __init__(self) -> None:
        self.networks: dict[str, str] = {}

    async def list_networks(self) -> list[str]:
        return sorted(self.networks)

    async def keep_overlay(self, overlay: Overlay, mtu: int) -> None:
        if overlay.network not in self.networks:
            sh(f"ip link add {bridge_name(overlay.vni)} type bridge")
            sh(f"ip link set {bridge_name(overlay.vni)} up")
            self.networks[overlay.network] = bridge_name(overlay.vni)


class Node:
    """A host in a namespace, its engine and its keeper."""

    def __init__(self) -> None:
        self.engine = Engine()
        self.restart()

    def restart(self) -> None:
        """Another agent takes over."""
        self.keeper = OverlayKeeper(self.engine, "n1", ADDRESS)

    def keep(self, *overlays: Overlay) -> OverlaysKept:
        return asyncio.run(self.keeper.keep(overlays))

    def remove(self, network: str) -> None:
        sh(f"ip link del {self.engine.networks.pop(network)}")
        asyncio.run(self.keeper.removed(network))


def sh(command: str) -> str:
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


def links() -> set[str]:
    return {line.split()[0].partition("@")[0] for line in sh("ip -br link").splitlines()}


def tables() -> str:
    return sh("nft list tables")


def index_of(link: str) -> int:
    """Another one if it was made anew."""
    return socket.if_nametoindex(link)


def peers() -> set[str]:
    """Those to whom frames for everybody go."""
    shown = sh(f"bridge fdb show dev {TUNNEL}").splitlines()
    return {line.split()[2] for line in shown if line.startswith("00:00:00:00:00:00")}


def listing() -> str:
    """All that there is, with the numbers that would change if it were made anew."""
    # Without what the kernel itself changes for a while: whether a link is up by now, what was learnt.
    kept = ("ifindex", "ifname", "mtu", "master", "ifalias", "address")
    made = [str([link.get(each) for each in kept]) for link in json.loads(sh("ip -j link"))]
    rest = sh("bridge fdb show | grep dst | sort; nft -a list ruleset")
    return "\n".join([*made, rest])


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    with Namespace() as made:
        made.run(
            lambda: sh(
                f"ip link add uplink mtu 1400 address {MAC} type veth peer name far mtu 1400;"
                f"ip link set uplink up; ip link set far up; ip link set lo up;"
                f"ip addr add {ADDRESS}/24 dev uplink"
            )
        )
        yield made


@pytest.fixture
def node(namespace: Namespace) -> Node:
    return namespace.run(Node)


def test_a_network_is_a_bridge_with_a_tunnel_to_its_peers_and_a_filter_before_it(
    namespace: Namespace, node: Node
) -> None:
    def run() -> None:
        assert node.keep(NET) == OverlaysKept(made=("shop_net",))
        shown = sh(f"ip -d link show {TUNNEL}")
        assert f"master {BRIDGE}" in shown
        assert "mtu 1350" in shown, "what VXLAN needs is taken off the underlay's"
        assert f"vxlan id {VNI} local {ADDRESS}" in shown
        assert f"dstport {VXLAN_PORT}" in shown
        assert peers() == {PEER}
        assert f"elements = {{ {PEER} }}" in sh(f"nft list table {TABLE}")
        assert BRIDGE_SWITCH.read_text().strip() == "1"

    namespace.run(run)


def test_another_agent_finds_it_again_and_changes_nothing(namespace: Namespace, node: Node) -> None:
    def run() -> None:
        node.keep(NET)
        before = listing()
        node.restart()
        assert node.keep(NET).made == ("shop_net",)
        assert listing() == before

    namespace.run(run)


def test_other_peers_are_followed_and_nothing_is_made_anew(namespace: Namespace, node: Node) -> None:
    def run() -> None:
        node.keep(NET)
        sh(f"bridge fdb add 02:00:00:00:00:01 dev {TUNNEL} dst {PEER} self dynamic")  # what was learnt of it
        before = index_of(TUNNEL)
        node.keep(replace(NET, peers=("10.9.0.7", "10.9.0.8")))
        assert peers() == {"10.9.0.7", "10.9.0.8"}
        assert PEER not in sh(f"bridge fdb show dev {TUNNEL}")
        assert "10.9.0.7, 10.9.0.8" in sh(f"nft list table {TABLE}")
        assert index_of(TUNNEL) == before

    namespace.run(run)


def test_what_somebody_took_away_is_made_again(namespace: Namespace, node: Node) -> None:
    def run() -> None:
        node.keep(NET)
        sh(f"ip link del {TUNNEL}; nft delete table {TABLE}")
        node.keep(NET)
        assert peers() == {PEER}
        assert TABLE in tables()
        for change in ("nomaster", "mtu 1000", "down"):
            sh(f"ip link set {TUNNEL} {change}")
            node.keep(NET)
            assert f"mtu 1350 qdisc noqueue master {BRIDGE}" in sh(f"ip -o link show up dev {TUNNEL}"), change

    namespace.run(run)


def test_the_last_network_takes_all_of_ours_with_it_and_nothing_else(
    namespace: Namespace, node: Node
) -> None:
    def run() -> None:
        other = replace(NET, network="shop_db", vni=VNI + 1)
        sh("ip link add bx-mine type bridge; nft add table inet mine")
        before = links(), tables()
        node.keep(NET, other)
        node.keep(other)
        node.remove("shop_net")
        assert TUNNEL not in links()
        assert (tunnel_name(VNI + 1) in links(), TABLE in tables()) == (True, True)
        node.keep()
        node.remove("shop_db")
        assert (links(), tables()) == before

    namespace.run(run)


def test_leaving_takes_what_an_agent_before_has_made(namespace: Namespace, node: Node) -> None:
    def run() -> None:
        before = links(), tables()
        node.keep(NET)
        node.restart()
        asyncio.run(node.keeper.take_down())
        assert (links(), tables()) == before

    namespace.run(run)


@pytest.mark.parametrize(
    ("theirs", "words"),
    [
        (f"ip link add {BRIDGE} type bridge", f"a link {BRIDGE} that is not bayplan's is in the way"),
        (f"ip link add {TUNNEL} type bridge", f"a link {TUNNEL} that is not bayplan's is in the way"),
        (
            f"nft 'table {TABLE} {{ comment \"mine\"; }}'",
            f"a table {TABLE} that is not bayplan's is in the way",
        ),
        (f"nft add table {TABLE}", f"a table {TABLE} that is not bayplan's is in the way"),
        (
            f"ip link add theirs type vxlan id {VNI} local {ADDRESS} dstport {VXLAN_PORT}",
            "another one of the same segment is there",
        ),
    ],
)
def test_what_is_someone_elses_is_not_touched_and_told(
    namespace: Namespace, node: Node, theirs: str, words: str
) -> None:
    def run() -> None:
        sh(theirs)
        before = set(listing().splitlines())
        kept = node.keep(NET)
        assert (kept.made, kept.faults["shop_net"].kind) == ((), FaultKind.REFUSED)
        assert words in kept.faults["shop_net"].reason
        assert before <= set(listing().splitlines())

    namespace.run(run)


def test_a_fault_of_one_network_is_no_others(namespace: Namespace, node: Node) -> None:
    def run() -> None:
        sh(f"ip link add {TUNNEL} type bridge")
        kept = node.keep(NET, replace(NET, network="shop_db", vni=VNI + 1))
        assert (kept.made, list(kept.faults)) == (("shop_db",), ["shop_net"])

    namespace.run(run)


def test_a_node_whose_address_no_link_has_says_so(namespace: Namespace) -> None:
    def run() -> None:
        for address, words in (("10.9.9.9", "no link of this host has"), ("", "need an IPv4 address")):
            kept = asyncio.run(OverlayKeeper(Engine(), "n1", address).keep((NET,)))
            assert words in kept.faults["shop_net"].reason
        assert TABLE not in sh("ip -br link")

    namespace.run(run)


def test_only_peers_packets_reach_a_segment_of_ours(namespace: Namespace, node: Node) -> None:
    """From a peer's address, from a stranger's, and to a segment of someone else's."""

    def received(vni: int, source: str) -> int:
        """Packets of a segment that arrive at the host's VXLAN device."""
        device = TUNNEL if vni == VNI else "theirs"
        before = arrived(device)
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
            wire.bind(("far", 0))
            wire.send(vxlan_packet(source, vni))
        time.sleep(0.1)  # longer than a packet takes: it is looked for what does not come, too
        return arrived(device) - before

    def run() -> None:
        node.keep(NET)
        sh(f"ip link add theirs type vxlan id 77 local {ADDRESS} dstport {VXLAN_PORT}; ip link set theirs up")
        assert received(VNI, PEER) == 1
        assert received(VNI, FORGER) == 0
        assert received(77, FORGER) == 1, "segments of others are none of our business"
        sh(f"nft delete table {TABLE}")
        assert received(VNI, FORGER) == 1, "it is the rule that keeps them off"

    namespace.run(run)


def arrived(device: str) -> int:
    """Packets that a device has received."""
    count: int = json.loads(sh(f"ip -j -s link show {device}"))[0]["stats64"]["rx"]["packets"]
    return count


def vxlan_packet(source: str, vni: int) -> bytes:
    """A frame to everybody, in VXLAN over UDP over IPv4 over Ethernet."""
    inner = b"\xff" * 6 + b"\x02\x00\x00\x00\x00\x09" + b"\x88\xb5" + bytes(46)
    vxlan = struct.pack("!II", 1 << 27, vni << 8) + inner
    udp = struct.pack("!HHHH", 4000, VXLAN_PORT, 8 + len(vxlan), 0) + vxlan
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 1, 0, 64, socket.IPPROTO_UDP, 0)
    addresses = socket.inet_aton(source) + socket.inet_aton(ADDRESS)
    total = sum(struct.unpack("!10H", head + addresses))
    total = (total & 0xFFFF) + (total >> 16)
    head = head[:10] + struct.pack("!H", ~(total + (total >> 16)) & 0xFFFF) + addresses
    return bytes.fromhex(MAC.replace(":", "")) + b"\x02\x00\x00\x00\x00\x08" + b"\x08\x00" + head + udp


def test_what_the_kernel_can_is_found_out_and_nothing_is_left_of_it(namespace: Namespace) -> None:
    def run() -> None:
        before = listing()
        found = look(EngineBridge())
        assert (found.fault, found.routes) == ("", ("10.9.0.0/24",))
        assert listing() == before

    namespace.run(run)


def test_an_engine_in_another_namespace_is_found_out(namespace: Namespace) -> None:
    def run() -> None:
        found = look(EngineBridge("docker0", "172.17.0.1"))
        assert found.fault.startswith("the engine runs in another network namespace: its bridge docker0")
        sh("ip link add docker0 type bridge; ip addr add 172.17.0.1/16 dev docker0")
        assert look(EngineBridge("docker0", "172.17.0.1")).fault == ""

    namespace.run(run)


def test_an_agent_without_the_rights_says_so(namespace: Namespace) -> None:
    def run() -> None:
        code = "from agent.runtime.kernel import look, EngineBridge; print(look(EngineBridge()).fault)"
        said = sh(f"setpriv --bounding-set -net_admin --inh-caps -net_admin {sys.executable} -c '{code}'")
        assert "it must run as root, or with CAP_NET_ADMIN" in said

    namespace.run(run)
