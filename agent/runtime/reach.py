"""Signs to other nodes as Ethernet frames of our own over the VXLAN devices, and theirs from the bridges.

They are sent on the device, so that containers of this node do not get them, and to everybody, so that each
peer does; containers there drop frames of a protocol that they do not know.
"""

from __future__ import annotations

import fcntl
import socket
import struct
from ipaddress import IPv4Address

from agent.events import Sign
from agent.labels import BRIDGE_PREFIX

#: An EtherType for experiments (IEEE 802, 9.2.3).
ETHERTYPE = 0x88B5
_MAGIC = b"bayplan\x01"
#: Magic, address, period in tenths of a second, whether it is a large one.
_BODY = struct.Struct("!8s4sHB")
_EVERYBODY = b"\xff" * 6
#: Our own unicast addresses: locally administered, with the node's address behind this.
_MAC_PREFIX = b"\x02b"
_FRAME_BYTES_MIN, _FRAME_BYTES_MAX, _HEAD_BYTES = 60, 65_535, 14
#: SIOCGIFMTU (netdevice(7)), and what it takes.
_SIOCGIFMTU, _IFREQ = 0x8921, struct.Struct("16si20x")
#: Frames that are read at once; the rest waits its turn.
FRAMES_AT_ONCE_MAX = 256


class SignSocket:
    """All devices of this network namespace. Raises OSError, as without the rights."""

    def __init__(self) -> None:
        kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK
        self._socket = socket.socket(socket.AF_PACKET, kind, socket.htons(ETHERTYPE))

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def send(self, device: str, sign: Sign) -> None:
        """To all peers of a device. Raises OSError where it is not there."""
        size = self._mtu(device) + _HEAD_BYTES if sign.large else _FRAME_BYTES_MIN
        self._socket.sendto(encoded(sign).ljust(size, b"\0"), (device, ETHERTYPE))

    def receive(self) -> list[Sign]:
        """What has come from other nodes."""
        found = []
        for _ in range(FRAMES_AT_ONCE_MAX):
            try:
                frame, sender = self._socket.recvfrom(_FRAME_BYTES_MAX)
            except BlockingIOError:
                break
            sign = decoded(frame)
            if sign is not None and sender[0].startswith(BRIDGE_PREFIX):
                found.append(sign)
        return found

    def _mtu(self, device: str) -> int:
        asked = _IFREQ.pack(device.encode(), 0)
        return int(_IFREQ.unpack(fcntl.ioctl(self._socket, _SIOCGIFMTU, asked))[1])


def encoded(sign: Sign) -> bytes:
    """A sign as a frame, without padding."""
    address = IPv4Address(sign.sender).packed
    head = _EVERYBODY + _MAC_PREFIX + address + ETHERTYPE.to_bytes(2, "big")
    return head + _BODY.pack(_MAGIC, address, round(sign.period_s * 10), sign.large)


def decoded(frame: bytes) -> Sign | None:
    """None for what is none of ours."""
    if len(frame) < _HEAD_BYTES + _BODY.size:
        return None
    magic, address, tenths, large = _BODY.unpack_from(frame, _HEAD_BYTES)
    return Sign(str(IPv4Address(address)), tenths / 10, bool(large)) if magic == _MAGIC else None
