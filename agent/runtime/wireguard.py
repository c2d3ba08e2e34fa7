"""The tunnel through which all goes that is to be encrypted: one WireGuard device a node, by the kernel's
module, or where that is missing by `wireguard-go`. Within it each node has an address made of its own.

Both are told by `wg`, the one program that speaks to either; pyroute2 knows the module only. Synchronous,
for a thread. Raises LinkError.
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from ipaddress import IPv4Address, IPv6Address, IPv6Network
from pathlib import Path
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from agent.labels import secure_alias, secure_name
from agent.runtime.links import Link, LinkError, open_links

#: WireGuard's usual port (UDP), and what it takes of a packet over IPv4.
WIREGUARD_PORT = 51820
WIREGUARD_BYTES = 60
#: Each end says something so often, in seconds, and at once when it hears of another: the handshake of who
#: spoke first may have come when nobody knew him yet, and his next would be 5 s later (REKEY_TIMEOUT of
#: https://www.wireguard.com/papers/wireguard.pdf, 6.1).
KEEPALIVE_S = 25
#: Addresses within the tunnels: "bayplan", and a node's IPv4 address.
INNER = IPv6Network("fd62:6179:706c:616e::/96")
COMMAND_DEADLINE_S = 5.0
_TUN = Path("/dev/net/tun")
_TOOLS = "`apt-get install wireguard-tools`"


def inner(address: str) -> str:
    """A node's address within the tunnels; `address`: the one under which others reach it (IPv4)."""
    return str(IPv6Address(int(INNER.network_address) | int(IPv4Address(address))))


class SecureLink:
    """The device of one node's agent. `private`: gives the key in use, as WireGuard writes it."""

    def __init__(self, node_id: str, private: Callable[[], str]) -> None:
        self.name, self._alias = secure_name(node_id), secure_alias(node_id)
        self._private = private

    def keep(self, address: str, mtu: int, peers: Mapping[str, str]) -> None:
        """Have it there; `mtu` is that of the link below it, `peers` are public keys by address. Sessions
        with peers that stay go on."""
        link = self._link() or self._make()
        self._configure(peers)
        with open_links() as links:
            links.keep_routed(link, mtu - WIREGUARD_BYTES, inner(address), str(INNER))

    def renew_key(self) -> None:
        """Use the key that is in use now, if the device is there."""
        if self._link() is not None:
            _wg("set", self.name, "private-key", "/dev/stdin", given=self._private())

    def remove(self) -> None:
        """Take it away, with what makes it."""
        link = self._link()
        if link is not None:
            with open_links() as links:
                links.remove(link)

    def _link(self) -> Link | None:
        with open_links() as links:
            return links.own(self.name, self._alias)

    def _make(self) -> Link:
        make(self.name)
        with open_links() as links:
            link = links.all()[self.name]
            links.mark(link, self._alias)
            return link._replace(alias=self._alias)

    def _configure(self, peers: Mapping[str, str]) -> None:
        lines = ["[Interface]", f"PrivateKey = {self._private()}", f"ListenPort = {WIREGUARD_PORT}"]
        for address, key in sorted(peers.items()):
            lines += ["[Peer]", f"PublicKey = {key}", f"AllowedIPs = {inner(address)}/128"]
            lines += [f"Endpoint = {address}:{WIREGUARD_PORT}", f"PersistentKeepalive = {KEEPALIVE_S}"]
        _wg("syncconf", self.name, "/dev/stdin", given="\n".join(lines) + "\n")


def fault() -> str:
    """Why this node can encrypt nothing; empty: it can. Found out by trying it."""
    if not shutil.which("wg"):
        return f"the program wg is missing: {_TOOLS}"
    name = f"bwt-{os.urandom(4).hex()}"
    try:
        make(name)
        with open_links() as links:
            links.remove(links.all()[name])
    except (LinkError, KeyError) as error:
        return str(error)
    return ""


def make(name: str) -> None:
    """A new device of this name, by the module or the program."""
    with IPRoute() as kernel:
        if _made_by_module(kernel, name):
            return
    program = shutil.which("wireguard-go")
    if program is None or not _TUN.exists():
        raise LinkError(
            "the kernel has no WireGuard: `modprobe wireguard`, and name it in /etc/modules-load.d; "
            f"or, slower, install wireguard-go where there is {_TUN}"
        )
    # It goes on by itself once the device is there, and ends with it.
    _run([program, name], given=None)


def _made_by_module(kernel: Any, name: str) -> bool:
    try:
        kernel.link("add", ifname=name, kind="wireguard")
    except NetlinkError as error:
        if error.code != errno.EOPNOTSUPP:
            raise LinkError(f"the WireGuard device {name} cannot be made: {error.args[-1]}") from error
        return False
    return True


def _wg(*words: str, given: str) -> None:
    program = shutil.which("wg")
    if program is None:
        raise LinkError(f"the program wg is missing: {_TOOLS}")
    _run([program, *words], given)


def _run(command: list[str], given: str | None) -> None:
    """Its output is left alone where it goes on by itself: nobody would see the end of it."""
    told = subprocess.DEVNULL if given is None else subprocess.PIPE
    try:
        subprocess.run(
            command,
            input=given,
            stdin=subprocess.DEVNULL if given is None else None,
            stdout=subprocess.DEVNULL,
            stderr=told,
            text=True,
            check=True,
            timeout=COMMAND_DEADLINE_S,
        )
    except subprocess.CalledProcessError as error:
        words = (error.stderr or "").strip() or f"it ended with {error.returncode}"
        raise LinkError(f"{Path(command[0]).name} refused: {words}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LinkError(f"{Path(command[0]).name} cannot be run: {error}") from error
