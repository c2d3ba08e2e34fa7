"""Packets in, packets out. Answers are kept encoded, by the packet that asks for them, until what they hang
on changes; a packet that was seen before costs one lookup and its id. Pure; knows no sockets.
"""

from __future__ import annotations

from itertools import chain
from typing import Protocol

from bayplan.directory import Directory, Origin
from bayplan.dns import wire
from bayplan.dns.records import RecordGroups
from bayplan.dns.wire import (
    CLASS_ANY,
    CLASS_IN,
    HEADER_BYTES,
    OPT_BYTES,
    TCP_BYTES_MAX,
    Edns,
    Question,
    Rcode,
    Record,
    Sections,
    Type,
)
from bayplan.dns.zone import Answer

#: Orders of its records in which one answer is kept at most; clients take the first.
TURNS_MAX = 16
#: Answers that are kept, and bytes of them; beyond either all are made anew.
KEPT_MAX, KEPT_BYTES_MAX = 50_000, 32 * 1024 * 1024
#: Of those the ones that hang on nothing that exists: whoever guesses names shall not drive out the others.
PASSING_MAX = 10_000
#: Bytes that a kept answer takes beside its packets, about.
_KEPT_BYTES = 500

_TRANSFERS = (Type.AXFR, Type.IXFR)
_TYPES = frozenset(Type)
#: The key of an answer: what of a question it depends on, or all of a packet but its id.
_Key = tuple[bytes, int, int, bool, Edns | None] | bytes


class _Kept:
    """The packets that answer one question, without their ids: one for each turn, made when it comes."""

    __slots__ = ("_answer", "_limit", "_question", "_tails", "_turn", "_turns", "absent", "hangs_on")

    def __init__(self, question: Question, answer: Answer, limit: int) -> None:
        self._question, self._answer, self._limit = question, answer, limit
        self.absent = answer.absent
        self.hangs_on = answer.key if question.type in _TYPES else None
        self._turns = max(1, min(TURNS_MAX, max(map(len, answer.groups), default=1)))
        self._tails: list[bytes | None] = [None] * self._turns
        self._turn = -1

    @property
    def bytes_max(self) -> int:
        """How many bytes it takes at most, about."""
        records = sum(len(each.data) + len(each.glue) for group in self._answer.groups for each in group)
        return _KEPT_BYTES + self._turns * min(records, self._limit)

    def next(self) -> bytes:
        """Another order each time."""
        turn = self._turn + 1
        self._turn = turn = turn if turn < self._turns else 0
        return self._tails[turn] or self._made(turn)

    def _made(self, turn: int) -> bytes:
        records = tuple(chain.from_iterable(_turned(self._answer.groups, turn, self._turns)))
        said = Sections(self._answer.rcode, records, self._answer.authority)
        tail = self._tails[turn] = wire.reply(self._question, said, self._limit)[2:]
        return tail


