"""Packets for packets: what is kept stays true, and no packet does harm."""

from __future__ import annotations

import struct

import dns.flags
import dns.message
import dns.name
import dns.rcode
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayplan.dns import Responder, Zone, wire
from bayplan.dns import responder as packets
from bayplan.dns.wire import Question
from tests.unit.dns.world import World, entry, shop


def test_an_answer_lasts_until_its_service_changes() -> None:
    world = shop()
    assert world.found("web.shop") == ["10.0.0.1", "10.0.0.2"]
    world.put("web.shop", entry(5))
    assert world.found("web.shop") == ["10.0.0.5"]
    world.source.drop("shop", "web")
    assert world.rcode("web.shop") == "NXDOMAIN"
    world.put("web.shop", entry(6))
    assert world.found("web.shop") == ["10.0.0.6"]


def test_a_foreign_name_is_given_back_and_a_refusal_says_so() -> None:
    world = shop()
    for name in (r"x\007bayplan.", "example.org.", ".", "4.3.2.1.in-addr.arpa.", "bayplan.org."):
        query = dns.message.make_query(name, "A")
        question = world.responder.respond(query.to_wire())
        assert isinstance(question, Question), name
        answer = dns.message.from_wire(packets.refused(question))
        assert answer.rcode() == dns.rcode.REFUSED and query.is_response(answer)
        assert not answer.flags & dns.flags.AA


def test_the_question_is_echoed_with_its_case() -> None:
    world = shop()
    for name in ("wEb.ShOp.BAYplan.", "web.shop.bayplan.", "WEB.shop.bayplan."):
        answer = world.ask(name)
        assert answer.question[0].name.to_text() == name
        assert len(answer.answer[0]) == 2


def test_flags_of_the_question_are_minded() -> None:
    world = shop()
    query = dns.message.make_query("web.shop.bayplan", "A", want_dnssec=True)
    answer = world.ask_raw(query)
    assert answer.flags & dns.flags.AA and answer.flags & dns.flags.RD and not answer.flags & dns.flags.RA
    assert answer.edns == 0 and answer.payload == 1_232 and answer.ednsflags & dns.flags.DO
    query.flags &= ~dns.flags.RD
    assert not world.ask_raw(query).flags & dns.flags.RD
    assert world.ask("web.shop").edns == -1, "to who does not speak EDNS it is not spoken"


def test_cookies_and_other_options_change_nothing() -> None:
    world = shop()
    option = dns.edns.GenericOption(10, b"12345678")
    query = dns.message.make_query("web.shop.bayplan", "A", use_edns=0, options=[option])
    assert len(world.ask_raw(query).answer[0]) == 2


def test_what_is_too_long_comes_over_tcp() -> None:
    world = World()
    world.put("web.shop", *[entry(n, f"10.0.{n // 250}.{n % 250}", id=str(n)) for n in range(1, 501)])
    for edns, least in ((-1, 28), (1_232, 70), (65_535, 70)):
        answer = world.ask("web.shop", edns=edns)
        assert answer.flags & dns.flags.TC, "never a silent cut"
        assert len(answer.answer[0]) >= least, "some clients take what there is"
    whole = world.ask("web.shop", stream=True)
    assert not whole.flags & dns.flags.TC and len(whole.answer[0]) == 500
    firsts = {str(world.ask("web.shop").answer[0][0]) for _ in range(packets.TURNS_MAX)}
    assert len(firsts) == packets.TURNS_MAX, "the cut goes round"


def test_glue_without_room_is_left_out_silently() -> None:
    world = World()
    world.put("web.shop", *[entry(slot) for slot in range(1, 12)])
    answer = world.ask("web.shop", "SRV")
    assert not answer.flags & dns.flags.TC
    assert len(answer.answer[0]) == 11 and 0 < len(answer.additional) < 11


