"""Consul's reading endpoints, without sockets."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bayplan.directory import Entry, Listing, Origin, Port, Standing
from bayplan.errors import ProblemError
from bayplan.surfaces.asking import Answer, Asked, Read, View
from bayplan.surfaces.consul.local import LocalServices
from bayplan.surfaces.consul.reads import ConsulReads
from tests.memory_registrar import MemoryRegistrar
from tests.memory_source import MemorySource
from tests.unit.bayplan.surfaces.test_lookup import entry

#: All that are read, by a path that is there in a world with shop_web.
ENDPOINTS = (
    "/v1/agent/self",
    "/v1/agent/services",
    "/v1/agent/service/task1",
    "/v1/catalog/services",
    "/v1/catalog/service/shop_web",
    "/v1/catalog/nodes",
    "/v1/catalog/node/n1",
    "/v1/catalog/datacenters",
    "/v1/health/service/shop_web",
    "/v1/health/checks/shop_web",
    "/v1/health/state/any",
    "/v1/health/node/n1",
    "/v1/status/leader",
    "/v1/status/peers",
)


class World:
    """A directory on node n1, and its Consul."""

    def __init__(self) -> None:
        self.source = MemorySource()
        self.source.state = Origin(node="n1", node_id="node1")
        local = LocalServices(MemoryRegistrar(self.source), node="n1", now_ms=lambda: 0)
        self.consul = ConsulReads(local)

    def read(self, target: str) -> Read:
        read = self.consul.read(Asked.of(target))
        assert read is not None
        return read

    def ask(self, target: str) -> Answer:
        view = View(self.source.directory, self.source.state)
        try:
            return self.read(target).made(view)
        except ProblemError as error:
            return self.consul.surface.refusal(error.problem, view)

    def json(self, target: str) -> Any:
        return json.loads(self.ask(target).body)

    def passing(self, query: str = "passing") -> list[str]:
        return [each["Service"]["ID"] for each in self.json(f"/v1/health/service/shop_web?{query}")]


@pytest.fixture
def world() -> World:
    return World()


@pytest.mark.parametrize("target", ENDPOINTS)
def test_every_endpoint_answers_with_the_headers_that_clients_need(world: World, target: str) -> None:
    world.source.put("shop", "web", entry(1), entry(2))
    answer = world.ask(target)
    headers = dict(answer.headers)
    assert answer.status == 200 and answer.content_type == "application/json"
    assert int(headers["X-Consul-Index"]) >= 1
    assert headers["X-Consul-KnownLeader"] == "true" and headers["X-Consul-LastContact"] == "0"
    assert json.loads(answer.body) not in (None, [], {})


@pytest.mark.parametrize(
    "target", ["/v1/health/service/nope", "/v1/catalog/service/nope", "/v1/health/checks/n"]
)
def test_an_unknown_service_is_an_empty_list_with_an_index_to_wait_with(world: World, target: str) -> None:
    answer = world.ask(target)
    assert (answer.status, answer.body) == (200, b"[]")
    assert dict(answer.headers)["X-Consul-Index"] == "1"


def test_what_is_not_found_has_an_index_too(world: World) -> None:
    answer = world.ask("/v1/agent/service/nope")
    assert answer.status == 404 and dict(answer.headers)["X-Consul-Index"] == "1"


@pytest.mark.parametrize(
    ("query", "shown"),
    [("passing", 1), ("passing=1", 1), ("passing=true", 1), ("passing=false", 2), ("", 2)],
)
def test_flags_may_be_a_name_alone(world: World, query: str, shown: int) -> None:
    world.source.put("shop", "web", entry(1), entry(2, Standing.UNHEALTHY))
    assert len(world.passing(query)) == shown


def test_passing_shows_those_that_a_client_is_sent_to(world: World) -> None:
    everybody = [entry(number, standing) for number, standing in enumerate(Standing, 1)]
    world.source.put("shop", "web", *everybody, entry(9, weight=0))
    listing = world.source.directory.get("shop", "web")
    assert listing is not None
    assert world.passing() == [each.id for each in listing.given()]


def test_named_ports_are_in_the_metadata_where_the_address_is_reached(world: World) -> None:
    world.source.put("shop", "web", entry(1, ports=(Port(target=9090, name="metrics"), Port(target=80))))
    (row,) = world.json("/v1/catalog/service/shop_web")
    assert row["ServiceMeta"]["bayplan_port_metrics"] == "9090"
    published = (Port(target=80, published=8080, name="http"), Port(target=9090, name="metrics"))
    world.source.put("shop", "web", entry(1, ports=published))
    (row,) = world.json("/v1/catalog/service/shop_web")
    named = {name: value for name, value in row["ServiceMeta"].items() if "port" in name}
    assert named == {"bayplan_port_http": "8080"}


def test_a_drained_instance_has_the_check_of_maintenance(world: World) -> None:
    world.source.put("shop", "web", entry(1, Standing.DRAINING, reason="rolled out"))
    (row,) = world.json("/v1/health/service/shop_web")
    checks = {check["CheckID"]: (check["Status"], check["Output"]) for check in row["Checks"]}
    assert checks["_service_maintenance:task1"] == ("critical", "rolled out")
    assert checks["service:task1"][0] == "passing"


def test_a_warning_is_no_pass_but_a_state_of_its_own(world: World) -> None:
    world.source.put("external", "mail", entry(1, slot=0, reason="check x is warning"))
    assert world.json("/v1/health/service/mail?passing") == []
    (check,) = world.json("/v1/health/state/warning")
    assert check["ServiceName"] == "mail"


def test_while_many_fail_at_once_they_pass(world: World) -> None:
    from bayplan.model.cluster import Health

    failing = entry(1, Standing.UNHEALTHY, health=Health.UNHEALTHY)
    world.source.directory.put(Listing.of("shop", "web", 1, [failing], protected=True), 1)
    assert world.passing() == ["task1"]


def test_tags_must_all_be_there(world: World) -> None:
    world.source.put("shop", "web", entry(1, tags=("a", "b")), entry(2, tags=("b",)))
    assert world.passing("tag=b") == ["task1", "task2"]
    assert world.passing("tag=b&tag=a") == ["task1"]


def host(number: int, standing: Standing = Standing.READY, **more: Any) -> Entry:
    name = f"n{number}"
    return Entry(id=f"node{number}", standing=standing, node=name, address=f"192.168.0.{number}", **more)


def test_a_node_that_is_silent_passes_and_one_that_is_down_does_not(world: World) -> None:
    world.source.put("", "", host(1), host(2, Standing.SUSPECT, reason="silent"), host(3, Standing.UNHEALTHY))
    checks = {each["Node"]: (each["Status"], each["Output"]) for each in world.json("/v1/health/state/any")}
    assert checks["n1"] == ("passing", "Agent alive and reachable")
    assert checks["n2"] == ("passing", "silent")
    assert checks["n3"][0] == "critical"
    assert [each["Node"] for each in world.json("/v1/health/state/critical")] == ["n3"]


def test_nodes_are_those_of_the_cluster_and_no_service(world: World) -> None:
    world.source.put("shop", "web", entry(1))
    world.source.put("", "", host(1, meta={"rack": "7"}), host(2))
    assert [each["Address"] for each in world.json("/v1/catalog/nodes")] == ["192.168.0.1", "192.168.0.2"]
    assert [each["Node"] for each in world.json("/v1/catalog/nodes?node-meta=rack:7")] == ["n1"]
    assert world.json("/v1/catalog/services") == {"shop_web": []}
    (row,) = world.json("/v1/health/service/shop_web?node-meta=rack:7")
    assert row["Node"]["Address"] == "192.168.0.1" and row["Service"]["Address"] == "10.0.0.1"
    assert [check["CheckID"] for check in row["Checks"]] == ["serfHealth", "service:task1"]
    assert world.json("/v1/catalog/node/n2")["Services"] == {}


def test_nodes_are_chosen_by_what_is_known_of_them(world: World) -> None:
    world.source.put("shop", "web", entry(1, zone="a"), entry(2, zone="b"))
    assert world.passing("node-meta=zone:b") == ["task2"]
    assert world.passing("node-meta=zone:b&node-meta=rack:1") == []
    assert [each["Node"] for each in world.json("/v1/catalog/nodes?node-meta=zone:a")] == ["n1"]


def test_near_ones_come_first(world: World) -> None:
    world.source.put("shop", "web", entry(1), entry(2))
    assert world.passing("near=n2") == ["task2", "task1"]
    assert world.passing("near=_agent") == ["task1", "task2"]
    assert world.json("/v1/catalog/nodes?near=n2")[0]["Node"] == "n2"


@pytest.mark.parametrize(
    "query",
    [
        "filter=ServiceID==x",
        "dc=elsewhere",
        "ns=team",
        "stale&consistent",
        "passing=perhaps",
        "index=x",
        "wait=x",
    ],
)
def test_what_cannot_be_meant_is_refused_in_words(world: World, query: str) -> None:
    answer = world.ask(f"/v1/health/service/shop_web?{query}")
    assert answer.status == 400
    assert answer.content_type.startswith("text/plain") and answer.body


def test_names_are_those_of_stack_and_service_and_outsiders_have_their_own(world: World) -> None:
    world.source.put("shop", "web", entry(1, tags=("a",)))
    world.source.put("external", "mail", entry(2))
    world.source.put("a_b", "c", entry(3))
    assert world.json("/v1/catalog/services") == {"a_b_c": [], "mail": [], "shop_web": ["a"]}
    assert len(world.json("/v1/catalog/service/a_b_c")) == 1


def test_the_catalog_has_nodes_and_what_is_on_them(world: World) -> None:
    world.source.put("shop", "web", entry(1), entry(2))
    assert [each["Node"] for each in world.json("/v1/catalog/nodes")] == ["n1", "n2"]
    assert set(world.json("/v1/catalog/node/n2")["Services"]) == {"task2"}
    assert world.json("/v1/catalog/node/n9") is None
    (row,) = [each for each in world.json("/v1/catalog/service/shop_web") if each["Node"] == "n2"]
    assert (row["ServiceAddress"], row["ServicePort"], row["ServiceID"]) == ("10.0.0.2", 8002, "task2")


def test_the_agents_services_are_those_of_its_node(world: World) -> None:
    world.source.put("shop", "web", entry(1), entry(2))
    assert set(world.json("/v1/agent/services")) == {"task1"}
    assert world.ask("/v1/agent/service/task2").status == 404


def test_while_nothing_is_known_there_is_no_leader(world: World) -> None:
    world.source.state = Origin(node="n1", whole=False)
    for target in ("/v1/health/service/shop_web", "/v1/catalog/services"):
        answer = world.ask(target)
        assert (answer.status, answer.body) == (500, b"No cluster leader")
    assert world.ask("/v1/agent/self").status == 200


def test_an_answer_without_the_controller_tells_its_age(world: World) -> None:
    world.source.put("shop", "web", entry(1))
    world.source.state = Origin(node="n1", age_ms=2_500)
    answer = world.ask("/v1/health/service/shop_web")
    assert dict(answer.headers)["X-Consul-LastContact"] == "2500"
    assert world.json("/v1/status/leader") == ""


def test_a_blocking_query_waits_for_the_services_that_its_name_may_mean(world: World) -> None:
    read = world.read("/v1/health/service/shop_web?index=7&wait=2m")
    assert (read.after, read.wait_ms) == (7, 120_000)
    assert read.names == (("shop", "web"), ("external", "shop_web"))
    assert world.read("/v1/catalog/services?index=1").wait_ms == 300_000
    assert world.read("/v1/catalog/services?index=1&wait=1h").wait_ms == 600_000
    assert world.read("/v1/catalog/services?wait=1h").after == 0
