"""Links of this network namespace by netlink: VXLAN devices with their peers, bridges, addresses, routes.

Synchronous, for a thread. It changes what differs and nothing else; ours are known by their alias, and a
link of someone else's is never touched. Raises LinkError.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Network
from typing import Any, NamedTuple

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

#: The port of VXLAN (RFC 7348, 5), and what its headers take of a packet over IPv4.
VXLAN_PORT = 4789
VXLAN_BYTES = 50
#: The same over IPv6.
VXLAN_BYTES_IPV6 = 70
#: Where a frame goes of whose receiver nothing has been learnt: to each peer that has such an entry.
_EVERYBODY = "00:00:00:00:00:00"
_MAIN_TABLE = 254
#: IFF_UP (netdevice(7)).
_UP = 1


class LinkError(Exception):
    """What the kernel refused, or what is in the way, for people."""


class Link(NamedTuple):
    """A link as the kernel has it. `alias` is what its maker wrote on it; `vxlan` what a VXLAN device is made
    of: its segment, its own address and its port."""

    number: int
    name: str
    kind: str
    alias: str
    mtu: int
    master: int
    up: bool
    vxlan: tuple[Any, ...] = ()


class Tunnel(NamedTuple):
    """A VXLAN device as it shall be: a port of `bridge`, between `local` and the peers (all of IPv4, or of
    IPv6)."""

    name: str
    alias: str
    vni: int
    local: str
    bridge: str
    mtu: int
    peers: frozenset[str]


class Links:
    """The kernel's links, as long as this is open."""

    def __init__(self, kernel: Any) -> None:
        self._kernel = kernel

    def all(self) -> dict[str, Link]:
        """All links by name."""
        with _told("links cannot be listed"):
            return {link.name: link for link in map(_link, self._kernel.get_links())}

    def own(self, name: str, alias: str) -> Link | None:
        """The link of this name, None if there is none. Raises LinkError for one without the alias: it is
        someone else's."""
        link = self.all().get(name)
        if link is not None and link.alias != alias:
            raise LinkError(
                f"a link {name} that is not bayplan's is in the way: "
                f"see `ip -d link show {name}`, and rename or remove it"
            )
        return link

    def mark(self, link: Link, alias: str) -> None:
        """Write an alias on a link that has none."""
        if link.alias != alias:
            with _told(f"{link.name} cannot be marked"):
                self._kernel.link("set", index=link.number, ifalias=alias)

    def keep_tunnel(self, tunnel: Tunnel) -> None:
        """Have the device there, and its peers be these."""
        with _told(f"the VXLAN device {tunnel.name} cannot be made"):
            link = self._device(tunnel)
            self._keep_peers(link.number, tunnel.peers)

    def keep_routed(self, link: Link, mtu: int, address: str, network: str) -> None:
        """Have a link up, with this address of IPv6 and the way to this network."""
        with _told(f"{link.name} cannot be set up"):
            if not link.up or link.mtu != mtu:
                self._kernel.link("set", index=link.number, mtu=mtu, state="up")
            self._kernel.addr(
                "replace", index=link.number, address=address, prefixlen=128, family=socket.AF_INET6
            )
            self._kernel.route("replace", dst=network, oif=link.number, family=socket.AF_INET6)

    def remove(self, link: Link) -> None:
        """Take a link away; one that is gone is away already."""
        with _told(f"{link.name} cannot be removed"):
            try:
                self._kernel.link("del", index=link.number)
            except NetlinkError as error:
                if error.code != errno.ENODEV:
                    raise

    def mtu_at(self, address: str) -> int:
        """The MTU of the link that has this address."""
        with _told("addresses cannot be listed"):
            indexes = {each["index"] for each in self._kernel.get_addr(address=address)}
            found = [link.mtu for link in self.all().values() if link.number in indexes]
        if not found:
            raise LinkError(
                f"no link of this host has the node's address {address}: "
                "join with --advertise-addr and an address that others reach"
            )
        return found[0]

    def routes(self, ours: str) -> list[IPv4Network]:
        """The networks that this host reaches by itself, but for those on links whose names begin with
        `ours`, and the default route."""
        with _told("routes cannot be listed"):
            names = {link.number: link.name for link in self.all().values()}
            listed = list(self._kernel.get_routes(family=socket.AF_INET, table=_MAIN_TABLE))
        found = {
            IPv4Network((route.get("dst"), route["dst_len"]))
            for route in listed
            if route["dst_len"] and not names.get(route.get("oif"), "").startswith(ours)
        }
        return sorted(found)

    def _device(self, tunnel: Tunnel) -> Link:
        """Cases: it is right; someone else's; of another make, and made anew; it is not there."""
        bridge = self.all().get(tunnel.bridge)
        if bridge is None:
            raise LinkError(f"there is no bridge {tunnel.bridge} in this network namespace")
        link = self.own(tunnel.name, tunnel.alias)
        made_of = (tunnel.vni, tunnel.local, VXLAN_PORT)
        if link is not None and link.vxlan != made_of:
            self.remove(link)
            link = None
        if link is None:
            self._make(tunnel)
            link = self.all()[tunnel.name]
        wanted = {"mtu": tunnel.mtu, "master": bridge.number}
        if (link.mtu, link.master) != (tunnel.mtu, bridge.number) or not link.up:
            self._kernel.link("set", index=link.number, state="up", **wanted)
        return link

    def _make(self, tunnel: Tunnel) -> None:
        self._kernel.link(
            "add",
            ifname=tunnel.name,
            kind="vxlan",
            vxlan_id=tunnel.vni,
            **{"vxlan_local6" if ":" in tunnel.local else "vxlan_local": tunnel.local},
            vxlan_port=VXLAN_PORT,
            vxlan_learning=1,
        )
        index = self._kernel.link_lookup(ifname=tunnel.name)[0]
        self._kernel.link("set", index=index, ifalias=tunnel.alias)

    def _keep_peers(self, index: int, peers: frozenset[str]) -> None:
        """Entries for everybody's frames are those of the peers; what was learnt of others is forgotten."""
        entries = [
            (each.get("lladdr"), each.get("dst"))
            for each in self._kernel.fdb("dump", ifindex=index)
            if each["ifindex"] == index and each.get("dst")
        ]
        there = {peer for lladdr, peer in entries if lladdr == _EVERYBODY}
        for peer in sorted(peers - there):
            self._kernel.fdb("append", ifindex=index, lladdr=_EVERYBODY, dst=peer)
        for lladdr, peer in entries:
            if peer not in peers:
                self._forget(index, lladdr, peer)

    def _forget(self, index: int, lladdr: str, peer: str) -> None:
        try:
            self._kernel.fdb("del", ifindex=index, lladdr=lladdr, dst=peer)
        except NetlinkError as error:
            if error.code != errno.ENOENT:  # what was learnt may have aged meanwhile
                raise


