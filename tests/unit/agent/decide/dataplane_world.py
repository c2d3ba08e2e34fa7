"""A small language for tests of the data plane: services of instances on a network of three nodes."""

from __future__ import annotations

from agent.decide.dataplane import Place, Segment
from bayplan.directory import Entry, Facade, Listing, Port, Published, Standing
from bayplan.model.base import Protocol

#: Node n is 10.9.0.n; the tests look from n1, where `net` and the internal `inner` are up.
HERE = Place("n1", {"net": Segment("net", "bp-1"), "inner": Segment("inner", "bp-2", internal=True)})


def entry(
    number: int,
    node: int = 1,
    *,
    standing: Standing = Standing.READY,
    weight: int = 1,
    networks: dict[str, str] | None = None,
    protocol: Protocol = Protocol.TCP,
) -> Entry:
    """Instance 10.64.<node>.<number> on `net`, whose port 80 its node has as 30000 + number."""
    return Entry(
        id=f"t{node}-{number}",
        slot=number,
        standing=standing,
        weight=weight,
        node_id=f"n{node}",
        address=f"10.9.0.{node}",
        networks={"net": f"10.64.{node}.{number}"} if networks is None else networks,
        target=80,
        ports=(Port(target=80, published=30_000 + number, protocol=protocol),),
    )


def published(port: int, host_ip: str = "", protocol: Protocol = Protocol.TCP) -> Published:
    return Published(target=80, published=port, host_ip=host_ip, protocol=protocol)


def listing(
    *entries: Entry,
    service: str = "web",
    vip: str = "10.64.15.1",
    ports: tuple[Published, ...] = (),
    local_first: bool = False,
    vips: dict[str, str] | None = None,
) -> Listing:
    given = {"net": vip} if vip else {}
    facade = Facade(vips=given if vips is None else vips, published=ports, local_first=local_first)
    return Listing.of("shop", service, 1, entries, facade=facade)
