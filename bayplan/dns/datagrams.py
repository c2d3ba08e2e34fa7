"""Many packets by one call of the kernel (recvmmsg(2), sendmmsg(2)): a call for each costs more than to find
its answer. Senders' addresses go back as the kernel wrote them. Linux only; knows no DNS.
"""

from __future__ import annotations

import ctypes
import socket
import sys
from typing import Any

#: Bytes of an address: struct sockaddr_in, struct sockaddr_in6.
_ADDRESS_BYTES = {socket.AF_INET: 16, socket.AF_INET6: 28}
#: What each packet has for its sender's address, in bytes.
_ADDRESS_ROOM = 32

_libc = ctypes.CDLL(None)
_receive, _send = _libc.recvmmsg, _libc.sendmmsg
_receive.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p)
_send.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int)


class _Piece(ctypes.Structure):
    """struct iovec."""

    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Head(ctypes.Structure):
    """struct msghdr."""

    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("pieces", ctypes.c_void_p),
        ("pieces_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _Message(ctypes.Structure):
    """struct mmsghdr."""

    _fields_ = (("head", _Head), ("length", ctypes.c_uint32))


#: Where these stand in their structs, counted in what they are read and written as.
_MESSAGE_BYTES = ctypes.sizeof(_Message)
_LENGTH_AT, _LENGTH_STEP = _Message.length.offset // 4, _MESSAGE_BYTES // 4
_SIZE_BYTES = ctypes.sizeof(ctypes.c_size_t)
_NAME_STEP = _MESSAGE_BYTES // _SIZE_BYTES
_PIECE_AT, _PIECE_STEP = _Piece.length.offset // _SIZE_BYTES, ctypes.sizeof(_Piece) // _SIZE_BYTES


class _Messages:
    """So many packets of at most so many bytes, and the addresses that go with them."""

    def __init__(self, count: int, packet_bytes: int, addresses: Any, address_bytes: int) -> None:
        room = (ctypes.c_char * (count * packet_bytes))()
        view = memoryview(room).cast("B")
        #: The bytes of each packet.
        self.rooms = [view[at : at + packet_bytes] for at in range(0, count * packet_bytes, packet_bytes)]
        begin = ctypes.addressof(room)
        pieces = (_Piece * count)()
        where = ctypes.addressof(pieces)
        #: Where each address is in memory.
        self.names = [ctypes.addressof(addresses) + at * _ADDRESS_ROOM for at in range(count)]
        messages = (_Message * count)()
        for at, message in enumerate(messages):
            pieces[at] = _Piece(begin + at * packet_bytes, packet_bytes)
            piece = where + at * ctypes.sizeof(_Piece)
            message.head = _Head(self.names[at], address_bytes, piece, 1, None, 0, 0)
        self.pointer = ctypes.addressof(messages)
        #: The same memory as numbers; the views keep it alive.
        self.received_bytes = memoryview(messages).cast("B").cast("I")
        self.name_pointers = memoryview(messages).cast("B").cast("P")
        self.piece_bytes = memoryview(pieces).cast("B").cast("P")


class Datagrams:
    """The packets of a UDP socket that does not block: at most `count` at a time, and answers to them."""

    def __init__(self, udp: socket.socket, count: int, packet_bytes: int, answer_bytes: int) -> None:
        address_bytes = _ADDRESS_BYTES[udp.family]
        self._udp, self._count = udp, count
        self._addresses = (ctypes.c_char * (count * _ADDRESS_ROOM))()
        self._in = _Messages(count, packet_bytes, self._addresses, address_bytes)
        self._out = _Messages(count, answer_bytes, self._addresses, address_bytes)
        self._answers = 0

    def receive(self) -> list[bytes]:
        """What has come; longer packets are cut off."""
        found = _receive(self._udp.fileno(), self._in.pointer, self._count, 0, None)
        rooms, lengths = self._in.rooms, self._in.received_bytes
        return [bytes(rooms[at][: lengths[at * _LENGTH_STEP + _LENGTH_AT]]) for at in range(found)]

    def source(self, place: int) -> tuple[str, int]:
        """Who sent the packet at this place of what `receive` gave."""
        begin = place * _ADDRESS_ROOM
        raw = self._addresses.raw[begin : begin + _ADDRESS_ROOM]
        port = int.from_bytes(raw[2:4], "big")
        if self._udp.family == socket.AF_INET:
            return socket.inet_ntop(socket.AF_INET, raw[4:8]), port
        host, scope = socket.inet_ntop(socket.AF_INET6, raw[8:24]), int.from_bytes(raw[24:28], sys.byteorder)
        return f"{host}%{scope}" if scope else host, port

    def answer(self, place: int, packet: bytes) -> None:
        """Answer the packet at this place, once, with `send`. Raises ValueError for one that is too long."""
        at, out, length = self._answers, self._out, len(packet)
        out.rooms[at][:length] = packet
        out.piece_bytes[at * _PIECE_STEP + _PIECE_AT] = length
        out.name_pointers[at * _NAME_STEP] = out.names[place]
        self._answers = at + 1

    def send(self) -> None:
        """Send the answers. Those that the kernel does not take are lost, as packets may be."""
        count, self._answers, at = self._answers, 0, 0
        while at < count:
            sent = _send(self._udp.fileno(), self._out.pointer + at * _MESSAGE_BYTES, count - at, 0)
            at += max(sent, 1)
