"""The wire format of DNS (RFC 1035), as far as a server of one zone needs it: questions in, records out.

A question is kept byte for byte, so that the answer echoes it with its case (0x20). Knows no names of ours.
"""

from __future__ import annotations

import enum
import struct
from typing import NamedTuple

#: Bytes of a name with its length bytes, and of one label (RFC 1035, 2.3.4).
NAME_BYTES_MAX, LABEL_BYTES_MAX = 255, 63
#: Bytes of an answer over UDP without EDNS (RFC 1035, 4.2.1), and with it at most: what passes everywhere
#: without fragments (https://www.dnsflagday.net/2020/). Over TCP its length has 16 bits.
UDP_BYTES, EDNS_BYTES_MAX, TCP_BYTES_MAX = 512, 1_232, 65_535
#: Additional records of a question that are looked at; a resolver sends one or two.
ADDITIONAL_MAX = 4
#: Bytes of one string of a TXT record (RFC 1035, 3.3).
STRING_BYTES_MAX = 255

#: Bytes of the header, and of an OPT record without options.
HEADER_BYTES, OPT_BYTES = 12, 11
#: In place of an owner's name: the name in the question, which stands right behind the header.
QUESTION_POINTER = b"\xc0\x0c"
CLASS_IN, CLASS_ANY = 1, 255

_HEADER = struct.Struct("!HHHHHH")
_TYPE_CLASS = struct.Struct("!HH")
_RECORD = struct.Struct("!HHIH")
#: Pointers have 14 bits (RFC 1035, 4.1.4).
_POINTER, _POINTER_MAX = 0xC000, 0x3FFF
#: A SRV record's target stands behind its owner (a pointer), type, class, TTL, length and three numbers.
_SRV_TARGET_AT = 2 + _RECORD.size + 6

_RESPONSE, _OPCODE, _AUTHORITATIVE, _TRUNCATED = 0x8000, 0x7800, 0x0400, 0x0200
_RECURSION_DESIRED, _RECURSION_AVAILABLE = 0x0100, 0x0080
_DNSSEC_OK = 0x8000


class Type(enum.IntEnum):
    """Types of records that are answered or understood."""

    A = 1
    NS = 2
    SOA = 6
    PTR = 12
    HINFO = 13
    TXT = 16
    AAAA = 28
    SRV = 33
    OPT = 41
    IXFR = 251
    AXFR = 252
    ANY = 255


class Rcode(enum.IntEnum):
    """What came of a question. BADVERS is an extended one (RFC 6891)."""

    OK = 0
    FORMERR = 1
    SERVFAIL = 2
    NXDOMAIN = 3
    NOTIMP = 4
    REFUSED = 5
    BADVERS = 16


class Edns(NamedTuple):
    """What an asker says with EDNS: the bytes that it takes over UDP, the version, and the flag DO, which an
    answer repeats (RFC 3225)."""

    size: int = EDNS_BYTES_MAX
    version: int = 0
    dnssec_ok: bool = False


class Question(NamedTuple):
    """One question. `name` is its name in lower case, in the wire's form; `raw` the question section as it
    came; `edns` is None for who does not speak it."""

    id: int
    name: bytes
    type: int
    klass: int
    raw: bytes
    recursion: bool = False
    edns: Edns | None = None

    @property
    def udp_bytes_max(self) -> int:
        """The most bytes of an answer over UDP."""
        return min(max(self.edns.size, UDP_BYTES), EDNS_BYTES_MAX) if self.edns else UDP_BYTES


class Fault(NamedTuple):
    """A packet that is no question to answer, and what to say of it. `flags` are the packet's."""

    id: int
    rcode: Rcode
    flags: int
    raw: bytes = b""
    edns: bool = False


class Record(NamedTuple):
    """A record, encoded. `glue`, for SRV, is the record of its target's address, without its owner."""

    data: bytes
    glue: bytes = b""