def _turned(groups: RecordGroups, turn: int, turns: int) -> list[tuple[Record, ...]]:
    """Each group from another of its records on, over all turns from all parts of it."""
    starts = [turn * len(group) // turns for group in groups]
    return [group[start:] + group[:start] for group, start in zip(groups, starts, strict=True)]


class Answers(Protocol):
    """What a responder asks: see `bayplan.dns.zone.Zone`."""

    directory: Directory
    index: int

    def update(self) -> list[str] | None: ...

    def origin(self) -> Origin: ...

    def answer(self, name: bytes, kind: int) -> Answer | None: ...


class Responder:
    """Answers packets from a zone, and keeps at most so many answers of so many bytes."""

    def __init__(self, zone: Answers, kept_max: int = KEPT_MAX, bytes_max: int = KEPT_BYTES_MAX) -> None:
        self._zone, self._directory, self._index = zone, zone.directory, zone.index
        self._kept_max, self._bytes_max = kept_max, bytes_max
        #: By packets over UDP and over TCP, which may be longer.
        self._kept: tuple[dict[_Key, _Kept], dict[_Key, _Kept]] = {}, {}
        #: What hangs on a listing, by its key; under "" what hangs on any.
        self._by_key: dict[str, list[tuple[bool, _Key]]] = {}
        self._bytes = 0

    @property
    def kept(self) -> int:
        """How many answers are kept."""
        return len(self._kept[False]) + len(self._kept[True])

    def respond(self, packet: bytes, stream: bool = False) -> bytes | Question | None:
        """The packet that answers one; over a `stream` it may be long. None: nothing must be said. A question
        whose name is in no zone of ours comes back as it is."""
        if self._directory.index != self._index:
            self._update()
        kept = self._kept[stream].get(packet[2:])
        if kept is not None and not (kept.absent and not self._zone.origin().whole):
            return packet[:2] + kept.next()
        question = wire.parse(packet)
        if isinstance(question, Question):
            return self._answer(question, packet, stream)
        return question and wire.refusal(question)

    def _answer(self, question: Question, packet: bytes, stream: bool) -> bytes | Question:
        """What is said to a question, kept for the next that asks so."""
        if question.klass not in (CLASS_IN, CLASS_ANY) or question.type in _TRANSFERS:
            return refused(question)
        limit = TCP_BYTES_MAX if stream else question.udp_bytes_max
        edns = question.edns and question.edns._replace(size=limit)
        key = question.name, question.type, question.klass, question.recursion, edns
        kept = self._kept[stream].get(key)
        if kept is None:
            answer = self._zone.answer(question.name, question.type)
            if answer is None:
                return question
            plain = question._replace(raw=question.name + question.raw[-4:])
            kept = _Kept(plain, answer, limit)
            self._keep(key, kept, stream)
        if _is_plain(question, packet):
            self._keep(packet[2:], kept, stream)
        if kept.absent and not self._zone.origin().whole:
            return failed(question)
        return _echoed(question, kept.next())

    def _keep(self, key: _Key, kept: _Kept, stream: bool) -> None:
        """Keep an answer, unless it holds only now or nobody asks so in earnest."""
        hangs_on = kept.hangs_on
        if hangs_on is None or key in self._kept[stream]:
            return
        if not hangs_on and len(self._by_key.get("", ())) >= PASSING_MAX:
            self._drop("")
        if self.kept >= self._kept_max or self._bytes >= self._bytes_max:
            self._drop_all()
        self._kept[stream][key] = kept
        self._by_key.setdefault(hangs_on, []).append((stream, key))
        self._bytes += kept.bytes_max

    def _update(self) -> None:
        """Forget the answers that hang on what has changed."""
        changed = self._zone.update()
        self._index = self._zone.index
        if changed is None:
            self._drop_all()
        for key in ["", *(changed or ())]:
            self._drop(key)

    def _drop(self, hangs_on: str) -> None:
        for stream, key in self._by_key.pop(hangs_on, ()):
            kept = self._kept[stream].pop(key, None)
            self._bytes -= kept.bytes_max if kept is not None else 0

    def _drop_all(self) -> None:
        self._kept[False].clear()
        self._kept[True].clear()
        self._by_key.clear()
        self._bytes = 0


def refused(question: Question) -> bytes:
    """It is nothing that is answered here."""
    return wire.reply(question, Sections(Rcode.REFUSED), wire.UDP_BYTES, own=False)


def failed(question: Question) -> bytes:
    """It cannot be said now: ask again, or somebody else."""
    return wire.reply(question, Sections(Rcode.SERVFAIL), wire.UDP_BYTES, own=False)


def _is_plain(question: Question, packet: bytes) -> bool:
    """Whether others will ask by the same packet: in lower case, without options such as cookies."""
    size = HEADER_BYTES + len(question.raw) + (OPT_BYTES if question.edns else 0)
    return len(packet) == size and question.raw.startswith(question.name)


def _echoed(question: Question, tail: bytes) -> bytes:
    """The packet with the question as it was asked."""
    end = HEADER_BYTES - 2 + len(question.raw)
    return question.id.to_bytes(2, "big") + tail[: HEADER_BYTES - 2] + question.raw + tail[end:]
