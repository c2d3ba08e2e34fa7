"""The keys of networks and volumes: at the top of a file, and what a service says about its networks."""

from __future__ import annotations

import msgspec

from bayplan.compose import decoders as read
from bayplan.compose import typed
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
from bayplan.model import IpamPool

#: What a field of 32 bits with a sign holds.
_priority = whole(-(2**31), 2**31 - 1)

_BRIDGE_OPTIONS = "com.docker.network."


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
        "`overlay` becomes a bridge on each node; `host` and `none` become the mode of their services",
    ),
    "driver_opts": yes(labels, "of an `overlay` those of a bridge only, with a warning"),
    "external": yes(read.external, "it must be there on the nodes"),
    "internal": yes(flag),
    "attachable": yes(flag),
    "enable_ipv4": yes(_with_ipv4, "`true` only"),
    "enable_ipv6": yes(flag),
    "ipam": yes(struct(typed.Ipam, IPAM, "ipam")),
    "labels": yes(labels),
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
    """A network of the file. An overlay becomes a bridge: each use is told so, and which options are lost."""
    found = typed.Network() if is_null(field.node) else _NETWORK(field)
    _check_external(field, found.external, found.places)
    if found.driver != "overlay":
        return found
    field.warn("is a bridge on each node: tasks of different nodes reach each other by published ports")
    lost = [name for name in found.driver_opts if not name.startswith(_BRIDGE_OPTIONS)]
    if lost:
        field.warn(f"is a bridge, which has no option {', '.join(lost)}")
    kept = {name: value for name, value in found.driver_opts.items() if name not in lost}
    return msgspec.structs.replace(found, driver="", driver_opts=kept)


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
