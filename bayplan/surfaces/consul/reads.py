"""Consul's reading endpoints, out of the directory; what registered through this daemon (`local`) it shows as
soon as that is known here."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

import bayplan
from bayplan.directory import Entry
from bayplan.errors import Problem, ProblemKind
from bayplan.surfaces.asking import JSON, Answer, Asked, Read, Surface, View, invalid, text_answer
from bayplan.surfaces.consul import rows
from bayplan.surfaces.consul.local import LocalServices
from bayplan.surfaces.consul.rows import DATACENTER, Hosts, Row
from bayplan.surfaces.selecting import OWN_NODE, Selection, full_name, meanings

PREFIXES = ("/v1/agent/", "/v1/catalog/", "/v1/health/", "/v1/status/")
#: Where Consul's servers listen; clients only look whether there is one.
LEADER = "127.0.0.1:8300"
#: What Consul answers while nobody leads: clients try again.
NO_LEADER = "No cluster leader"
#: States of checks that may be asked for.
STATES = ("any", rows.PASSING, rows.WARNING, rows.CRITICAL)
#: Parameters of Consul Enterprise, and the value that means nothing.
ENTERPRISE = {"ns": "default", "partition": "default", "peer": ""}

_STATUS = {ProblemKind.INVALID: 400, ProblemKind.NOT_FOUND: 404, ProblemKind.REFUSED: 403}

Made = Callable[[View], Any]


class ConsulReads:
    """Understands the 14 reading endpoints, and /agent/checks."""

    def __init__(self, local: LocalServices) -> None:
        self._local = local
        self._hosts = Hosts()
        self.surface = Surface(PREFIXES, self.read, refusal)

    def read(self, asked: Asked) -> Read | None:
        """What a request of these paths means. Raises ProblemError (INVALID)."""
        if asked.path[0] != "v1" or f"/v1/{asked.path[1] if len(asked.path) > 1 else ''}/" not in PREFIXES:
            return None
        check_query(asked)
        return self._of_agent(asked) or self._of_catalog(asked) or self._of_health(asked)

    def _of_agent(self, asked: Asked) -> Read | None:
        match asked.path[1:]:
            case ("agent", "self"):
                return Read(_plain(_self, asked), own=True)
            case ("agent", "services"):
                return Read(
                    _plain(lambda view: {row.id: _agent_service(row) for row in self._own(view)}, asked)
                )
            case ("agent", "checks"):
                return Read(_plain(self._own_checks, asked))
            case ("agent", "service", *own) if own:
                return Read(lambda view: self._own_service(view, "/".join(own), asked))
            case ("status", "leader"):
                return Read(_plain(lambda view: "" if view.origin.age_ms else LEADER, asked), own=True)
            case ("status", "peers"):
                return Read(_plain(lambda view: [LEADER], asked), own=True)
        return None

    def _own(self, view: View) -> list[Row]:
        """The instances on the node that answers, and those that registered through it."""
        known = {row.id: row for row in self._all(view) if row.entry.node == view.origin.node}
        for listing in self._local.listings():
            known |= {row.id: row for row in self._hosts.rows(view.directory, listing)}
        return [known[own] for own in sorted(known)]

    def _own_checks(self, view: View) -> dict[str, Any]:
        return {check["CheckID"]: check for row in self._own(view) for check in rows.service_checks(row)}

    def _own_service(self, view: View, own: str, asked: Asked) -> Answer:
        found = next((row for row in self._own(view) if row.id == own), None)
        if found is None:
            return text_answer(f"unknown service ID: {own}", 404, _headers(view, view.directory.index))
        body = _agent_service(found)
        digest = hashlib.blake2b(msgspec.json.encode(body), digest_size=8).hexdigest()
        answer = _answer(view, body | {"ContentHash": digest}, view.directory.index, asked)
        return answer._replace(headers=(*answer.headers, ("X-Consul-ContentHash", digest)))

    def _of_catalog(self, asked: Asked) -> Read | None:
        match asked.path[1:]:
            case ("catalog", "datacenters"):
                return Read(_plain(lambda view: [DATACENTER], asked), own=True)
            case ("catalog", "nodes"):
                return _blocking(asked, lambda view: self._nodes(view, asked))
            case ("catalog", "services"):
                return _blocking(asked, lambda view: self._services(view, asked))
            case ("catalog", "node", name):
                return _blocking(asked, lambda view: self._node(view, name))
            case ("catalog", "service", name):
                return self._of_service(asked, name, lambda found: [rows.catalog(row) for row in found])
        return None

    def _of_health(self, asked: Asked) -> Read | None:
        match asked.path[1:]:
            case ("health", "service", name):
                chosen = rows.passing if asked.flag("passing") else lambda row: True
                return self._of_service(
                    asked, name, lambda found: [_health(row) for row in found if chosen(row)]
                )
            case ("health", "checks", name):
                return self._of_service(
                    asked, name, lambda found: _flat(rows.service_checks(row) for row in found)
                )
            case ("health", "node", name):
                return _blocking(asked, lambda view: self._checks(view, lambda host: host.node == name))
            case ("health", "state", state):
                if state not in STATES:
                    raise invalid(f"Invalid state: {state!r}", f"one of {', '.join(STATES)}")
                wanted = _host_filter(asked)
                return _blocking(
                    asked,
                    lambda view: [
                        each for each in self._checks(view, wanted) if state in ("any", each["Status"])
                    ],
                )
        return None

    def _of_service(self, asked: Asked, name: str, make: Callable[[list[Row]], Any]) -> Read:
        """A read of one service; of one that is not known it is empty."""
        names, wanted, selection = meanings(name), _host_filter(asked), Selection.of(asked, every=True)

        def answer(view: View) -> Answer:
            directory = view.directory
            listing = next((found for each in names if (found := directory.get(*each)) is not None), None)
            if listing is None:
                return _answer(view, make([]), directory.index, asked)
            index, hosts = directory.changed_at(listing.stack, listing.service), self._hosts.of(directory)
            chosen = selection.of_listing(listing, view)
            all_rows = [Row(listing, entry, index, hosts.get(entry.node)) for entry in chosen]
            return _answer(view, make([row for row in all_rows if wanted(rows.host_of(row))]), index, asked)

        return Read(answer, names, asked.number("index"), asked.wait_ms(), kept=True, nodes=True)

    def _nodes(self, view: View, asked: Asked) -> list[dict[str, Any]]:
        near, wanted = asked.first("near"), _host_filter(asked)
        name = view.origin.node if near == OWN_NODE else near
        found = [host for host in self._all_hosts(view).values() if wanted(host)]
        found.sort(key=lambda host: (bool(name) and host.node != name, host.node))
        return [rows.node(host, _index(view)) for host in found]

    def _services(self, view: View, asked: Asked) -> dict[str, list[str]]:
        wanted, narrowed = _host_filter(asked), "node-meta" in asked.query
        found: dict[str, list[str]] = {}
        for listing in view.directory:
            chosen = self._hosts.rows(view.directory, listing)
            if narrowed:
                chosen = [row for row in chosen if wanted(rows.host_of(row))]
            if chosen or not narrowed:
                name = full_name(listing.stack, listing.service)
                tags = _flat([found.get(name, ()), listing.tags, *[row.entry.tags for row in chosen]])
                found[name] = list(dict.fromkeys(tags))
        return found

    def _node(self, view: View, name: str) -> dict[str, Any] | None:
        host = self._all_hosts(view).get(name)
        if host is None:
            return None
        there = [row for row in self._all(view) if row.node == name]
        return {
            "Node": rows.node(host, _index(view)),
            "Services": {row.id: rows.service(row) for row in there},
        }

    def _checks(self, view: View, wanted: Callable[[Entry], bool]) -> list[dict[str, Any]]:
        """The checks of the nodes that are wanted, and of what runs there."""
        hosts = [host for host in self._hosts.of(view.directory).values() if wanted(host)]
        of_services = [rows.service_checks(row) for row in self._all(view) if wanted(rows.host_of(row))]
        return [*[rows.node_check(host, _index(view)) for host in hosts], *_flat(of_services)]

    def _all(self, view: View) -> list[Row]:
        return _flat(self._hosts.rows(view.directory, listing) for listing in view.directory)

    def _all_hosts(self, view: View) -> dict[str, Entry]:
        """The nodes by name, and those that only registrations name."""
        known = self._hosts.of(view.directory)
        others = {row.node: rows.host_of(row) for row in self._all(view) if row.node not in known}
        return known | others


def check_query(asked: Asked) -> None:
    """Raises ProblemError (INVALID) for parameters whose meaning would be lost."""
    if asked.first("filter"):
        hint = "choose by ?passing, ?tag=, ?node-meta= and ?near=, or among the answer's entries"
        raise invalid("?filter= expressions are not supported", hint)
    for name, nothing in ENTERPRISE.items():
        if asked.first(name) not in ("", nothing):
            raise invalid(f'Invalid query parameter: "{name}" - it belongs to Consul Enterprise')
    if asked.first("dc") not in ("", DATACENTER):
        raise invalid(f"No path to datacenter: there is only {DATACENTER}")
    if "stale" in asked.query and "consistent" in asked.query:
        raise invalid("Cannot specify ?stale with ?consistent, conflicting semantics.")


def refusal(problem: Problem, view: View) -> Answer:
    """Why there is no answer, in plain text, as Consul has it."""
    status = _STATUS.get(problem.kind, 500)
    text = problem.summary + (f" ({problem.hint})" if problem.hint else "")
    if problem.kind is ProblemKind.UNREACHABLE:
        text = NO_LEADER
    return text_answer(text, status, _headers(view, view.directory.index))


def _blocking(asked: Asked, make: Made) -> Read:
    """A read that speaks of everything."""
    index, wait_ms = asked.number("index"), asked.wait_ms()
    return Read(lambda view: _answer(view, make(view), view.directory.index, asked), (), index, wait_ms)


def _host_filter(asked: Asked) -> Callable[[Entry], bool]:
    """Whether a node has all that ?node-meta=key:value asks for."""
    pairs = [each.partition(":")[::2] for each in asked.query.get("node-meta", ())]
    return lambda host: not pairs or all(rows.node_meta(host).get(key) == value for key, value in pairs)


def _health(row: Row) -> dict[str, Any]:
    return {
        "Node": rows.node(rows.host_of(row), row.at),
        "Service": rows.service(row),
        "Checks": rows.checks(row),
    }


def _agent_service(row: Row) -> dict[str, Any]:
    return rows.service(row) | {"Datacenter": DATACENTER}


def _self(view: View) -> dict[str, Any]:
    name = view.origin.node or "controller"
    config = {
        "Datacenter": DATACENTER,
        "PrimaryDatacenter": DATACENTER,
        "NodeName": name,
        "NodeID": rows.node_id(name),
        "Revision": "",
        "Server": not view.origin.node,
        "Version": bayplan.__version__,
    }
    member = {"Name": name, "Addr": "127.0.0.1", "Port": 8301, "Tags": {"dc": DATACENTER}, "Status": 1}
    return {"Config": config, "DebugConfig": {}, "Coord": {}, "Member": member, "Meta": {}, "Stats": {}}


def _plain(make: Made, asked: Asked) -> Callable[[View], Answer]:
    return lambda view: _answer(view, make(view), view.directory.index, asked)


def _answer(view: View, body: Any, index: int, asked: Asked) -> Answer:
    encoded = msgspec.json.encode(body)
    if "pretty" in asked.query:
        encoded = msgspec.json.format(encoded, indent=4) + b"\n"
    return Answer(encoded, 200, JSON, _headers(view, index))


def _index(view: View) -> int:
    return max(view.directory.index, 1)


def _headers(view: View, index: int) -> tuple[tuple[str, str], ...]:
    return (
        ("X-Consul-Index", str(max(index, 1))),
        ("X-Consul-KnownLeader", "true"),
        ("X-Consul-LastContact", str(view.origin.age_ms)),
        ("X-Consul-Effective-Consistency", "leader"),
    )


def _flat(parts: Iterable[Iterable[Any]]) -> list[Any]:
    return [each for part in parts for each in part]
