"""The kernel's table of flows (conntrack), as far as UDP that was sent elsewhere goes: found, and let go of.

A table may have a hundred thousand entries, of which hardly one is looked for. pyroute2 makes an object of
each attribute of each; here the few bytes that matter are read in place, in 12 us. The numbers are
those of Linux' nfnetlink_conntrack.h.
"""

from __future__ import annotations

import os
import socket
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, suppress

from agent.flow import Flow

#: Netlink's family, and the subsystem's messages in it.
_NETLINK_NETFILTER = 12
_GET, _DELETE = (1 << 8) | 1, (1 << 8) | 2
_REQUEST, _ACK, _DUMP = 0x1, 0x4, 0x300
_ERROR, _DONE = 2, 3
#: Attributes: of a flow, of a tuple, of its addresses and of its ports.
_ORIGINAL, _REPLY, _STATUS = 1, 2, 3
#: Of a flow's status: it was sent elsewhere.
_SENT_ON = 1 << 5
_ADDRESSES, _PORTS = 1, 2
_SOURCE, _DESTINATION = 1, 2
_PROTOCOL, _SOURCE_PORT, _DESTINATION_PORT = 1, 2, 3
#: Of an attribute's type, what is not a flag.
_TYPE = 0x3FFF
#: A netlink header, what follows it in this subsystem, and an attribute's header.
_HEADER, _FAMILY, _ATTRIBUTE = struct.Struct("=IHHII"), struct.Struct("=BBH"), struct.Struct("=HH")
_FAMILY_BYTES = _FAMILY.pack(socket.AF_INET, 0, 0)

#: Bytes that are read at once.
READ_BYTES_MAX = 256 * 1024
#: Seconds for an answer of the kernel.
ANSWER_S_MAX = 5.0


def drop(unwanted: Callable[[Flow], bool]) -> int:
    """Let go of this network namespace's UDP flows that were sent elsewhere and are not wanted; returns how
    many. The next packet of each begins anew. Raises OSError where the kernel refuses."""
    with closing(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER)) as kernel:
        kernel.settimeout(ANSWER_S_MAX)
        kernel.bind((0, 0))
        found = [flow for flow in _flows(kernel) if unwanted(flow)]
        for flow in found:
            _delete(kernel, flow)
    return len(found)


def _flows(kernel: socket.socket) -> Iterator[Flow]:
    _ask(kernel, _GET, _DUMP, b"")
    while True:
        for kind, body in _messages(kernel.recv(READ_BYTES_MAX)):
            if kind == _DONE:
                return
            if kind == _ERROR:
                _check(body)
            elif flow := _flow(body[_FAMILY.size :]):
                yield flow


def _delete(kernel: socket.socket, flow: Flow) -> None:
    _ask(kernel, _DELETE, _ACK, flow.key)
    for kind, body in _messages(kernel.recv(READ_BYTES_MAX)):
        if kind == _ERROR:
            with suppress(FileNotFoundError):  # it has ended by itself
                _check(body)


def _ask(kernel: socket.socket, kind: int, flags: int, attributes: bytes) -> None:
    size = _HEADER.size + len(_FAMILY_BYTES) + len(attributes)
    kernel.send(_HEADER.pack(size, kind, _REQUEST | flags, 0, 0) + _FAMILY_BYTES + attributes)


def _messages(read: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + _HEADER.size <= len(read):
        size, kind, *_ = _HEADER.unpack_from(read, at)
        yield kind, read[at + _HEADER.size : at + size]
        at += _aligned(size)


def _check(body: bytes) -> None:
    """Raises OSError for an answer that is not 0."""
    if number := -int.from_bytes(body[:4], sys.byteorder, signed=True):
        raise OSError(number, os.strerror(number))


def _flow(body: bytes) -> Flow | None:
    """None: not UDP, or answered by whom the caller meant."""
    flow = _attributes(body)
    if not int.from_bytes(flow.get(_STATUS, b""), "big") & _SENT_ON:
        return None
    original, reply = _attributes(flow.get(_ORIGINAL, b"")), _attributes(flow.get(_REPLY, b""))
    ports, reply_ports = _attributes(original.get(_PORTS, b"")), _attributes(reply.get(_PORTS, b""))
    if ports.get(_PROTOCOL, b"\0")[0] != socket.IPPROTO_UDP:
        return None
    meant = _attributes(original[_ADDRESSES])[_DESTINATION], ports[_DESTINATION_PORT]
    answers = _attributes(reply[_ADDRESSES])[_SOURCE], reply_ports[_SOURCE_PORT]
    key = _ATTRIBUTE.pack(_ATTRIBUTE.size + len(flow[_ORIGINAL]), _ORIGINAL | 0x8000) + flow[_ORIGINAL]
    return Flow(*_end(*meant), *_end(*answers), key)


def _end(address: bytes, port: bytes) -> tuple[str, int]:
    return socket.inet_ntoa(address), int.from_bytes(port[:2], "big")


def _attributes(body: bytes) -> dict[int, bytes]:
    found = {}
    at = 0
    while at + _ATTRIBUTE.size <= len(body):
        size, kind = _ATTRIBUTE.unpack_from(body, at)
        found[kind & _TYPE] = body[at + _ATTRIBUTE.size : at + size]
        at += max(_aligned(size), _ATTRIBUTE.size)
    return found


def _aligned(size: int) -> int:
    return (size + 3) & ~3
