"""Asks all surfaces of its machine for one service, all the time, each in a thread of its own, as a program.

Prints a line of JSON whenever a surface names others than before: which one, when (the engine's clock: that
of the day), and whom, as `address:port`. On SIGTERM it prints for each surface how many questions there were,
how many failed, and the greatest age of an answer, where answers have one. Arguments: the tag of its lines,
`node` or the controller's socket, stack and service.
"""

from __future__ import annotations

import http.client
import json
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import dns.exception
import dns.message
import dns.query
import dns.rcode
import grpc
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.service.discovery.v3 import ads_pb2_grpc, discovery_pb2

from bayplan.client import Client
from bayplan.errors import ProblemError

TIMEOUT_S = 2.0
#: Seven surfaces on four machines are asked, and all machines are one.
PAUSE_S = 0.05
NODE_HTTP, CONTROLLER_HTTP, DNS, XDS = 7481, 7480, 8600, 7482


class Said(NamedTuple):
    """What a surface answered, and how old it said that was."""

    found: Iterable[str]
    age_ms: int = 0


class UnansweredError(Exception):
    """A surface did not answer."""


def over_dns(stack: str, service: str) -> Callable[[], Said]:
    def ask(name: str, kind: str) -> dns.message.Message:
        query = dns.message.make_query(name, kind, use_edns=0, payload=1_232)
        try:
            answer = dns.query.udp(query, "127.0.0.1", TIMEOUT_S, DNS)
        except (OSError, dns.exception.DNSException) as error:
            raise UnansweredError(repr(error)) from error
        if answer.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
            raise UnansweredError(dns.rcode.to_text(answer.rcode()))
        return answer

    def said() -> Said:
        answer = ask(f"{service}.{stack}.bayplan", "SRV")
        glue = {str(rrset.name): str(rrset[0]) for rrset in answer.additional}
        found = [f"{glue[str(each.target)]}:{each.port}" for rrset in answer.answer for each in rrset]
        about = str(ask("bayplan", "TXT").answer[0])
        return Said(found, int(about.partition("age_ms=")[2].partition('"')[0]))

    return said


def over_http(port: int, path: str, read: Callable[[Any], Said]) -> Callable[[], Said]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)

    def said() -> Said:
        try:
            connection.request("GET", path, headers={"Accept": "application/json"})
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise UnansweredError(repr(error)) from error
        if answer.status not in (200, 404):
            raise UnansweredError(f"{answer.status} {body[:200]!r}")
        return read(json.loads(body))

    return said


def _lookup(body: Any) -> Said:
    found = [f"{each['address']}:{each['port']}" for each in body.get("instances", ())]
    return Said(found, body["age_ms"])


def _consul(body: Any) -> Said:
    return Said([f"{each['Service']['Address']}:{each['Service']['Port']}" for each in body])


def _prometheus(body: Any) -> Said:
    return Said([target for group in body for target in group["targets"]])


def _eureka(body: Any) -> Said:
    rows = body.get("application", {}).get("instance", ())
    return Said([f"{each['ipAddr']}:{each['port']['$']}" for each in rows if each["status"] == "UP"])


def http_surfaces(port: int, stack: str, service: str) -> dict[str, Callable[[], Said]]:
    paths = {
        "http": (f"/v1/lookup/{stack}/{service}", _lookup),
        "short": (f"/{service}.{stack}", _lookup),
        "consul": (f"/v1/health/service/{stack}_{service}?passing", _consul),
        "prometheus": (f"/v1/prometheus?ready&stack={stack}&service={service}", _prometheus),
        "eureka": ("/eureka/apps/" + f"{stack}_{service}".upper(), _eureka),
    }
    return {name: over_http(port, path, read) for name, (path, read) in paths.items()}


def over_xds(stack: str, service: str) -> Callable[[], Said]:
    """The endpoints' stream; what it told last."""
    kind = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
    name = f"{stack}/{service}"
    channel = grpc.insecure_channel(f"127.0.0.1:{XDS}")
    requests: queue.Queue[discovery_pb2.DiscoveryRequest] = queue.Queue()
    requests.put(discovery_pb2.DiscoveryRequest(type_url=kind, resource_names=[name]))
    responses: Iterator[Any] = ads_pb2_grpc.AggregatedDiscoveryServiceStub(channel).StreamAggregatedResources(
        iter(requests.get, None)
    )

    def said() -> Said:
        try:
            response = next(responses)
        except grpc.RpcError as error:
            raise UnansweredError(repr(error)) from error
        accepted = {"version_info": response.version_info, "response_nonce": response.nonce}
        requests.put(discovery_pb2.DiscoveryRequest(type_url=kind, resource_names=[name], **accepted))
        told = [endpoint_pb2.ClusterLoadAssignment.FromString(each.value) for each in response.resources]
        groups = [group for each in told for group in each.endpoints]
        sockets = [each.endpoint.address.socket_address for group in groups for each in group.lb_endpoints]
        return Said([f"{each.address}:{each.port_value}" for each in sockets])

    return said


def over_client(socket: str, stack: str, service: str) -> Callable[[], Said]:
    client = Client(f"unix://{socket}")

    def said() -> Said:
        try:
            return Said([f"{each.address}:{each.port}" for each in client.lookup(stack, service, False)])
        except ProblemError as error:
            raise UnansweredError(str(error)) from error

    return said


class Surface(threading.Thread):
    """One that is asked for ever."""

    def __init__(self, tag: str, name: str, ask: Callable[[], Said]) -> None:
        super().__init__(daemon=True)
        self.asked, self.failed, self.age_ms, self.why = 0, 0, 0, ""
        self._tag, self._name, self._ask = tag, name, ask

    def run(self) -> None:
        before = None
        while True:
            self.asked += 1
            try:
                said = self._ask()
            except UnansweredError as error:
                self.failed, self.why = self.failed + 1, str(error)
            else:
                self.age_ms = max(self.age_ms, said.age_ms)
                if sorted(said.found) != before:
                    before = sorted(said.found)
                    say(self._tag, surface=self._name, at=time.time(), found=before)
            time.sleep(PAUSE_S)


def say(tag: str, **what: Any) -> None:
    os.write(1, (json.dumps({"tag": tag} | what) + "\n").encode())  # at once: others write there, too


def main() -> None:
    tag, seat, stack, service = sys.argv[1:]
    if seat == "node":
        asks = http_surfaces(NODE_HTTP, stack, service)
        asks |= {"dns": over_dns(stack, service), "xds": over_xds(stack, service)}
    else:
        asks = http_surfaces(CONTROLLER_HTTP, stack, service)
        asks |= {"grpc": over_client(seat, stack, service)}
    surfaces = {name: Surface(tag, name, ask) for name, ask in asks.items()}
    for surface in surfaces.values():
        surface.start()
    signal.sigwait({signal.SIGTERM})
    counts = {
        name: {"asked": each.asked, "failed": each.failed, "age_ms": each.age_ms, "why": each.why}
        for name, each in surfaces.items()
    }
    say(tag, counts=counts)


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # in all threads: main() waits for it
    main()
