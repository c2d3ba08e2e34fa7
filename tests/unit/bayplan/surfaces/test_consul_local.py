"""What registers over Consul's API, and how it is kept: on a clock that only the tests move."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bayplan.directory import Origin, Standing
from bayplan.errors import ProblemError, ProblemKind, refuse
from bayplan.surfaces.asking import Asked
from bayplan.surfaces.consul import local as limits
from bayplan.surfaces.consul.bodies import META_MAX, TAGS_MAX
from bayplan.surfaces.consul.held import CRITICAL_MS_MIN, CRITICAL_MS_USUAL, LEASE_MS, Asking, Kept
from bayplan.surfaces.consul.local import LocalServices
from bayplan.surfaces.consul.saving import KeptFile
from bayplan.surfaces.consul.writes import ConsulWrites
from tests.memory_registrar import MemoryRegistrar
from tests.memory_source import MemorySource
from tests.unit.bayplan.surfaces.test_lookup import entry

TTL = {"Name": "web", "ID": "web1", "Port": 80, "Check": {"TTL": "10s"}}


class World:
    """A daemon on node n1 at which services register, and its controller."""

    def __init__(self) -> None:
        self.now_ms = 0
        self.source = MemorySource()
        self.source.state = Origin(node="n1", node_id="node1")
        self.registrar = MemoryRegistrar(self.source)
        self.saved = Kept()
        #: What those say who are asked, by whom, and who was asked.
        self.says: dict[str, tuple[str, str]] = {}
        self.asked: list[Asking] = []
        self.local = self.daemon()

    def daemon(self) -> LocalServices:
        """Start it anew: what it has saved is there again."""
        local = LocalServices(
            self.registrar, node="n1", address="10.0.0.1", save=self.save, now_ms=lambda: self.now_ms,
            ask=self.ask,
        )  # fmt: skip
        local.restore(msgspec.msgpack.decode(msgspec.msgpack.encode(self.saved), type=Kept))
        self.local, self._writes = local, ConsulWrites(self.source, local)
        return local

    async def ask(self, asking: Asking) -> tuple[str, str]:
        self.asked.append(asking)
        return self.says.get(asking.target, ("passing", "fine"))

    async def save(self, kept: Kept) -> None:
        self.saved = kept

    async def put(self, target: str, body: Mapping[str, Any] | bytes = b"") -> None:
        encoded = body if isinstance(body, bytes) else json.dumps(body).encode()
        assert await self._writes.write(Asked.of(f"/v1/{target}"), encoded) is not None

    async def register(self, body: Mapping[str, Any], query: str = "") -> None:
        await self.put(f"agent/service/register{query}", body)

    async def refused(self, target: str, body: Mapping[str, Any] | bytes = b"") -> ProblemKind:
        with pytest.raises(ProblemError) as refused:
            await self.put(target, body)
        return refused.value.problem.kind

    async def pass_time(self, ms: int) -> None:
        """Time passes, and the daemon looks at it."""
        self.now_ms += ms
        async with asyncio.TaskGroup() as group:
            self.local.ask_due(group)
        await self.local.look()

    def standing(self, service: str = "web") -> Standing | None:
        listing = self.source.directory.get("external", service)
        return listing.entries[0].standing if listing else None


@pytest.fixture
def world() -> World:
    return World()


async def test_a_registration_is_found_with_all_that_it_said(world: World) -> None:
    await world.register(
        {"Name": "web", "ID": "web1", "Address": "10.1.1.1", "Port": 80, "Tags": ["a"],
         "Meta": {"Some_Key": "1"}, "Weights": {"Passing": 5}}
    )  # fmt: skip
    listing = world.source.directory.get("external", "web")
    assert listing is not None
    (found,) = listing.entries
    assert (found.address, found.port, found.tags, found.weight) == ("10.1.1.1", 80, ("a",), 5)
    assert found.meta == {"Some_Key": "1"} and found.node == "n1" and found.given


async def test_keys_may_be_written_in_any_way(world: World) -> None:
    check = {"ttl": "10s", "deregister_critical_service_after": "2m", "status": "passing"}
    await world.register(
        {"name": "web", "id": None, "tags": None, "check": check, "enable_tag_override": True}
    )
    service = world.local.get("web", "n1")
    assert service is not None and service.checks[0].deregister_ms == 120_000
    assert service.registration.address == "10.0.0.1", "the daemon's own where none is given"


async def test_the_same_id_on_two_nodes_are_two_instances(world: World) -> None:
    await world.register({"Name": "web"})
    await world.put(
        "catalog/register",
        {"Node": "other", "Address": "10.2.2.2", "Service": {"Service": "web", "ID": "web"}},
    )
    listing = world.source.directory.get("external", "web")
    assert listing is not None and len(listing.entries) == 2


async def test_without_checks_it_is_kept_until_it_leaves(world: World) -> None:
    await world.register({"Name": "web", "ID": "web1"})
    for _ in range(5):
        await world.pass_time(LEASE_MS // 3 + 1)
    assert world.registrar.renewals >= 5
    await world.put("agent/service/deregister/web1")
    assert world.standing() is None
    assert await world.refused("agent/service/deregister/web1") is ProblemKind.NOT_FOUND


async def test_a_ttl_check_is_critical_until_told_and_again_when_silent(world: World) -> None:
    await world.register(TTL)
    assert world.standing() is Standing.UNHEALTHY
    await world.put("agent/check/pass/service:web1?note=fine")
    assert world.standing() is Standing.READY
    await world.pass_time(9_000)
    assert world.standing() is Standing.READY
    await world.pass_time(2_000)
    assert world.standing() is Standing.UNHEALTHY
    await world.put("agent/check/pass/service:web1")
    assert world.standing() is Standing.READY


async def test_checks_say_pass_warn_fail_and_update(world: World) -> None:
    await world.register(TTL)
    for told, standing in (("warn", Standing.READY), ("fail", Standing.UNHEALTHY), ("pass", Standing.READY)):
        await world.put(f"agent/check/{told}/service:web1")
        assert world.standing() is standing
    await world.put("agent/check/update/service:web1", {"Status": "critical", "Output": "x" * 9_000})
    assert world.standing() is Standing.UNHEALTHY
    service = world.local.get("web1", "n1")
    assert service is not None and len(service.checks[0].output) == 4_096
    assert await world.refused("agent/check/update/service:web1", {"Status": "fine"}) is ProblemKind.INVALID
    assert await world.refused("agent/check/pass/nope") is ProblemKind.NOT_FOUND


async def test_passing_again_and_again_asks_the_controller_nothing(world: World) -> None:
    await world.register(TTL)
    await world.put("agent/check/pass/service:web1")
    before = world.registrar.calls
    for _ in range(10):
        await world.put("agent/check/pass/service:web1")
    assert world.registrar.calls == before


async def test_the_worst_of_several_checks_counts_and_one_may_be_taken_away(world: World) -> None:
    checks = [{"TTL": "10s", "Status": "passing"}, {"TTL": "10s", "CheckID": "disk"}]
    await world.register({"Name": "web", "ID": "web1", "Checks": checks})
    assert world.standing() is Standing.UNHEALTHY
    await world.put("agent/check/deregister/disk")
    assert world.standing() is Standing.READY
    await world.put("agent/check/register", {"Name": "mem", "ServiceID": "web1", "TTL": "5s"})
    assert world.standing() is Standing.UNHEALTHY
    await world.put("agent/check/pass/mem")
    assert world.standing() is Standing.READY


async def test_registering_again_keeps_what_is_known_of_its_checks(world: World) -> None:
    await world.register(TTL)
    await world.put("agent/check/pass/service:web1")
    await world.register(TTL | {"Port": 81})
    assert world.standing() is Standing.READY
    listing = world.source.directory.get("external", "web")
    assert listing is not None and listing.entries[0].port == 81
    await world.register({"Name": "web", "ID": "web1"}, "?replace-existing-checks=true")
    service = world.local.get("web1", "n1")
    assert service is not None and not service.checks


async def test_ids_may_have_slashes_in_them(world: World) -> None:
    await world.register({"Name": "web", "ID": "web/1", "Check": {"TTL": "10s"}})
    await world.put("agent/check/pass/service:web/1")
    assert world.standing() is Standing.READY
    await world.put("agent/service/deregister/web%2F1")
    assert world.standing() is None


async def test_maintenance_drains_and_ends(world: World) -> None:
    await world.register({"Name": "web", "ID": "web1"})
    assert await world.refused("agent/service/maintenance/web1") is ProblemKind.INVALID
    await world.put("agent/service/maintenance/web1?enable=true&reason=disk")
    assert world.standing() is Standing.DRAINING
    await world.put("agent/service/maintenance/web1?enable=false")
    assert world.standing() is Standing.READY


async def test_what_is_critical_for_long_goes(world: World) -> None:
    await world.register(TTL)
    await world.pass_time(CRITICAL_MS_USUAL - 1)
    assert world.standing() is Standing.UNHEALTHY
    await world.pass_time(2)
    assert world.standing() is None and world.local.get("web1", "n1") is None


async def test_what_is_refused_later_or_cannot_be_saved_ends_nothing(world: World) -> None:
    await world.register(TTL)
    world.registrar.refused = "its name is a stack's by now"
    await world.pass_time(LEASE_MS)

    async def full(kept: Kept) -> None:
        raise refuse(ProblemKind.TIMEOUT, "the disk is full")

    world.local._save = full
    await world.pass_time(CRITICAL_MS_USUAL)
    assert world.local.get("web1", "n1") is None


async def test_a_lease_that_the_controller_lost_is_taken_anew(world: World) -> None:
    await world.register({"Name": "web", "ID": "web1"})
    world.registrar.forget()
    assert world.standing() is None
    await world.pass_time(LEASE_MS // 3 + 1)
    assert world.standing() is Standing.READY


async def test_what_registers_without_the_controller_is_told_when_it_is_back(world: World) -> None:
    world.registrar.reachable = False
    await world.register({"Name": "web", "ID": "web1"})
    assert world.standing() is None and world.local.get("web1", "n1") is not None
    world.registrar.reachable = True
    await world.pass_time(limits.RETRY_MS + 1)
    assert world.standing() is Standing.READY


async def test_a_daemon_that_starts_again_goes_on_with_what_it_saved(world: World) -> None:
    await world.register(TTL | {"Check": {"TTL": "10s", "Status": "passing"}})
    world.registrar.forget()
    world.daemon()
    await world.pass_time(1)
    assert world.standing() is Standing.READY


async def test_what_is_saved_is_there_after_a_restart_and_what_is_broken_is_nothing(tmp_path: Path) -> None:
    path = tmp_path / "consul"
    world = World()
    await world.register({"Name": "web", "ID": "web1"})
    await asyncio.gather(*[KeptFile(path).save(world.saved) for _ in range(3)])
    assert KeptFile(path).load() == world.saved != Kept()
    path.write_bytes(b"\xc1")
    assert KeptFile(path).load() == KeptFile(tmp_path / "nothing").load() == Kept()


async def test_who_cannot_be_saved_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(ProblemError, match="cannot be saved"):
        await KeptFile(tmp_path / "missing" / "consul").save(Kept())


async def test_it_keeps_leases_alive_by_itself(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "TICK_MS", 1)
    running = asyncio.create_task(world.local.run())
    await world.register({"Name": "web", "ID": "web1"})
    world.now_ms += LEASE_MS
    async with asyncio.timeout(20):
        while not world.registrar.renewals:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    running.cancel()


async def test_what_the_controller_refuses_is_not_kept(world: World) -> None:
    world.registrar.refused = "too many"
    assert await world.refused("agent/service/register", {"Name": "web"}) is ProblemKind.REFUSED
    assert not world.saved.services


async def test_the_name_of_a_stacks_service_cannot_be_taken(world: World) -> None:
    world.source.put("shop", "web", entry(1))
    assert await world.refused("agent/service/register", {"Name": "shop_web"}) is ProblemKind.REFUSED
    entity = {"Node": "x", "Address": "10.0.0.9", "Service": {"Service": "shop_web"}}
    assert await world.refused("catalog/register", entity) is ProblemKind.REFUSED


async def test_a_catalogs_node_comes_and_goes_as_a_whole(world: World) -> None:
    for own in ("db1", "db2"):
        service = {"Service": "db", "ID": own, "Port": 5432}
        check = {"CheckID": f"c-{own}", "Status": "passing"}
        await world.put(
            "catalog/register", {"Node": "x", "Address": "10.0.0.9", "Service": service, "Check": check}
        )
    assert world.standing("db") is Standing.READY
    check = {"CheckID": "c-db1", "ServiceID": "db1", "Status": "critical"}
    await world.put("catalog/register", {"Node": "x", "Address": "10.0.0.9", "Check": check})
    listing = world.source.directory.get("external", "db")
    assert listing is not None
    assert {each.standing for each in listing.entries} == {Standing.READY, Standing.UNHEALTHY}
    await world.put("catalog/deregister", {"Node": "x", "CheckID": "c-db1"})
    await world.put("catalog/deregister", {"Node": "x", "ServiceID": "db2"})
    assert world.standing("db") is Standing.READY
    await world.put("catalog/deregister", {"Node": "x"})
    assert world.standing("db") is None


async def test_a_service_may_change_its_name_under_one_id(world: World) -> None:
    await world.register({"Name": "web", "ID": "1"})
    await world.register({"Name": "site", "ID": "1"})
    assert (world.standing("web"), world.standing("site")) == (None, Standing.READY)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"Name": ""},
        {"Name": "web", "Port": "80"},
        {"Name": "web", "Kind": "connect-proxy"},
        {"Name": "web", "Check": {"HTTP": "http://localhost/"}},
        {"Name": "web", "Check": {"HTTP": "file:///etc/passwd", "Interval": "10s"}},
        {"Name": "web", "Check": {"HTTP": "http://localhost/", "TTL": "10s", "Interval": "10s"}},
        {"Name": "web", "Check": {"HTTP": "http://localhost/", "Method": "A B", "Interval": "10s"}},
        {"Name": "web", "Check": {"TCP": "localhost", "Interval": "10s"}},
        {"Name": "web", "Check": {"TCP": "localhost:99999", "Interval": "10s"}},
        {"Name": "web", "Check": {"Args": ["true"], "Interval": "10s"}},
        {"Name": "web", "Check": {"GRPC": "localhost:80", "GRPCUseTLS": True, "Interval": "10s"}},
        {"Name": "web", "Check": {"TTL": "soon"}},
        {"Name": "web", "Check": {"TTL": "10s", "Status": "fine"}},
        {"Name": "web", "Tags": ["t"] * (TAGS_MAX + 1)},
        {"Name": "web", "Meta": {str(number): "" for number in range(META_MAX + 1)}},
        {"Name": "web", "Meta": {"k": "v" * 600}},
        {"Name": "w" * 300},
        {"Name": "web", "ID": "a\nb"},
        {"Name": "web", "Checks": [{"TTL": "10s"}] * (limits.CHECKS_MAX + 1)},
        b"[]",
        b"{",
        b'{"Name": "\\ud800"}',
        b"\xff",
        b"[" * 60_000,
    ],
)
async def test_a_registration_that_cannot_be_is_refused(world: World, body: Any) -> None:
    assert await world.refused("agent/service/register", body) is ProblemKind.INVALID


HTTP = {"HTTP": "http://10.0.0.9/health", "Interval": "5s"}


async def test_a_service_is_asked_how_it_is_as_often_as_it_says(world: World) -> None:
    await world.register({"Name": "web", "ID": "web1", "Check": HTTP})
    assert world.standing() is Standing.UNHEALTHY, "nobody has asked yet"
    await world.pass_time(0)
    assert world.standing() is Standing.READY
    await world.pass_time(4_000)
    assert len(world.asked) == 1
    world.says[HTTP["HTTP"]] = "critical", "503 no database"
    await world.pass_time(1_000)
    assert (len(world.asked), world.standing()) == (2, Standing.UNHEALTHY)
    world.says[HTTP["HTTP"]] = "warning", "429"
    await world.pass_time(5_000)
    assert world.standing() is Standing.READY


async def test_a_service_that_fails_for_too_long_is_deregistered(world: World) -> None:
    after = {"DeregisterCriticalServiceAfter": f"{CRITICAL_MS_MIN // 1000}s"}
    world.says[HTTP["HTTP"]] = "critical", "gone"
    await world.register({"Name": "web", "Check": HTTP | after})
    for _ in range(CRITICAL_MS_MIN // 5_000):
        await world.pass_time(5_000)
    assert world.standing() is Standing.UNHEALTHY
    await world.pass_time(5_000)
    assert world.standing() is None
    asked = len(world.asked)
    await world.pass_time(60_000)
    assert len(world.asked) == asked


async def test_a_restarted_daemon_asks_on(world: World) -> None:
    await world.register({"Name": "web", "Check": {"TCP": "10.0.0.9:80", "Interval": "5s"}})
    world.daemon()
    await world.pass_time(0)
    assert [each.target for each in world.asked] == ["10.0.0.9:80"]


async def test_not_too_often_and_not_too_many_at_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "ASKED_MAX", 2)
    often = {"TCP": "10.0.0.9:80", "Interval": "1ms"}
    for number in range(3):
        await world.register({"Name": "web", "ID": str(number), "Check": often})
    await world.pass_time(0)
    assert len(world.asked) == 2
    await world.pass_time(500)
    assert len(world.asked) == 3
    await world.pass_time(400)
    assert len(world.asked) == 3


async def test_where_nobody_asks_such_checks_are_refused(world: World) -> None:
    local = LocalServices(world.registrar, node="n1")
    with pytest.raises(ProblemError) as refused:
        body = json.dumps({"Name": "web", "Check": HTTP}).encode()
        await ConsulWrites(world.source, local).write(Asked.of("/v1/agent/service/register"), body)
    assert refused.value.problem.kind is ProblemKind.INVALID


async def test_so_many_services_and_no_more(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SERVICES_MAX", 2)
    for number in range(2):
        await world.register({"Name": "web", "ID": str(number)})
    assert await world.refused("agent/service/register", {"Name": "web", "ID": "2"}) is ProblemKind.REFUSED
    await world.register({"Name": "web", "ID": "1", "Port": 81})
