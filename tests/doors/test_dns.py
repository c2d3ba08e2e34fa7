"""The name server on real sockets, asked by dnspython."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import dns.asyncquery
import dns.flags
import dns.message
import dns.rcode
import pytest

from bayplan.directory import Entry, Origin
from bayplan.dns import Desk, DnsServer, Forwarder, Responder, Zone, bind, budget, forward, streams
from bayplan.dns.server import Sockets
from bayplan.errors import ProblemError
from tests.memory_source import MemorySource

HOST = "127.0.0.1"
Serve = Callable[..., Awaitable[int]]


def source_of(**services: int) -> MemorySource:
    """Services of the stack shop with so many instances each."""
    source = MemorySource()
    source.state = Origin(node="n1")
    for service, count in services.items():
        entries = [
            Entry(id=str(n), slot=n, address=f"10.0.{n // 250}.{n % 250}", port=80)
            for n in range(1, count + 1)
        ]
        source.put("shop", service, *entries)
    return source


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Start servers; gives their ports."""
    tasks: list[asyncio.Task[None]] = []

    async def start(source: MemorySource, forwarder: Forwarder | None = None, apex: str = "bayplan") -> int:
        sockets = bind(HOST, 0)
        server = DnsServer(Desk(Responder(Zone(source, apex, (HOST,))), forwarder), sockets)
        tasks.append(asyncio.create_task(server.run()))
        await asyncio.sleep(0)
        return sockets.port

    yield start
    for task in tasks:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def udp(port: int, name: str, kind: str = "A", **more: object) -> dns.message.Message:
    query = dns.message.make_query(name, kind, **more)  # type: ignore[arg-type]
    return await dns.asyncquery.udp(query, HOST, port=port, timeout=5)


async def tcp(port: int, name: str, kind: str = "A") -> dns.message.Message:
    return await dns.asyncquery.tcp(dns.message.make_query(name, kind), HOST, port=port, timeout=5)


