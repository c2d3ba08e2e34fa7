"""What a bayplan-agent answers on its node, in a process of its own: DNS and HTTP out of a directory.

Ends when it is killed. `python -m bench.lookup_daemon DNS_PORT [HTTP_PORT]`; 0 is any port.
"""

from __future__ import annotations

import sys

import uvloop

from bayplan.directory import Origin
from bayplan.dns import Desk, DnsServer, Responder, Zone, bind
from bayplan.surfaces.consul.local import LocalServices
from bayplan.surfaces.http import HttpSurfaces, listen
from bench.lookup_names import STACK, services
from tests.memory_registrar import MemoryRegistrar
from tests.memory_source import MemorySource

HOST = "127.0.0.1"


async def main(dns_port: int, http_port: int = 0) -> None:
    source = MemorySource()
    source.state = Origin(node="n1", node_id="node1")
    for name, entries in services():
        source.put(STACK, name, *entries)
    surfaces = HttpSurfaces(source, LocalServices(MemoryRegistrar(source), node="n1", address="10.0.0.1"))
    await listen(surfaces, surfaces.application(), HOST, http_port, "")
    sockets = bind(HOST, dns_port)
    await DnsServer(Desk(Responder(Zone(source))), sockets).run()


if __name__ == "__main__":
    uvloop.run(main(*map(int, sys.argv[1:])))
