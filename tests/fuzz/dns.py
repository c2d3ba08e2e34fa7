"""Bytes -> DNS packets -> answers: whatever comes, what leaves is a packet that others can read.

    python -m tests.fuzz.dns [SECONDS]

Coverage-guided (atheris), without sockets; dnspython reads the answers. The first byte of an input says
whether it came over TCP, and whether a container sent it. An input that breaks anything is printed and kept.
"""

from __future__ import annotations

import sys
import tempfile
from ipaddress import IPv4Network
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["bayplan.dns"]):
    from bayplan.dns import NetworkNames, NetworkZone, Responder, Scope, Zone, wire
    from bayplan.dns.responder import failed, refused
    from bayplan.dns.wire import Question

import dns.message

from bayplan.directory import Entry, Facade, Listing, Origin, Port, Standing
from tests.memory_source import MemorySource

#: How long to look when nothing else is said, in seconds.
SECONDS = 60
#: Largest input in bytes, and how long one may take, in seconds.
INPUT_BYTES_MAX, INPUT_S = 1_400, 5

NAMES = (
    "web.shop", "all.web.shop", "local.web.shop", "tasks.web.shop", "3.web.shop", "v2.web.shop", "n1.node",
    "_web._tcp.shop", "_http._tcp.web.shop", "0a000001.addr", "ns", "a.b.shop", "b.shop", "shop",
)  # fmt: skip
INSIDE = ("web", "www", "tasks.web", "3.web", "bp-a", "db", "_http._tcp.web", "1.0.64.10.in-addr.arpa")
ELSEWHERE = ("bayplan.", "1.0.0.10.in-addr.arpa.", f"1.{'0.' * 23}8.b.d.0.1.0.0.2.ip6.arpa.", "example.org.")
KINDS = ("A", "AAAA", "SRV", "TXT", "PTR", "SOA", "NS", "ANY", "AXFR")


def world() -> MemorySource:
    """A shop with a bit of everything."""
    source = MemorySource()
    source.state = Origin(node="n1")
    ports = (Port(target=80, published=8080, name="http"),)
    several = [
        Entry(
            id="a",
            slot=1,
            address="10.0.0.1",
            port=8080,
            ports=ports,
            version=1,
            node="n1",
            networks={"front": "10.64.0.1"},
            target=80,
        ),
        Entry(id="b", slot=2, address="2001:db8::1", port=1, version=2, standing=Standing.SUSPECT),
        Entry(id="c", slot=3, address="a name", port=2, standing=Standing.STARTING),
    ]
    facade = Facade(names={"front": ("web", "www")}, vips={"front": "10.64.1.1"})
    source.put("shop", "web", *several, facade=facade)
    db = Entry(id="d", networks={"back": "10.65.0.1"})
    source.put("shop", "db", db, facade=Facade(names={"back": ("db",)}))
    source.put("blog", "db", facade=Facade(names={"far": ("db", "www")}))
    source.put("shop", "a.b", *[Entry(id=str(n), address=f"10.1.0.{n}", port=n) for n in range(1, 200)])
    nodes = [Entry(id="k1", node="n1", address="10.0.0.1")]
    source.directory.put(Listing.of("", "", 3, nodes), source.directory.index + 1)
    return source


SOURCE = world()
SCOPE = Scope(("front", "back"), (IPv4Network("10.64.0.0/20"),), "shop")
#: What answers on the node, and what answers its containers.
RESPONDERS = (
    Responder(Zone(SOURCE, addresses=("127.0.0.1",))),
    Responder(NetworkZone(SOURCE, NetworkNames(SOURCE.directory), SCOPE)),
)


def one(data: bytes) -> None:
    """One input."""
    how, packet = data[0] if data else 0, data[1:]
    stream = bool(how & 1)
    answer = RESPONDERS[how >> 1 & 1].respond(packet, stream)
    if isinstance(answer, Question):
        for said in (refused(answer), failed(answer), wire.query(answer, 1)):
            dns.message.from_wire(said)
    elif answer is not None:
        assert answer[:2] == packet[:2] and answer[2] & 0x80
        assert len(answer) <= (wire.TCP_BYTES_MAX if stream else wire.EDNS_BYTES_MAX)
        dns.message.from_wire(answer)
        dns.message.from_wire(wire.truncated(answer))


def seeds() -> list[bytes]:
    """Questions about all that the world has."""
    names = (*(f"{each}.bayplan." for each in NAMES), *(f"{each}." for each in INSIDE), *ELSEWHERE)
    return [
        how + dns.message.make_query(name, kind, use_edns=edns, id=1).to_wire()
        for how in (b"\0", b"\2")
        for name in names
        for kind in KINDS
        for edns in (-1, 0)
    ]


def main() -> None:
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else SECONDS
    with tempfile.TemporaryDirectory(prefix="bayplan-fuzz-") as folder:
        for number, seed in enumerate(seeds()):
            one(seed)
            Path(folder, str(number)).write_bytes(seed)
        flags = (
            f"-max_total_time={seconds}", f"-max_len={INPUT_BYTES_MAX}", f"-timeout={INPUT_S}",
            "-artifact_prefix=fuzz-", "-verbosity=0", "-print_final_stats=1",
        )  # fmt: skip
        atheris.Setup([sys.argv[0], *flags, folder], one)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