def parse(packet: bytes) -> Question | Fault | None:
    """The question in a packet, the fault in it, or None where nothing must be answered: what has no header,
    and what is itself an answer (else two servers could answer each other for ever)."""
    if len(packet) < HEADER_BYTES:
        return None
    ident, flags, questions, answers, authority, additional = _HEADER.unpack_from(packet)
    if flags & _RESPONSE:
        return None
    if flags & _OPCODE:
        return Fault(ident, Rcode.NOTIMP, flags)
    end = _name_end(packet, HEADER_BYTES)
    if questions != 1 or answers or authority or end is None or end + 4 > len(packet):
        return Fault(ident, Rcode.FORMERR, flags)
    kind, klass = _TYPE_CLASS.unpack_from(packet, end)
    raw, edns = packet[HEADER_BYTES : end + 4], None
    if additional or end + 4 != len(packet):
        try:
            edns = _edns(packet, end + 4, additional)
        except ValueError:
            return Fault(ident, Rcode.FORMERR, flags)
        if edns is not None and edns.version:
            return Fault(ident, Rcode.BADVERS, flags, raw, edns=True)
    name = packet[HEADER_BYTES:end].lower()
    return Question(ident, name, kind, klass, raw, bool(flags & _RECURSION_DESIRED), edns)


def _name_end(packet: bytes, at: int) -> int | None:
    """Where a name without pointers ends; None when it does not, or is too long."""
    begin, size = at, len(packet)
    while at < size:
        length = packet[at]
        if length > LABEL_BYTES_MAX:
            return None
        at += 1 + length
        if not length:
            return at if at - begin <= NAME_BYTES_MAX else None
    return None


def _skip_name(packet: bytes, at: int) -> int:
    """Behind the owner of a record, which may end in a pointer. Raises ValueError."""
    while at < len(packet):
        length = packet[at]
        if length >= _POINTER >> 8:
            return at + 2
        if length > LABEL_BYTES_MAX:
            break
        at += 1 + length
        if not length:
            return at
    raise ValueError("a name does not end")


def _edns(packet: bytes, at: int, count: int) -> Edns | None:
    """The OPT record (RFC 6891, 6.1) among the additional ones. Raises ValueError for records that are
    malformed or too many, two OPTs, and what comes behind them."""
    found = None
    if count > ADDITIONAL_MAX:
        raise ValueError("too many additional records")
    for _ in range(count):
        begin, behind = at, _skip_name(packet, at)
        if behind + _RECORD.size > len(packet):
            raise ValueError("a record is cut off")
        kind, klass, ttl, length = _RECORD.unpack_from(packet, behind)
        at = behind + _RECORD.size + length
        if kind == Type.OPT:
            if found is not None or behind - begin != 1:
                raise ValueError("two OPT records, or one with an owner")
            found = Edns(klass, ttl >> 16 & 0xFF, bool(ttl & _DNSSEC_OK))
    if at != len(packet):
        raise ValueError("the packet is longer or shorter than its records")
    return found


class Sections(NamedTuple):
    """What stands behind a question: records in order of preference, and at most one of authority."""

    rcode: Rcode
    records: tuple[Record, ...] = ()
    authority: bytes = b""


def reply(
    question: Question, said: Sections, limit: int, *, recursion: bool = False, own: bool = True
) -> bytes:
    """The packet that answers a question in at most `limit` bytes (>= 512).

    Glue that finds no room is left out, for it can be asked for (RFC 2181, 9). Where records find none, the
    packet has as many as fit and says that it is truncated, so that the asker comes again over TCP; over
    TCP itself, more than which there is not, it only has as many as fit.
    `own`: the answer is of our own zone; `recursion`: the server also forwards.
    """
    opt = _opt(0, question.edns) if question.edns else b""
    size = HEADER_BYTES + len(question.raw) + len(opt) + len(said.authority)
    parts, places = [], []
    for record in said.records:
        if size + len(record.data) > limit:
            break
        parts.append(record.data)
        if record.glue:
            places.append((size - len(opt) - len(said.authority), record.glue))
        size += len(record.data)
    fits = len(parts) == len(said.records)
    glue = _glue(places, limit - size) if fits else []
    flags = _RESPONSE | said.rcode | (_AUTHORITATIVE if own else 0)
    flags |= (_RECURSION_DESIRED if question.recursion else 0) | (_RECURSION_AVAILABLE if recursion else 0)
    flags |= 0 if fits or limit == TCP_BYTES_MAX else _TRUNCATED
    more = len(glue) + bool(opt)
    header = _HEADER.pack(question.id, flags, 1, len(parts), bool(said.authority), more)
    return b"".join((header, question.raw, *parts, said.authority, *glue, opt))


def _glue(places: list[tuple[int, bytes]], room: int) -> list[bytes]:
    """The glue of the SRV records at these places, each once, as far as there is room."""
    found: dict[bytes, bytes] = {}
    for at, glue in places:
        if glue in found or at + _SRV_TARGET_AT > _POINTER_MAX:
            continue
        room -= 2 + len(glue)
        if room < 0:
            break
        found[glue] = pointer(at + _SRV_TARGET_AT) + glue
    return list(found.values())


