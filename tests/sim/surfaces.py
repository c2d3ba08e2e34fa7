"""What a node's surfaces say of a service: functions over its copy of the directory, without sockets."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable
from typing import NoReturn

from envoy.config.endpoint.v3 import endpoint_pb2

from bayplan.directory.registrar import Registration, Renewal
from bayplan.dns import wire
from bayplan.dns.wire import Type
from bayplan.dns.zone import APEX
from bayplan.errors import ProblemError
from bayplan.surfaces import lookup
from bayplan.surfaces.asking import Asked, Read, View
from bayplan.surfaces.consul.local import LocalServices
from bayplan.surfaces.consul.reads import ConsulReads
from bayplan.surfaces.selecting import full_name
from bayplan.surfaces.xds.resources import Kind, Resources
from tests.sim.directory import Copy

#: An address that a surface gives, and its port; 0 where it gives none.
Given = tuple[str, int]


class _Nobody:
    """A registrar: nobody registers through a node of the simulation."""

    async def register(self, registration: Registration) -> NoReturn:
        raise NotImplementedError

    async def renew(self, renewal: Renewal) -> NoReturn:
        raise NotImplementedError

    async def deregister(self, stack: str, service: str, entry_id: str) -> NoReturn:
        raise NotImplementedError


def over_dns(copy: Copy, stack: str, service: str) -> list[Given]:
    """A records."""
    copy.zone.update()
    answer = copy.zone.answer(wire.name(*service.split("."), stack, APEX), Type.A)
    records = [each for group in (answer.groups if answer else ()) for each in group]
    return [(str(ipaddress.ip_address(each.data[-4:])), 0) for each in records]


def over_http(copy: Copy, stack: str, service: str) -> list[Given]:
    """Our own lookup."""
    body = _asked(copy, lookup.read(Asked.of(f"/v1/lookup/{stack}/{service}")))
    found = json.loads(body)
    return [(each["address"], each["port"]) for each in (found.get("instances", ()) if found else ())]


def over_consul(copy: Copy, stack: str, service: str) -> list[Given]:
    """Consul's health of a service."""
    reads = ConsulReads(LocalServices(_Nobody(), node=copy.name))
    body = _asked(copy, reads.read(Asked.of(f"/v1/health/service/{full_name(stack, service)}?passing")))
    services = [each["Service"] for each in json.loads(body)]
    return [(each["Address"], each["Port"]) for each in services]


def over_xds(copy: Copy, stack: str, service: str) -> list[Given]:
    """The endpoints of a cluster."""
    found = Resources(copy.directory).named(Kind.ENDPOINTS, [f"{stack}/{service}"], whole=False)
    told = [endpoint_pb2.ClusterLoadAssignment.FromString(each.value) for each in found.values()]
    groups = [group for each in told for group in each.endpoints]
    sockets = [each.endpoint.address.socket_address for group in groups for each in group.lb_endpoints]
    return [(each.address, each.port_value) for each in sockets]


def _asked(copy: Copy, read: Read | None) -> bytes:
    """The body of an answer; an empty list's where there is none yet, or nobody."""
    assert read is not None, "it is a path of this surface"
    try:
        return read.made(View(copy.directory, copy.source.origin())).body
    except ProblemError:
        return b"[]"


DNS = "DNS"
SURFACES: dict[str, Callable[[Copy, str, str], list[Given]]] = {
    DNS: over_dns,
    "HTTP": over_http,
    "Consul's API": over_consul,
    "xDS": over_xds,
}
