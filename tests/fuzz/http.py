"""Bytes -> requests of the HTTP surfaces -> answers: nothing but the typed errors may leave.

    python -m tests.fuzz.http [SECONDS]

Coverage-guided (atheris), without sockets: targets of reads, bodies of writes, and whole requests for the
quick path, which must say what the slow one does. An input that raises anything else is printed and kept.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["bayplan.surfaces", "bayplan.units"]):
    from bayplan.surfaces.asking import Answer, Asked, View
    from bayplan.surfaces.consul.local import LocalServices
    from bayplan.surfaces.http import HttpSurfaces
    from bayplan.surfaces.quick import QuickAnswers, plain_question

from bayplan.directory import Entry, Origin, Standing
from bayplan.errors import ProblemError
from tests.memory_registrar import MemoryRegistrar
from tests.memory_source import MemorySource

#: How long to look when nothing else is said, in seconds.
SECONDS = 60
#: Largest input in bytes, and how long one may take, in seconds.
INPUT_BYTES_MAX, INPUT_S = 2_048, 5

READS = [
    "/v1/lookup/shop/web",
    "/v1/services",
    "/v1/prometheus",
    "/web",
    "/web.shop",
    "/eureka/apps",
    "/eureka/apps/SHOP_WEB/t1",
    "/v1/agent/self",
    "/v1/agent/services",
    "/v1/agent/checks",
    "/v1/agent/service/t1",
    "/v1/catalog/services",
    "/v1/catalog/service/shop_web",
    "/v1/catalog/nodes",
    "/v1/catalog/node/n1",
    "/v1/catalog/datacenters",
    "/v1/health/service/shop_web",
    "/v1/health/checks/mail",
    "/v1/health/state/any",
    "/v1/health/node/n1",
    "/v1/status/leader",
    "/v1/status/peers",
]
WRITES = [
    "agent/service/register",
    "agent/service/deregister/m",
    "agent/service/maintenance/m",
    "agent/check/register",
    "agent/check/deregister/service:m",
    "agent/check/pass/service:m",
    "agent/check/warn/service:m",
    "agent/check/fail/service:m",
    "agent/check/update/service:m",
    "catalog/register",
    "catalog/deregister",
]
PARAMETERS = [
    "index",
    "wait",
    "passing",
    "tag",
    "near",
    "node-meta",
    "filter",
    "dc",
    "ns",
    "stale",
    "consistent",
    "pretty",
    "all",
    "version",
    "enable",
    "reason",
    "note",
    "stack",
    "service",
    "ready",
    "replace-existing-checks",
]
BODIES = (
    b'{"Name": "mail", "ID": "m", "Check": {"TTL": "10s", "Status": "passing"}, "Meta": {"a": "b"}}',
    b'{"Node": "x", "Address": "10.0.0.9", "Service": {"Service": "db"}, "Checks": [{"CheckID": "c"}]}',
    b'{"Name": "disk", "ServiceID": "m", "TTL": "5s", "DeregisterCriticalServiceAfter": "1m"}',
    b'{"Status": "warning", "Output": "x"}',
)


class World:
    """A small directory, what is registered, and both paths to it."""

    def __init__(self) -> None:
        source = MemorySource()
        source.state = Origin(node="n1", node_id="node1")
        entries = [
            Entry(id=f"t{number}", slot=number, standing=standing, node="n1", address="10.0.0.1", port=80)
            for number, standing in enumerate(Standing, 1)
        ]
        source.put("shop", "web", *entries)
        source.put("", "", Entry(id="node1", node="n1", address="10.0.0.1", zone="a", meta={"rack": "7"}))
        self.surfaces = HttpSurfaces(source, LocalServices(MemoryRegistrar(source), node="n1"))
        self.view = View(source.directory, source.state)
        self.quick = QuickAnswers(self.surfaces.understood, self.surfaces.views.now)

    def read(self, target: str, accept: str) -> Answer | None:
        """What the slow path says; None for what is not read here, or waits."""
        understood = self.surfaces.understood(Asked.of(target, accept))
        return understood[0].made(self.view) if understood else None

    async def write(self, target: str, body: bytes) -> None:
        await self.surfaces.writes.write(Asked.of(target), body)


LOOP = asyncio.new_event_loop()


def one(data: bytes) -> None:
    """One input: its first byte says what it is."""
    if data:
        world = World()
        (_request, _target, _body)[data[0] % 3](world, data[1:])


def _request(world: World, data: bytes) -> None:
    said, question = world.quick.answer(data), plain_question(data)
    if said is not None:
        assert question is not None
        answer = world.read(*question)
        assert answer is not None and said.endswith(b"\r\n\r\n" + answer.body)


def _target(world: World, data: bytes) -> None:
    try:
        world.read(data.decode("latin-1"), "application/json" if len(data) % 2 else "")
    except ProblemError:
        return


def _body(world: World, data: bytes) -> None:
    target, _, body = data.partition(b"\n")
    for each in (*BODIES[:1], body):
        try:
            LOOP.run_until_complete(world.write(f"/v1/{target.decode('latin-1')}", each))
        except ProblemError:
            continue


def seeds() -> list[bytes]:
    """An input of each kind for each path."""
    return [
        *[f"\0GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode() for target in READS],
        *[f"\1{target}?{'&'.join(PARAMETERS)}".encode() for target in READS],
        *[f"\2{target}?enable=true\n".encode() + body for target in WRITES for body in BODIES],
    ]


def main() -> None:
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else SECONDS
    with tempfile.TemporaryDirectory(prefix="bayplan-fuzz-") as name:
        folder = Path(name)
        words = [*PARAMETERS, *READS, *WRITES, "zone:a", "_agent", "10s", "critical"]
        (folder / "words").write_text("\n".join(f'"{word}"' for word in words) + "\n")
        (folder / "found").mkdir()
        for number, seed in enumerate(seeds()):
            one(seed)
            (folder / "found" / str(number)).write_bytes(seed)
        flags = (
            f"-max_total_time={seconds}", f"-max_len={INPUT_BYTES_MAX}", f"-timeout={INPUT_S}",
            f"-dict={folder / 'words'}", "-artifact_prefix=fuzz-", "-verbosity=0", "-print_final_stats=1",
        )  # fmt: skip
        atheris.Setup([sys.argv[0], *flags, str(folder / "found")], one)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