@contextmanager
def open_links() -> Iterator[Links]:
    """A way to the kernel's links. Raises LinkError."""
    with _told("the kernel's links cannot be reached"):
        kernel = IPRoute()
    try:
        yield Links(kernel)
    finally:
        kernel.close()


@contextmanager
def _told(what: str) -> Iterator[None]:
    """The kernel's refusals as LinkErrors."""
    try:
        yield
    except NetlinkError as error:
        raise LinkError(f"{what}: {_words(error)}") from error
    except OSError as error:
        raise LinkError(f"{what}: {error.strerror or error}") from error


def _words(error: NetlinkError) -> str:
    hints = {
        errno.EPERM: "the agent must run as root, or with CAP_NET_ADMIN",
        errno.EOPNOTSUPP: "this kernel cannot",
        errno.EEXIST: "another one of the same segment is there (`ip -d link show type vxlan`)",
    }
    return hints.get(error.code, str(error.args[-1]))


def _link(shown: Any) -> Link:
    info = shown.get("linkinfo") or {}
    kind = info.get("kind") or ""
    data = (info.get("data") or {}) if kind == "vxlan" else {}
    local = data.get("vxlan_local") or data.get("vxlan_local6")
    return Link(
        number=shown["index"],
        name=shown.get("ifname"),
        kind=kind,
        alias=shown.get("ifalias") or "",
        mtu=shown.get("mtu") or 0,
        master=shown.get("master") or 0,
        up=bool(shown["flags"] & _UP),
        vxlan=(data.get("vxlan_id"), local, data.get("vxlan_port")) if data else (),
    )
