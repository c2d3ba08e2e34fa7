"""The keys of networks and volumes: at the top of a file, and what a service says about its networks."""

from __future__ import annotations

import msgspec

from bayplan.compose import decoders as read
from bayplan.compose import own_keys, typed
from bayplan.compose.fields import (
    Decoder,
    Field,
    Keys,
    Placed,
    Typed,
    each,
    flag,
    labels,
    struct,
    text,
    via,
    warned,
    whole,
    yes,
)
from bayplan.compose.names import parse_alias
from bayplan.compose.nodes import is_null
from bayplan.compose.report import shown
from bayplan.model import IpamPool
from bayplan.model.container import SPANNING_DRIVERS

#: What a field of 32 bits with a sign holds.
_priority = whole(-(2**31), 2**31 - 1)

#: The options of a bridge, which each node's part of a network is.
_BRIDGE_OPTIONS = "com.docker.network."
#: Docker's option of an overlay, and its words for yes.
_ENCRYPTED, _TRUE = "encrypted", ("", "1", "t", "true")
_SPANNING = (*SPANNING_DRIVERS, "bridge")
_NODE_SCOPE = "write `x-bayplan: {scope: node}`"


class _Pool(Typed, frozen=True, kw_only=True):
    subnet: str = ""
    gateway: str = ""
    ip_range: str = ""
    aux_addresses: dict[str, str] = {}


POOL: Keys = {
    "subnet": yes(read.subnet),
    "gateway": yes(read.address()),
    "ip_range": yes(read.subnet),
    "aux_addresses": yes(labels),
}
_POOL = struct(_Pool, POOL, "a pool of addresses")


def _pool(field: Field) -> IpamPool:
    pool = _POOL(field)
    return IpamPool(
        subnet=pool.subnet, gateway=pool.gateway, ip_range=pool.ip_range, aux_addresses=pool.aux_addresses
    )


def _with_ipv4(field: Field) -> bool:
    if not flag(field):
        raise field.refuse("false is not supported", hint="every network has IPv4 addresses: remove the key")
    return True


def _aliases(field: Field) -> tuple[str, ...]:
    """Names; an empty one is a variable that is not set."""
    return tuple(name for name in each(_alias)(field) if name)


def _alias(field: Field) -> str:
    return via(parse_alias)(field) if text(field) else ""


IPAM: Keys = {
    "driver": yes(text),
    "config": yes(each(_pool)),
    "options": yes(labels),
}
NETWORK: Keys = {
    "name": yes(text, "the engine's name of it, instead of `<stack>_<key>`"),
    "driver": yes(
        text,
        "none, `bridge` and `overlay` are one network over all nodes; others, such as `macvlan`, are the "
        "engine's on each node; `host` and `none` become the mode of their services",
    ),
    "driver_opts": yes(labels, "those of a bridge, and `encrypted`; of other drivers the engine's"),
    "external": yes(read.external, "made by `bayplan network create`, or else it must be there on the nodes"),
    "internal": yes(flag),
    "attachable": yes(flag),
    "enable_ipv4": yes(_with_ipv4, "`true` only"),
    "enable_ipv6": yes(flag, "where each node has one of its own; else a warning"),
    "ipam": yes(struct(typed.Ipam, IPAM, "ipam")),
    "labels": yes(labels),
    "x-bayplan": yes(
        struct(typed.Span, own_keys.SPAN, "x-bayplan of a network"), "what Compose has no word for"
    ),
}
VOLUME: Keys = {
    "name": yes(read.templated, "the engine's name of it, instead of `<stack>_<key>`"),
    "driver": yes(text),
    "driver_opts": yes(labels),
    "external": yes(read.external, "it must be there on the nodes"),
    "labels": yes(labels),
}
ATTACHMENT: Keys = {
    "aliases": yes(_aliases),
    "ipv4_address": yes(read.address((4,))),
    "ipv6_address": yes(read.address((6,))),
    "link_local_ips": yes(each(read.address())),
    "mac_address": yes(read.mac_address),
    "priority": yes(_priority),
    "gw_priority": yes(_priority),
    "driver_opts": yes(labels),
    "interface_name": warned(text, "is not set: the engine names the interface"),
}

_NETWORK = struct(typed.Network, NETWORK, "a network")


def network(field: Field) -> typed.Network:
    """A network of the file. Each use is told what one over all nodes has no use for."""
    found = typed.Network() if is_null(field.node) else _NETWORK(field)
    _check_external(field, found.external, found.places)
    if found.external is not None or found.driver not in _SPANNING or found.bayplan.scope:
        return found
    return _over_all_nodes(field, found)


def _over_all_nodes(field: Field, found: typed.Network) -> typed.Network:
    """With `encrypted` read from Docker's option, and without options that only Swarm has."""
    options = dict(found.driver_opts)
    encrypted = found.bayplan.encrypted or options.pop(_ENCRYPTED, "false").lower() in _TRUE
    lost = [name for name in options if not name.startswith(_BRIDGE_OPTIONS)]
    if lost:
        field.warn(f"is over all nodes, where the option {', '.join(lost)} has no meaning")
    subnets = [pool.subnet for pool in found.ipam.config]
    if found.enable_ipv6 or any(":" in subnet for subnet in subnets):
        field.warn(f"has IPv4 addresses only: {_NODE_SCOPE}, if it needs IPv6")
    if sum("." in subnet for subnet in subnets) > 1:
        hint = f"give it one subnet of IPv4, or {_NODE_SCOPE}"
        field.report.add(field.refuse("is over all nodes and has several subnets of IPv4", hint=hint))
    if found.ipam.driver not in ("", "default"):
        what = f"is over all nodes and has the address driver {shown(found.ipam.driver)}"
        field.report.add(field.refuse(what, hint=f"remove the driver, or {_NODE_SCOPE}"))
    kept = {name: value for name, value in options.items() if name not in lost}
    own = msgspec.structs.replace(found.bayplan, encrypted=encrypted)
    return msgspec.structs.replace(found, driver="", driver_opts=kept, bayplan=own)


_VOLUME = struct(typed.Volume, VOLUME, "a volume")


def volume(field: Field) -> typed.Volume:
    """A volume of the file."""
    found = typed.Volume() if is_null(field.node) else _VOLUME(field)
    _check_external(field, found.external, found.places)
    return found


def _check_external(field: Field, external: str | None, places: dict[str, str]) -> None:
    """What is made elsewhere is not described here."""
    described = [name for name in places if name not in ("external", "name")]
    if external is not None and described:
        hint = f"remove {', '.join(described)}, or remove external"
        raise field.refuse(f"is external and has {', '.join(described)} too", hint=hint)


#: A service's `networks`: names, or a mapping to what it says about each.
attachments: Decoder[dict[str, Placed[typed.Attachment]]] = read.names_or_map(
    struct(typed.Attachment, ATTACHMENT, "a service's network"), typed.Attachment()
)
