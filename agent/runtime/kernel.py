"""What this machine's kernel can do for networks that span nodes, found out by trying it. Nothing is left.

Synchronous, for a thread.
"""

from __future__ import annotations

import errno
import os
import subprocess
from contextlib import suppress
from typing import Any, NamedTuple

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from agent.labels import BRIDGE_PREFIX
from agent.runtime import wireguard
from agent.runtime.links import LinkError, open_links
from agent.runtime.nft import Nft, NftError
from agent.runtime.overlay import BRIDGE_SWITCH

#: Modules that may have to be loaded first; where they are built in there is nothing to load.
_MODULES = ("br_netfilter", "vxlan", "wireguard")
MODPROBE_DEADLINE_S = 10.0
#: Routes that are told.
ROUTES_MAX = 100
#: A segment and a port that no network of ours has.
_TRIED_VNI, _TRIED_PORT = 1, 4790
_TRIED_RULES = """
table {family} bayplan-try {{
 chain c {{
  type filter hook {hook} priority 0;
 }}
}}
delete table {family} bayplan-try
"""


class KernelAbility(NamedTuple):
    """`fault`: why this node can take no part in networks that span nodes, `tunnel_fault`: in those that are
    encrypted; empty: it can. `routes`: the networks that this host reaches by itself, in CIDR form."""

    fault: str = ""
    tunnel_fault: str = ""
    routes: tuple[str, ...] = ()


class EngineBridge(NamedTuple):
    """The engine's default bridge, by which its network namespace is known; an empty name: it has none."""

    name: str = ""
    address: str = ""


def look(engine_bridge: EngineBridge) -> KernelAbility:
    """Try it."""
    _load_modules()
    try:
        with open_links() as links:
            routes = tuple(map(str, links.routes(BRIDGE_PREFIX)[:ROUTES_MAX]))
        with IPRoute() as kernel:
            fault = _other_namespace(kernel, engine_bridge) or _bridge_fault(kernel) or _rules_fault()
            return KernelAbility(fault, wireguard.fault(), routes)
    except (LinkError, NetlinkError, OSError) as error:
        return KernelAbility(f"this node's links cannot be changed: {error}")


def _load_modules() -> None:
    """Without the rights or the tool they stay as they are, and the trial tells."""
    if os.geteuid() == 0:
        with suppress(OSError, subprocess.SubprocessError):
            command = ["modprobe", "--all", "--quiet", *_MODULES]
            subprocess.run(command, check=False, capture_output=True, timeout=MODPROBE_DEADLINE_S)


def _other_namespace(kernel: Any, bridge: EngineBridge) -> str:
    """Bridges of an engine elsewhere are out of the agent's reach."""
    if not bridge.name:
        return ""
    indexes = kernel.link_lookup(ifname=bridge.name)
    has = {each.get("address") for index in indexes for each in kernel.get_addr(index=index)}
    if indexes and (not bridge.address or bridge.address in has):
        return ""
    return f"the engine runs in another network namespace: its bridge {bridge.name} is not to be seen here"


def _bridge_fault(kernel: Any) -> str:
    """A bridge with a VXLAN device as its port, made and taken away."""
    suffix = os.urandom(4).hex()
    names = f"bpt-{suffix}", f"bxt-{suffix}"
    try:
        kernel.link("add", ifname=names[0], kind="bridge")
        bridge = kernel.link_lookup(ifname=names[0])[0]
        made_of = {"vxlan_id": _TRIED_VNI, "vxlan_local": "127.0.0.1", "vxlan_port": _TRIED_PORT}
        kernel.link("add", ifname=names[1], kind="vxlan", **made_of)
        kernel.link("set", index=kernel.link_lookup(ifname=names[1])[0], master=bridge)
    except NetlinkError as error:
        return _refused(error)
    finally:
        for name in reversed(names):
            for index in kernel.link_lookup(ifname=name):
                kernel.link("del", index=index)
    if not BRIDGE_SWITCH.exists():
        return "the kernel has no br_netfilter: `modprobe br_netfilter`, and name it in /etc/modules-load.d"
    return ""


def _refused(error: NetlinkError) -> str:
    if error.code == errno.EPERM:
        return "the agent may not make links: it must run as root, or with CAP_NET_ADMIN"
    if error.code == errno.EOPNOTSUPP:
        return "the kernel has no VXLAN: `modprobe vxlan`, and name it in /etc/modules-load.d"
    return f"the kernel makes no VXLAN device on a bridge: {error.args[-1]}"


def _rules_fault() -> str:
    tried = (("inet", "prerouting"), ("bridge", "forward"))
    try:
        nft = Nft()
        try:
            for family, hook in tried:
                nft.run(_TRIED_RULES.format(family=family, hook=hook))
        finally:
            nft.close()
    except NftError as error:
        return f"nftables cannot be used: {error}" + (f" ({error.hint})" if error.hint else "")
    return ""
