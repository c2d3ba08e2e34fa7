"""Entries of the directory in the form of Consul's nodes, services and checks. Pure.

The fields are those of https://developer.hashicorp.com/consul/api-docs/health and /catalog; what has no
meaning here has Consul's zero value, since clients in Go and Java read every field.
"""

from __future__ import annotations

import functools
import uuid
from typing import Any, NamedTuple

from bayplan.directory import EXTERNAL, Directory, Entry, Listing, Standing
from bayplan.surfaces.selecting import full_name, ports_by_name, tags_of

#: The one datacenter, by Consul's default name.
DATACENTER = "dc1"
#: Ids of checks that Consul's agent makes by itself, and their names.
NODE_CHECK, NODE_CHECK_NAME = "serfHealth", "Serf Health Status"
MAINTENANCE_CHECK, MAINTENANCE_NAME = "_service_maintenance", "Service Maintenance Mode"

PASSING, WARNING, CRITICAL = "passing", "warning", "critical"

#: Names become the same ids on every daemon (RFC 4122, 4.3).
_NODE_IDS = uuid.UUID("8f1f3c2e-6c1f-5d0c-9f5e-2b7a3a1f9a10")


class Row(NamedTuple):
    """An entry with its listing, the index at which that changed, and its node, as far as that is known."""

    listing: Listing
    entry: Entry
    at: int
    host: Entry | None = None

    @property
    def name(self) -> str:
        return full_name(self.listing.stack, self.listing.service)

    @property
    def node(self) -> str:
        return self.entry.node or EXTERNAL

    @property
    def id(self) -> str:
        return service_id(self.entry)


class Hosts:
    """The nodes of a directory by name, sorted out once as long as they are the same."""

    def __init__(self) -> None:
        self._listing: Listing | None = None
        self._by_name: dict[str, Entry] = {}

    def of(self, directory: Directory) -> dict[str, Entry]:
        """By name."""
        listing = directory.get("", "")
        if listing is not self._listing:
            found = listing.entries if listing else ()
            self._listing, self._by_name = listing, {each.node: each for each in found}
        return self._by_name

    def rows(self, directory: Directory, listing: Listing) -> list[Row]:
        """The rows of a listing, in its order."""
        index = max(directory.changed_at(listing.stack, listing.service), 1)
        hosts = self.of(directory)
        return [Row(listing, entry, index, hosts.get(entry.node)) for entry in listing.entries]


def entry_id(own: str, node: str) -> str:
    """The id in the directory of what has an id that is unique on its node only."""
    return f"{own}@{node}" if node else own


def service_id(entry: Entry) -> str:
    """The id that it was registered by; a task's own."""
    return entry.id.removesuffix(f"@{entry.node}") if entry.node else entry.id


@functools.lru_cache(maxsize=10_000)
def node_id(name: str) -> str:
    """A node's id, in the form that Consul's have."""
    return str(uuid.uuid5(_NODE_IDS, name))


def node(host: Entry, index: int) -> dict[str, Any]:
    """A node, as `/catalog/nodes` and `/health/service` have it."""
    return {
        "ID": node_id(host.node),
        "Node": host.node,
        "Address": host.address,
        "Datacenter": DATACENTER,
        "TaggedAddresses": {"lan": host.address, "wan": host.address},
        "Meta": node_meta(host),
        "CreateIndex": index,
        "ModifyIndex": index,
    }


def host_of(row: Row) -> Entry:
    """The node of a row; who registered from elsewhere is its own."""
    return row.host or Entry(id="", node=row.node, address=row.entry.address, zone=row.entry.zone)


def node_meta(host: Entry) -> dict[str, str]:
    """A node's labels, and its zone."""
    return host.meta | ({"zone": host.zone} if host.zone else {})


def service(row: Row) -> dict[str, Any]:
    """An instance, as `/health/service` has it."""
    entry = row.entry
    return {
        "ID": row.id,
        "Service": row.name,
        "Tags": tags_of(row.listing, entry),
        "Address": entry.address,
        "TaggedAddresses": {},
        "Meta": _meta(row),
        "Port": entry.port,
        "Weights": {"Passing": max(entry.weight, 1), "Warning": 1},
        "EnableTagOverride": False,
        "Proxy": {"Mode": "", "MeshGateway": {}, "Expose": {}},
        "Connect": {},
        "PeerName": "",
        "CreateIndex": row.at,
        "ModifyIndex": row.at,
    }


