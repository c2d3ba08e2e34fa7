"""Packets in batches, over real sockets: each sender gets what is its own."""

from __future__ import annotations

import socket

import pytest

from bayplan.dns.datagrams import Datagrams

COUNT, PACKET_BYTES, ANSWER_BYTES = 4, 64, 32
#: Nothing takes longer on loopback, in seconds.
STEP_S_MAX = 5


@pytest.fixture(params=[("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)], ids=["IPv4", "IPv6"])
def server(request: pytest.FixtureRequest) -> socket.socket:
    host, family = request.param
    found = socket.socket(family, socket.SOCK_DGRAM)
    found.bind((host, 0))
    found.setblocking(False)
    request.addfinalizer(found.close)
    return found


def client(server: socket.socket, *packets: bytes) -> socket.socket:
    found = socket.socket(server.family, socket.SOCK_DGRAM)
    found.settimeout(STEP_S_MAX)
    found.connect(server.getsockname()[:2])
    for packet in packets:
        found.send(packet)
    return found


def test_each_sender_gets_its_own_answer_also_when_others_get_none(server: socket.socket) -> None:
    datagrams = Datagrams(server, COUNT, PACKET_BYTES, ANSWER_BYTES)
    with client(server, b"a") as first, client(server, b"b"), client(server, b"c") as third:
        assert datagrams.receive() == [b"a", b"b", b"c"]
        datagrams.answer(0, b"to a")
        datagrams.answer(2, b"to c, longer")
        datagrams.send()
        assert (first.recv(100), third.recv(100)) == (b"to a", b"to c, longer")
        third.send(b"d")
        assert datagrams.receive() == [b"d"]
        datagrams.answer(0, b"d")
        datagrams.send()
        assert third.recv(100) == b"d"


def test_the_sender_of_a_packet_is_known(server: socket.socket) -> None:
    datagrams = Datagrams(server, COUNT, PACKET_BYTES, ANSWER_BYTES)
    with client(server, b"a") as one, client(server, b"b") as other:
        datagrams.receive()
        assert [datagrams.source(0), datagrams.source(1)] == [
            one.getsockname()[:2],
            other.getsockname()[:2],
        ]


def test_no_more_is_taken_than_there_is_room_for(server: socket.socket) -> None:
    datagrams = Datagrams(server, COUNT, PACKET_BYTES, ANSWER_BYTES)
    with client(server, b"", b"x" * (PACKET_BYTES + 1), b"2", b"3", b"4"):
        assert datagrams.receive() == [b"", b"x" * PACKET_BYTES, b"2", b"3"]
        with pytest.raises(ValueError, match="structure"):
            datagrams.answer(0, b"x" * (ANSWER_BYTES + 1))
        assert datagrams.receive() == [b"4"]
        assert datagrams.receive() == []


def test_an_answer_that_cannot_be_sent_does_not_keep_back_the_others(server: socket.socket) -> None:
    datagrams = Datagrams(server, COUNT, PACKET_BYTES, ANSWER_BYTES)
    with client(server, b"a") as first, client(server, b"b") as second:
        datagrams.receive()
        datagrams._addresses[0] = b"\xff"  # an address of no family that there is
        datagrams.answer(0, b"lost")
        datagrams.answer(1, b"to b")
        datagrams.send()
        assert second.recv(100) == b"to b"
        first.setblocking(False)
        with pytest.raises(BlockingIOError):
            first.recv(100)