def test_what_is_more_than_a_packet_can_hold_goes_round_over_tcp() -> None:
    world = World()
    many = [entry(n, f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}", id=str(n)) for n in range(1, 6_000)]
    world.put("web.shop", *many)
    seen = {str(record) for _ in range(16) for record in world.ask("web.shop", stream=True).answer[0]}
    assert len(seen) == len(many)


@pytest.mark.parametrize(
    ("packet", "rcode"),
    [
        (b"", None),
        (b"\0" * 11, None),
        (struct.pack("!HHHHHH", 1, 0x8100, 1, 0, 0, 0) + b"\0\0\1\0\1", None),  # an answer
        (struct.pack("!HHHHHH", 1, 0x2000, 1, 0, 0, 0) + b"\0\0\1\0\1", dns.rcode.NOTIMP),  # NOTIFY
        (struct.pack("!HHHHHH", 1, 0, 0, 0, 0, 0), dns.rcode.FORMERR),  # no question
        (struct.pack("!HHHHHH", 1, 0, 2, 0, 0, 0) + b"\0\0\1\0\1" * 2, dns.rcode.FORMERR),
        (struct.pack("!HHHHHH", 1, 0, 1, 0, 0, 0) + b"\xc0\x0c\0\1\0\1", dns.rcode.FORMERR),  # its own name
        (struct.pack("!HHHHHH", 1, 0, 1, 0, 0, 0) + b"\3web", dns.rcode.FORMERR),
        (struct.pack("!HHHHHH", 1, 0, 1, 0, 0, 0) + b"\x3f" + b"a" * 63 * 5, dns.rcode.FORMERR),
        (struct.pack("!HHHHHH", 1, 0, 1, 0, 0, 0) + b"\0\0\1\0\1\0", dns.rcode.FORMERR),  # one byte more
        (struct.pack("!HHHHHH", 1, 0, 1, 0, 0, 9) + b"\0\0\1\0\1", dns.rcode.FORMERR),
    ],
)
def test_malformed_packets_get_their_code_or_nothing(packet: bytes, rcode: int | None) -> None:
    answer = shop().responder.respond(packet)
    if rcode is None:
        assert answer is None
    else:
        assert isinstance(answer, bytes) and dns.message.from_wire(answer).rcode() == rcode


def test_an_unknown_version_of_edns_is_told_the_known_one() -> None:
    query = dns.message.make_query("web.shop.bayplan", "A", use_edns=1)
    packet = shop().responder.respond(query.to_wire())
    assert isinstance(packet, bytes)
    answer = dns.message.from_wire(packet)
    assert answer.rcode() == dns.rcode.BADVERS and answer.edns == 0


def test_any_is_answered_shortly_and_transfers_are_not() -> None:
    world = shop()
    assert world.found("web.shop", "ANY") == ['"RFC8482" ""']
    assert world.ask("bayplan.", "AXFR", stream=True).rcode() == dns.rcode.REFUSED


def test_guessed_names_do_not_drive_out_what_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packets, "PASSING_MAX", 20)
    world = shop()
    world.responder = Responder(Zone(world.source), kept_max=200)
    world.ask("web.shop")
    before = world.responder.kept
    for number in range(500):
        world.ask(f"guess{number}.shop")
        assert world.responder.kept <= before + 20
    for number in range(500):
        world.ask("web.shop", f"TYPE{number + 1_000}")
    assert world.responder.kept <= before + 20


def test_what_is_kept_has_a_bound() -> None:
    world = World()
    world.responder = Responder(Zone(world.source), kept_max=50)
    for number in range(60):
        world.put(f"s{number}.shop", entry(1))
        assert world.found(f"s{number}.shop") == ["10.0.0.1"]
        world.ask(f"s{number}.shop", "SRV")
        assert world.responder.kept <= 51


_WORLD = shop()
_QUERIES = [
    dns.message.make_query(name, kind, use_edns=edns).to_wire()
    for name in ("web.shop.bayplan", "1.web.shop.bayplan", "bayplan", "example.org", "1.0.0.10.in-addr.arpa")
    for kind in ("A", "SRV", "PTR")
    for edns in (-1, 0)
]


def _answered(packet: bytes, stream: bool) -> None:
    """Whatever comes, the answer is one that dnspython can read and that is no longer than it may be."""
    answer = _WORLD.responder.respond(packet, stream)
    if isinstance(answer, bytes):
        dns.message.from_wire(answer)
        assert answer[:2] == packet[:2] and (stream or len(answer) <= 1_232)
    elif isinstance(answer, Question):
        dns.message.from_wire(packets.refused(answer))


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=600), st.booleans())
def test_no_packet_does_harm(packet: bytes, stream: bool) -> None:
    _answered(packet, stream)


@settings(max_examples=2_000, deadline=None)
@given(st.data())
def test_no_broken_question_does_harm(data: st.DataObject) -> None:
    packet = bytearray(data.draw(st.sampled_from(_QUERIES)))
    for _ in range(data.draw(st.integers(0, 4))):
        packet[data.draw(st.integers(0, len(packet) - 1))] = data.draw(st.integers(0, 255))
    packet = packet[: data.draw(st.integers(0, len(packet)))] + data.draw(st.binary(max_size=12))
    _answered(bytes(packet), data.draw(st.booleans()))


_LABEL = st.binary(min_size=1, max_size=63)


@settings(max_examples=500, deadline=None)
@given(st.lists(_LABEL, max_size=4), st.integers(0, 65_535), st.booleans())
def test_any_name_and_type_is_answered(labels: list[bytes], kind: int, below: bool) -> None:
    tail = (b"shop", b"bayplan", b"") if below else (b"",)
    try:
        name = dns.name.Name((*labels, *tail))
    except dns.name.NameTooLong:
        return
    packet = struct.pack("!HHHHHH", 7, 0, 1, 0, 0, 0) + name.to_wire() + struct.pack("!HH", kind, 1)
    _answered(packet, False)


def test_the_short_form_of_an_answer_is_no_longer_than_its_question() -> None:
    query = dns.message.make_query("web.shop.bayplan", "SRV").to_wire()
    answer = shop().responder.respond(query)
    assert isinstance(answer, bytes)
    short = wire.truncated(answer)
    assert len(short) <= len(query) < len(answer)
    assert dns.message.from_wire(short).flags & dns.flags.TC
