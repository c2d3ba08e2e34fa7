"""What the data plane needs of the bridges of networks over several nodes: virtual addresses and hairpins.

It changes what differs, and only single addresses (/32): a bridge's own address is its subnet's gateway.
Synchronous, for a thread; it knows no services.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping, Set
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

#: A virtual address is single.
_SINGLE = 32
#: VXLAN devices and others that are no container's.
_CONTAINER_KIND = "veth"


class BridgeError(Exception):
    """The kernel refused an address or a port's flag, in its words."""


class Bridges:
    """The bridges of this network namespace."""

    def drop(self, wanted: Mapping[str, Set[str]]) -> None:
        """Take virtual addresses away that bridges shall not have any more: those in `wanted`, by name.
        Raises BridgeError."""
        self._change(wanted, add=False)

    def keep(self, wanted: Mapping[str, Set[str]]) -> None:
        """Give bridges the virtual addresses that they lack, and let their containers reach themselves
        through them. Raises BridgeError."""
        self._change(wanted, add=True)

    def _change(self, wanted: Mapping[str, Set[str]], *, add: bool) -> None:
        if not wanted:
            return
        try:
            with IPRoute() as kernel:
                indexes = _indexes(kernel, wanted)
                for name, index in indexes.items():
                    _change_addresses(kernel, index, wanted[name], add=add)
                if add:
                    _set_hairpins(kernel, set(indexes.values()))
        except (NetlinkError, OSError) as error:
            raise BridgeError(str(error)) from error


def _indexes(kernel: Any, names: Mapping[str, object]) -> dict[str, int]:
    """Those of the bridges that are there."""
    found = {name: kernel.link_lookup(ifname=name) for name in sorted(names)}
    return {name: indexes[0] for name, indexes in found.items() if indexes}


def _change_addresses(kernel: Any, index: int, wanted: Set[str], *, add: bool) -> None:
    has = {
        each.get("address")
        for each in kernel.get_addr(family=socket.AF_INET, index=index)
        if each["prefixlen"] == _SINGLE
    }
    verb, changed = ("add", wanted - has) if add else ("del", has - wanted)
    for address in sorted(changed):
        kernel.addr(verb, index=index, address=address, prefixlen=_SINGLE)


def _set_hairpins(kernel: Any, bridges: Set[int]) -> None:
    """A frame may leave by the port that it came from: who is behind a virtual address may call it, too."""
    for link in kernel.get_links():
        info = link.get("linkinfo") or {}
        if link.get("master") not in bridges or info.get("kind") != _CONTAINER_KIND:
            continue
        flags = info.get("slave_data") or {}
        if not flags.get("mode"):
            kernel.brport("set", index=link["index"], mode=1)