def catalog(row: Row) -> dict[str, Any]:
    """An instance, as `/catalog/service` has it."""
    of_node, of_service = node(host_of(row), row.at), service(row)
    renamed = ("ID", "Address", "Tags", "Meta", "Port", "Weights", "EnableTagOverride", "TaggedAddresses")
    return {
        **of_node,
        "NodeMeta": of_node["Meta"],
        "ServiceKind": "",
        "ServiceName": row.name,
        **{f"Service{field}": of_service[field] for field in (*renamed, "Proxy", "Connect")},
    }


def _meta(row: Row) -> dict[str, str]:
    """Its own, its named ports (Consul knows one port only), and for a task what bayplan knows of it."""
    entry = row.entry
    facts = {f"port_{name}": str(port) for name, port in ports_by_name(entry).items()}
    if entry.slot:
        facts |= {"stack": row.listing.stack, "slot": str(entry.slot), "version": str(entry.version)}
    return entry.meta | {f"bayplan_{name}": value for name, value in facts.items()}


def status(row: Row) -> str:
    """The worst of a row's checks, maintenance aside. What many fail at once counts as passing while the
    listing is protected; a ready one with a reason is one whose own check warns."""
    match row.entry.standing:
        case Standing.STARTING:
            return CRITICAL
        case Standing.UNHEALTHY:
            return PASSING if row.listing.protected and row.entry.fails_check else CRITICAL
        case Standing.READY:
            return WARNING if row.entry.reason else PASSING
    return PASSING


def passing(row: Row) -> bool:
    """Whether `?passing` shows it."""
    return status(row) == PASSING and not _maintained(row.entry)


def _maintained(entry: Entry) -> bool:
    return entry.standing is Standing.DRAINING or not entry.weight


def checks(row: Row) -> list[dict[str, Any]]:
    """The checks of an instance: its node's, its own, and one while nobody new is sent to it."""
    found = [node_check(row.host, row.at)] if row.host else []
    return found + service_checks(row)


def service_checks(row: Row) -> list[dict[str, Any]]:
    """The checks of an instance, without its node's."""
    entry, name = row.entry, row.name
    of_service = {"ServiceID": row.id, "ServiceName": name, "ServiceTags": tags_of(row.listing, entry)}
    of_service["Type"] = "" if entry.slot else "ttl"
    said = _Said(f"service:{row.id}", f"Service '{name}' check", status(row), entry.output or entry.reason)
    found = [_check(row.node, said, row.at) | of_service]
    if _maintained(entry):
        why = entry.reason if entry.weight else "its weight is 0"
        said = _Said(f"{MAINTENANCE_CHECK}:{row.id}", MAINTENANCE_NAME, CRITICAL, why)
        found.append(_check(row.node, said, row.at) | of_service)
    return found


def node_check(host: Entry, index: int) -> dict[str, Any]:
    """The check of a node. A suspect one passes: what runs there is still given."""
    state = PASSING if host.standing.given else CRITICAL
    said = _Said(NODE_CHECK, NODE_CHECK_NAME, state, host.reason or "Agent alive and reachable")
    return _check(host.node, said, index)


class _Said(NamedTuple):
    """What a check says."""

    id: str
    name: str
    status: str
    output: str


def _check(node_name: str, said: _Said, index: int) -> dict[str, Any]:
    return {
        "Node": node_name,
        "CheckID": said.id,
        "Name": said.name,
        "Status": said.status,
        "Notes": "",
        "Output": said.output,
        "ServiceID": "",
        "ServiceName": "",
        "ServiceTags": (),
        "Type": "",
        "Interval": "",
        "Timeout": "",
        "ExposedPort": 0,
        "Definition": {},
        "CreateIndex": index,
        "ModifyIndex": index,
    }
