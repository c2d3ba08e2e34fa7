"""Rows of bench.lookup on HTTP and gRPC: bayplan beside etcd, which gives the same instances as a range of
three keys. All are asked over TCP by h2load, but for bayplan's gRPC: without TLS it has a unix socket.
"""

from __future__ import annotations

import asyncio
import functools
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import grpc
import msgspec

from bayplan.v1 import registry_pb2
from bench.lookup_load import (
    GRPC_CONNECTIONS,
    GRPC_STREAMS,
    HTTP_CONNECTIONS,
    Bench,
    Sample,
    Server,
    missing,
    python,
)
from bench.lookup_names import ADDRESSES, NAMES, STACK, services
from bench.lookup_world import fill
from bench.measuring import at_least
from tests.doors.controller.process import ControllerProcess, free_port

#: By CPU second: an HTTP lookup against etcd's range over gRPC, and a gRPC lookup by itself.
TO_ETCD, GRPC_A_CPU_S = at_least(4, 4), at_least(2_500, 4_000)
#: What a gRPC message begins with: not compressed, and its length.
_PREFIX_BYTES = 4
_GRPC_HEADERS = ("-H", "content-type: application/grpc", "-H", "te: trailers")
#: Calls of the bench itself, in seconds.
CALL_S = 10.0


def lookups(bench: Bench) -> None:
    """Who answers for a service, over HTTP and gRPC, and the same as keys in etcd."""
    if missing("h2load"):
        bench.report.add("HTTP, gRPC", None, "/CPU-s", note=f"apt-get install {missing('h2load')}")
        return
    with ExitStack() as stack:
        daemon, port = _daemon(bench, stack)
        loads = {"bayplan, HTTP": functools.partial(_http, bench, daemon, port)}
        loads["bayplan, gRPC"] = _controller(bench, stack)
        if missing("etcd"):
            bench.report.add("etcd", None, "/CPU-s", note=f"apt-get install {missing('etcd')}")
        else:
            loads["etcd, gRPC"] = _etcd(bench, stack)
        aims = {"bayplan, gRPC": GRPC_A_CPU_S, "to etcd, gRPC": TO_ETCD}
        bench.measure("lookup", loads, aims)


def _daemon(bench: Bench, stack: ExitStack) -> tuple[Server, int]:
    port = free_port()
    command = python("bench.lookup_daemon", 0, port)
    with bench.cores.on_server():
        daemon = Server.started(
            "bayplan", command, functools.partial(_found, port), bench.folder / "http.log"
        )
    stack.callback(daemon.stop)
    return daemon, port


def _found(port: int) -> bool:
    """Whether the lookup of the last name gives all of its addresses."""
    try:
        with urllib.request.urlopen(_url(port, f"six-{NAMES}"), timeout=CALL_S) as answer:
            return len(msgspec.json.decode(answer.read())["instances"]) == ADDRESSES
    except OSError:
        return False


def _url(port: int, service: str) -> str:
    return f"http://127.0.0.1:{port}/v1/lookup/{STACK}/{service}"


def _http(bench: Bench, daemon: Server, port: int) -> Sample:
    urls = bench.folder / "urls"
    urls.write_text("".join(_url(port, f"web-{number}") + "\n" for number in range(1, NAMES + 1)))
    connections = str(HTTP_CONNECTIONS)
    return bench.load.http(daemon, "--h1", "-c", connections, "-m", "1", "-i", str(urls))


def _grpc(bench: Bench, server: Server, request: bytes, *where: str) -> Sample:
    body = bench.folder / f"request.{server.pid}"
    body.write_bytes(b"\0" + len(request).to_bytes(_PREFIX_BYTES, "big") + request)
    spread = ("-c", str(GRPC_CONNECTIONS), "-m", str(GRPC_STREAMS))
    return bench.load.http(server, *spread, *_GRPC_HEADERS, "-d", str(body), *where)


def _controller(bench: Bench, stack: ExitStack) -> functools.partial[Sample]:
    """A real controller with the same services, registered from outside."""
    folder = bench.folder / "controller"
    folder.mkdir()
    controller = ControllerProcess(folder, "--witness-listen=off")
    with bench.cores.on_server():
        controller.start()
    stack.callback(controller.kill)
    asyncio.run(fill(controller))
    request = registry_pb2.LookupRequest(stack=STACK, service="web-1").SerializeToString()
    said = _call(f"unix://{controller.socket}", "/bayplan.v1.RegistryService/Lookup", request)
    assert len(registry_pb2.LookupResponse.FromString(said).instances) == ADDRESSES
    where = ("-B", f"unix:{controller.socket}", "http://localhost/bayplan.v1.RegistryService/Lookup")
    server = Server("bayplan", controller.pid)
    return functools.partial(_grpc, bench, server, request, *where)


def _etcd(bench: Bench, stack: ExitStack) -> functools.partial[Sample]:
    """An etcd with a key for each instance; a service is a range of them."""
    port, peer_url = free_port(), f"http://127.0.0.1:{free_port()}"
    url = f"http://127.0.0.1:{port}"
    command = [
        "etcd", "--data-dir", str(bench.folder / "etcd"), "--log-level", "error",
        "--listen-client-urls", url, "--advertise-client-urls", url,
        "--listen-peer-urls", peer_url, "--initial-advertise-peer-urls", peer_url,
        "--initial-cluster", f"default={peer_url}",
    ]  # fmt: skip
    with bench.cores.on_server():
        server = Server.started("etcd", command, functools.partial(_healthy, url), bench.folder / "etcd.log")
    stack.callback(server.stop)
    _put_all(f"127.0.0.1:{port}")
    first = _key("web-1", "")
    request = _field(1, first) + _field(2, first[:-1] + bytes([first[-1] + 1]))
    said = _call(f"127.0.0.1:{port}", "/etcdserverpb.KV/Range", request)
    assert said.count(first) == ADDRESSES
    return functools.partial(_grpc, bench, server, request, f"{url}/etcdserverpb.KV/Range")


def _healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=CALL_S) as answer:
            return b"true" in answer.read()
    except OSError:
        return False


def _put_all(address: str) -> None:
    with grpc.insecure_channel(address) as channel:
        put: Any = channel.unary_unary("/etcdserverpb.KV/Put")
        open_calls = [
            put.future(
                _field(1, _key(service, entry.id)) + _field(2, msgspec.json.encode(entry)), timeout=CALL_S
            )
            for service, entries in services()
            for entry in entries
        ]
        for each in open_calls:
            each.result()


def _key(service: str, instance: str) -> bytes:
    return f"/services/{STACK}/{service}/{instance}".encode()


def _field(number: int, value: bytes) -> bytes:
    """A field of bytes, as protobuf encodes it: etcd's messages need no more."""
    length = bytes([len(value)]) if len(value) < 128 else bytes([len(value) & 127 | 128, len(value) >> 7])
    return bytes([number << 3 | 2]) + length + value


def _call(target: str, method: str, request: bytes) -> bytes:
    with grpc.insecure_channel(target) as channel:
        call: Callable[..., bytes] = channel.unary_unary(method)
        return call(request, timeout=CALL_S)
