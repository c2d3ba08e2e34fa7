"""Listeners at published ports: real sockets, instances on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable

import pytest

from agent.decide.dataplane import Backend, Front, IngressPort
from agent.doors import ingress
from agent.doors.ingress import Listeners, in_turn
from bayplan.model.base import Protocol
from tests.doors.controller.process import free_port
from tests.doors.test_following import until

HOST = "127.0.0.1"


def front(port: int, *backends: Backend, host_ip: str = "", relays: tuple[Backend, ...] = ()) -> Front:
    return Front(ports=(IngressPort(Protocol.TCP, port, host_ip, backends, relays=relays),))


@contextlib.asynccontextmanager
async def listening(*fronts: Front) -> AsyncIterator[Listeners]:
    listeners = Listeners()
    listeners.want(fronts)
    running = asyncio.ensure_future(listeners.run())
    try:
        yield listeners
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


@contextlib.asynccontextmanager
async def instance(name: str) -> AsyncIterator[Backend]:
    """Says its name once it has heard all."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard = await reader.read()
        writer.write(f"{name} heard {len(heard)}".encode())
        writer.close()

    server = await asyncio.start_server(serve, HOST, 0)
    try:
        yield Backend(HOST, server.sockets[0].getsockname()[1])
    finally:
        server.close()


async def ask(host: str, port: int, text: bytes = b"hello") -> str:
    """Say something to the end, and hear the answer to the end."""
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(text)
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    return answer.decode()


def answers(host: str, port: int) -> Callable[[], bool]:
    def connects() -> bool:
        try:
            socket.create_connection((host, port), 1).close()
        except OSError:
            return False
        return True

    return connects


@pytest.mark.parametrize("host", [HOST, "::1"])
async def test_a_port_answers_on_loopback_and_over_ipv6_each_way_to_its_end(host: str) -> None:
    port = free_port()
    async with instance("a") as backend, listening(front(port, backend)):
        await until("it listens", answers(host, port))
        assert await ask(host, port, b"x" * 1_000_000) == "a heard 1000000"


async def test_an_instance_that_does_not_answer_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    async with instance("a") as far:
        dead = Backend(HOST, free_port())
        async with listening(front(port, dead, far, relays=(far,))):
            await until("it listens", answers(HOST, port))
            assert {await ask(HOST, port) for _ in range(5)} == {"a heard 5"}


def test_instances_of_this_node_come_first_and_the_heavier_ones_more_often() -> None:
    near = Backend("10.0.0.1", 80), Backend("10.0.0.2", 80, weight=9)
    far = Backend("10.9.0.2", 30_000, weight=1_000)
    (port,) = front(80, far, *near, relays=(far,)).ports
    drawn = [in_turn(port) for _ in range(1_000)]
    assert all(each[2] == far for each in drawn)
    assert 850 < sum(each[0] == near[1] for each in drawn) < 950


async def test_a_port_that_is_taken_is_told_and_had_when_it_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingress, "RETRY_S", 0.05)
    port = free_port()
    taken = socket.create_server((HOST, port))
    async with instance("a") as backend, listening(front(port, backend, host_ip=HOST)) as listeners:
        await until("it is told", lambda: listeners.faults)
        (fault,) = listeners.faults
        assert fault.subject == str(port) and f"port {HOST}:{port} is taken" in fault.text
        taken.close()
        await until("it is had", lambda: not listeners.faults)
        assert await ask(HOST, port) == "a heard 5"


async def test_a_port_of_a_service_is_nobody_elses_on_this_machine() -> None:
    port = free_port()
    async with instance("a") as backend, listening(front(port, backend)):
        await until("it listens", answers(HOST, port))
        with pytest.raises(OSError, match="in use"), socket.socket() as other:
            other.bind(("0.0.0.0", port))


async def test_a_service_that_is_gone_gives_its_port_back() -> None:
    port = free_port()
    async with instance("a") as backend, listening(front(port, backend)) as listeners:
        await until("it listens", answers(HOST, port))
        listeners.want([])
        await until("it does not", lambda: not answers(HOST, port)())


async def test_more_connections_than_there_may_be_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingress, "CONNECTIONS_MAX", 1)
    port = free_port()
    async with instance("a") as backend, listening(front(port, backend, host_ip=HOST)):
        await until("it listens", answers(HOST, port))
        await asyncio.sleep(0.1)
        _, first = await asyncio.open_connection(HOST, port)
        await asyncio.sleep(0.1)
        reader, second = await asyncio.open_connection(HOST, port)
        with contextlib.suppress(ConnectionResetError):
            assert await asyncio.wait_for(reader.read(), 2) == b""
        first.close()
        second.close()