def resident_bytes() -> int:
    """The memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


async def closed(reader: asyncio.StreamReader) -> bool:
    """Whether the other side ends a connection."""
    try:
        async with asyncio.timeout(5):
            return await reader.read(1) == b""
    except ConnectionError:
        return True


async def test_names_are_found_over_udp_and_tcp(serve: Serve) -> None:
    port = await serve(source_of(web=3))
    for ask in (udp, tcp):
        answer = await ask(port, "web.shop.bayplan")
        assert sorted(map(str, answer.answer[0])) == ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
    assert (await udp(port, "example.org")).rcode() == dns.rcode.REFUSED


async def test_a_long_answer_is_fetched_over_tcp(serve: Serve) -> None:
    port = await serve(source_of(web=400))
    query = dns.message.make_query("web.shop.bayplan", "A")
    answer, came_by_tcp = await dns.asyncquery.udp_with_fallback(query, HOST, port=port, timeout=5)
    assert came_by_tcp and len(answer.answer[0]) == 400


async def test_malformed_packets_leave_the_server_well(serve: Serve) -> None:
    port = await serve(source_of(web=1))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as rough:
        for packet in (b"", b"\0", b"\xff" * 5_000, b"\0" * 12, b"\0\1\1\0\0\1\0\0\0\0\0\0\xc0\x0c\0\1\0\1"):
            rough.sendto(packet, (HOST, port))
    assert len((await udp(port, "web.shop.bayplan")).answer[0]) == 1


async def test_several_questions_share_a_connection(serve: Serve) -> None:
    port = await serve(source_of(web=2, db=1))
    reader, writer = await asyncio.open_connection(HOST, port)
    queries = [dns.message.make_query(f"{name}.shop.bayplan", "A") for name in ("web", "db", "nobody")]
    packed = b"".join(struct.pack("!H", len(query.to_wire())) + query.to_wire() for query in queries)
    for at in range(0, len(packed), 7):  # in pieces that fit nothing
        writer.write(packed[at : at + 7])
        await writer.drain()
    for query in queries:
        (size,) = struct.unpack("!H", await reader.readexactly(2))
        assert query.is_response(dns.message.from_wire(await reader.readexactly(size)))
    writer.close()


async def test_a_connection_without_a_whole_question_is_closed(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "IDLE_S", 0.5)
    port = await serve(source_of(web=1))
    reader, writer = await asyncio.open_connection(HOST, port)
    for _ in range(4):  # a byte now and then does not help
        with contextlib.suppress(ConnectionError):
            writer.write(b"\0")
            await writer.drain()
        await asyncio.sleep(0.2)
    assert await closed(reader)


async def test_a_source_has_so_many_connections_and_no_more(serve: Serve) -> None:
    port = await serve(source_of(web=1))
    most = streams.CONNECTIONS_PER_SOURCE_MAX
    connections = [await asyncio.open_connection(HOST, port) for _ in range(most)]
    await asyncio.sleep(0.1)
    reader, writer = await asyncio.open_connection(HOST, port)
    assert await closed(reader)
    writer.close()
    connections[0][1].close()
    await asyncio.sleep(0.1)
    assert len((await tcp(port, "web.shop.bayplan")).answer[0]) == 1, "there is room again"
    for _, each in connections:
        each.close()


async def test_who_does_not_read_is_not_heard_further(serve: Serve) -> None:
    port = await serve(source_of(web=2_000))
    query = dns.message.make_query("web.shop.bayplan", "A").to_wire()
    _, writer = await asyncio.open_connection(HOST, port)
    sent, before = 0, resident_bytes()
    with contextlib.suppress(TimeoutError, ConnectionError):
        async with asyncio.timeout(2):
            while sent < 20_000:
                writer.write((struct.pack("!H", len(query)) + query) * 100)
                await writer.drain()
                sent += 100
    await asyncio.sleep(0.5)
    assert sent > 1_000
    assert resident_bytes() - before < 20_000_000, f"{sent} answers of 32 KB wait"
    assert len((await udp(port, "bayplan", "SOA")).answer[0]) == 1
    writer.transport.abort()


async def test_a_port_that_is_taken_is_said_to_be() -> None:
    taken = bind(HOST, 0)
    try:
        with pytest.raises(ProblemError, match=f"DNS cannot listen on {HOST}:{taken.port}"):
            bind(HOST, taken.port)
        for host, cause in (("0.0.0.0", "0.0.0.0"), ("localhost", "not an address")):
            with pytest.raises(ProblemError, match=cause):
                bind(host, 0)
    finally:
        taken.close()


async def test_from_elsewhere_a_source_gets_its_share_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "ANSWERS_PER_S_MAX", 20)
    bound = bind(HOST, 0)
    sockets = Sockets(bound.udp, bound.tcp, "192.0.2.1", bound.port)  # as if others could reach it
    task = asyncio.create_task(DnsServer(Desk(Responder(Zone(source_of(web=3)))), sockets).run())
    query = dns.message.make_query("web.shop.bayplan", "A").to_wire()
    loop, whole, short = asyncio.get_running_loop(), 0, 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.setblocking(False)
        begun = loop.time()
        for _ in range(1_000):
            asker.sendto(query, (HOST, bound.port))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.05):
                    answer = dns.message.from_wire(await loop.sock_recv(asker, 4_096))
                    whole, short = whole + bool(answer.answer), short + bool(answer.flags & dns.flags.TC)
            if short:
                break
    assert short, "after its share it is told to come over TCP"
    assert whole <= 20 * (2 + int(loop.time() - begun))
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


# --- names of others ---


@pytest.fixture
async def upstream(serve: Serve) -> int:
    """A server that knows another zone."""
    return await serve(source_of(www=2, many=400), apex="example.org")


async def test_a_foreign_name_is_asked_of_others_only_where_that_is_wanted(
    serve: Serve, upstream: int
) -> None:
    source = source_of(web=1)
    port = await serve(source, Forwarder(lambda: [HOST], upstream))
    answer = await udp(port, "www.shop.example.org")
    assert len(answer.answer[0]) == 2 and answer.flags & dns.flags.RA
    assert (await udp(port, "web.shop.bayplan")).flags & dns.flags.RA
    assert (await udp(await serve(source), "www.shop.example.org")).rcode() == dns.rcode.REFUSED
    assert (await udp(port, "many.shop.example.org")).flags & dns.flags.TC
    assert len((await tcp(port, "many.shop.example.org")).answer[0]) == 400


async def test_our_names_and_bare_ones_are_asked_of_nobody(serve: Serve) -> None:
    heard: list[bytes] = []

    class Eavesdropper(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: object) -> None:
            heard.append(data)

    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Eavesdropper, local_addr=(HOST, 0))
    other = transport.get_extra_info("sockname")[1]
    port = await serve(source_of(web=1), Forwarder(lambda: [HOST], other))
    for name in ("nobody.shop.bayplan", "bayplan", "deep.below.web.shop.bayplan", "web"):
        for kind in ("A", "AAAA"):
            assert (await udp(port, name, kind)).rcode() in (dns.rcode.NXDOMAIN, dns.rcode.NOERROR)
    assert heard == []
    transport.close()


async def test_others_that_do_not_answer_are_not_waited_for_long(
    serve: Serve, upstream: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forward, "ATTEMPT_S", 0.2)
    silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    silent.bind(("127.0.0.2", upstream))
    port = await serve(source_of(web=1), Forwarder(lambda: ["127.0.0.2", HOST], upstream))
    assert len((await udp(port, "www.shop.example.org")).answer[0]) == 2, "the second one does"
    port = await serve(source_of(web=1), Forwarder(lambda: ["127.0.0.2", "nowhere"], upstream))
    assert (await udp(port, "www.shop.example.org")).rcode() == dns.rcode.SERVFAIL
    silent.close()


async def test_an_answer_to_another_question_is_not_taken(serve: Serve) -> None:
    class Liar(asyncio.DatagramProtocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = transport

        def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
            query = dns.message.from_wire(data)
            for wrong in (query.id ^ 1, query.id):
                lie = dns.message.make_response(dns.message.make_query("evil.org", "A", id=wrong))
                self.transport.sendto(lie.to_wire(), addr)  # type: ignore[attr-defined]
            truth = dns.message.make_response(query)
            truth.set_rcode(dns.rcode.NXDOMAIN)
            self.transport.sendto(truth.to_wire(), addr)  # type: ignore[attr-defined]

    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Liar, local_addr=(HOST, 0))
    forwarder = Forwarder(lambda: [HOST], transport.get_extra_info("sockname")[1])
    assert (
        await udp(await serve(source_of(web=1), forwarder), "www.example.org")
    ).rcode() == dns.rcode.NXDOMAIN
    transport.close()


def test_the_servers_of_a_resolv_conf_are_found() -> None:
    text = "# made by hand\nsearch example.org\nnameserver 10.0.0.2\nnameserver\nnameserver fe80::1%eth0 x\n"
    assert forward.upstreams_of(text) == ["10.0.0.2", "fe80::1%eth0"]