def truncated(packet: bytes) -> bytes:
    """The same answer without its records, no larger than its question: come again over TCP."""
    ident, flags, _, _, _, _ = _HEADER.unpack_from(packet)
    end = _name_end(packet, HEADER_BYTES)
    raw = packet[HEADER_BYTES : end + 4] if end is not None else b""
    return _HEADER.pack(ident, flags | _TRUNCATED, 1 if raw else 0, 0, 0, 0) + raw


def recursive(packet: bytes) -> bytes:
    """The same answer, from a server that also asks others."""
    return packet[:3] + bytes([packet[3] | _RECURSION_AVAILABLE]) + packet[4:]


def query(question: Question, ident: int) -> bytes:
    """The same question to somebody else, without what only its asker knows (cookies, its network)."""
    opt = _opt(0, question.edns, question.udp_bytes_max) if question.edns else b""
    return _HEADER.pack(ident, _RECURSION_DESIRED, 1, 0, 0, 1 if opt else 0) + question.raw + opt


def answers(packet: bytes, question: Question, ident: int) -> bool:
    """Whether a packet answers this question with this id."""
    if len(packet) < HEADER_BYTES + len(question.raw) or packet[:2] != ident.to_bytes(2, "big"):
        return False
    asked = packet[HEADER_BYTES : HEADER_BYTES + len(question.raw)]
    return bool(packet[2] & _RESPONSE >> 8) and asked[:-4].lower() == question.name


def refusal(fault: Fault) -> bytes:
    """The packet that says what was wrong with one; without its question where that could not be read."""
    flags = _RESPONSE | fault.flags & (_OPCODE | _RECURSION_DESIRED) | fault.rcode & 0xF
    opt = _opt(fault.rcode >> 4, Edns()) if fault.edns else b""
    header = _HEADER.pack(fault.id, flags, 1 if fault.raw else 0, 0, 0, 1 if opt else 0)
    return header + fault.raw + opt


def _opt(extended: int, edns: Edns, size: int = EDNS_BYTES_MAX) -> bytes:
    flags = extended << 24 | (_DNSSEC_OK if edns.dnssec_ok else 0)
    return b"\0" + _RECORD.pack(Type.OPT, size, flags, 0)


def name(*labels: str) -> bytes:
    """A name on the wire, in lower case, from its labels. Raises ValueError for one that is no name."""
    parts = [label.lower().encode("ascii") for label in labels]
    if any(not 0 < len(part) <= LABEL_BYTES_MAX for part in parts):
        raise ValueError(f"{'.'.join(labels)!r} has a label that is empty or over {LABEL_BYTES_MAX} bytes")
    found = b"".join(bytes([len(part)]) + part for part in parts) + b"\0"
    if len(found) > NAME_BYTES_MAX:
        raise ValueError(f"{'.'.join(labels)!r} is longer than {NAME_BYTES_MAX} bytes")
    return found


def labels(wire: bytes) -> list[bytes]:
    """The labels of a name without pointers."""
    found, at = [], 0
    while wire[at]:
        found.append(wire[at + 1 : at + 1 + wire[at]])
        at += 1 + wire[at]
    return found


def pointer(at: int) -> bytes:
    """In place of the rest of a name: it stands at this offset of the packet."""
    return (_POINTER | at).to_bytes(2, "big")


def record(owner: bytes, kind: Type, ttl_s: int, data: bytes) -> bytes:
    """A record of the class IN."""
    return owner + _RECORD.pack(kind, CLASS_IN, ttl_s, len(data)) + data


def srv(priority: int, weight: int, port: int, target: bytes) -> bytes:
    """The data of a SRV record (RFC 2782: its target is never compressed)."""
    return struct.pack("!HHH", priority, weight, port) + target


def txt(*strings: str) -> bytes:
    """The data of a TXT record; strings that are too long are left out."""
    encoded = [each.encode() for each in strings]
    return b"".join(bytes([len(each)]) + each for each in encoded if len(each) <= STRING_BYTES_MAX) or b"\0"


def soa(server: bytes, contact: bytes, serial: int, negative_ttl_s: int) -> bytes:
    """The data of a SOA record; its last number is how long a "no" may be kept (RFC 2308)."""
    return server + contact + struct.pack("!IIIII", serial & 0xFFFFFFFF, 3_600, 600, 86_400, negative_ttl_s)
