"""What is asked over HTTP and what is answered, without sockets."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bayplan.directory import Entry, Origin, Port, Standing
from bayplan.errors import ProblemError, ProblemKind
from bayplan.surfaces import eureka, lookup, prometheus
from bayplan.surfaces.asking import Answer, Asked, Surface, View
from tests.memory_source import MemorySource


def entry(number: int, standing: Standing = Standing.READY, **more: Any) -> Entry:
    usual: dict[str, Any] = {"slot": number, "node": f"n{number}", "node_id": f"node{number}", "version": 1}
    where = {"address": f"10.0.0.{number}", "port": 8000 + number}
    return Entry(id=f"task{number}", standing=standing, **(usual | where | more))


class World:
    """A directory and what is asked of it."""

    def __init__(self) -> None:
        self.source = MemorySource()

    def ask(self, target: str, accept: str = "", surface: Surface = lookup.SURFACE) -> Answer:
        read = surface.read(Asked.of(target, accept))
        assert read is not None
        view = View(self.source.directory, self.source.state)
        try:
            return read.made(view)
        except ProblemError as error:
            return surface.refusal(error.problem, view)

    def json(self, target: str, **more: Any) -> Any:
        return json.loads(self.ask(target, "application/json", **more).body)

    def ids(self, target: str) -> list[str]:
        return [each["id"] for each in self.json(target).get("instances", ())]


@pytest.fixture
def world() -> World:
    return World()


def test_only_who_is_given_is_shown_unless_all_are_asked_for(world: World) -> None:
    world.source.put(
        "shop", "web", entry(1), entry(2, Standing.SUSPECT), entry(3, Standing.DRAINING), entry(4, weight=0)
    )
    assert world.ids("/v1/lookup/shop/web") == ["task1", "task2"]
    assert set(world.ids("/v1/lookup/shop/web?all")) == {"task1", "task2", "task3", "task4"}
    assert set(world.ids("/v1/lookup/shop/web?all=false")) == {"task1", "task2"}


def test_an_answer_tells_its_index_its_age_and_whether_it_is_whole(world: World) -> None:
    world.source.put("shop", "db", entry(1))
    world.source.put("shop", "web", entry(1))
    world.source.put("shop", "db", entry(2))
    world.source.state = Origin(node="n1", age_ms=1_500, whole=False)
    body = world.json("/v1/lookup/shop/web")
    assert (body["index"], body["age_ms"], body["whole"]) == (2, 1_500, False)


def test_the_nodes_are_no_service(world: World) -> None:
    world.source.put("", "", Entry(id="node1", node="n1", address="10.0.0.1"))
    assert world.json("/v1/services")["services"] == []
    assert lookup.read(Asked.of("/v1/lookup///")) is None
    for target in ("/.", "/_", "/external", "/%00"):
        assert world.ask(target).status == 404, target
    assert world.json("/v1/prometheus", surface=prometheus.SURFACE) == []
    found = world.json("/eureka/apps", surface=eureka.SURFACE)
    assert found["applications"]["application"] == []


def test_tags_are_the_services_and_the_instances_own_and_all_must_be_there(world: World) -> None:
    world.source.put("shop", "web", entry(1, tags=("a", "b")), entry(2, tags=("a",)))
    assert world.ids("/v1/lookup/shop/web?tag=a") == ["task1", "task2"]
    assert world.ids("/v1/lookup/shop/web?tag=a&tag=b") == ["task1"]
    assert world.ask("/v1/lookup/shop/web?tag=c").status == 404


def test_a_version_can_be_asked_for(world: World) -> None:
    world.source.put("shop", "web", entry(1), entry(2, version=2))
    assert world.ids("/v1/lookup/shop/web?version=2") == ["task2"]


def test_near_ones_come_first_then_those_of_the_zone_and_suspects_last(world: World) -> None:
    world.source.state = Origin(node="n3")
    world.source.put(
        "shop", "web", entry(1, zone="b"), entry(2, zone="a"), entry(3, zone="a"),
        entry(4, Standing.SUSPECT, node="n3", zone="a"),
    )  # fmt: skip
    world.source.put("", "", *[Entry(id=name, node=name, zone="a") for name in ("n3", "n9")])
    assert world.ids("/v1/lookup/shop/web?near=_agent") == ["task3", "task2", "task1", "task4"]
    assert world.ids("/v1/lookup/shop/web?near=n1") == ["task1", "task2", "task3", "task4"]
    assert world.ids("/v1/lookup/shop/web?near=n9") == ["task2", "task3", "task1", "task4"]


def test_who_is_not_there_is_told_what_is_nearest(world: World) -> None:
    world.source.put("shop", "web", entry(1))
    assert world.json("/v1/lookup/shop/wbe")["hint"] == "did you mean shop_web?"
    assert world.json("/v1/lookup/shpo/web")["hint"] == "did you mean shop?"
    assert world.ask("/wbe.shop").body == b"there is no service shop_wbe\ndid you mean shop_web?\n"


def test_a_service_without_ready_instances_says_why(world: World) -> None:
    world.source.put("shop", "web", entry(1, Standing.UNHEALTHY, reason="exit code 1"))
    answer = world.ask("/v1/lookup/shop/web")
    assert answer.status == 404
    body = json.loads(answer.body)
    assert body["error"] == "shop_web has no ready instance"
    assert body["details"] == ["shop_web.1 on n1: exit code 1"]
    assert body["index"] == 1


def test_before_anything_is_known_nothing_is_denied(world: World) -> None:
    world.source.state = Origin(whole=False)
    for target in ("/v1/lookup/shop/web", "/web", "/web.shop", "/v1/services"):
        assert world.ask(target).status == 503, target
    assert world.ask("/v1/prometheus", surface=prometheus.SURFACE).status == 503
    world.source.put("shop", "web", entry(1))
    assert world.ask("/v1/lookup/shop/web").status == 200
    assert world.ask("/v1/lookup/shop/db").status == 503


@pytest.mark.parametrize("name", ["web.shop", "shop_web", "web"])
def test_lines_are_for_scripts_and_json_for_who_accepts_it(world: World, name: str) -> None:
    world.source.put("shop", "web", entry(1), entry(2, address="fd00::2"))
    assert world.ask(f"/{name}", "*/*").body == b"10.0.0.1:8001\n[fd00::2]:8002\n"
    assert len(world.json(f"/{name}")["instances"]) == 2


def test_a_short_name_of_two_stacks_names_both(world: World) -> None:
    world.source.put("shop", "web", entry(1))
    world.source.put("blog", "web", entry(2))
    answer = world.ask("/web")
    assert answer.status == 404
    assert answer.body == b"web is in 2 stacks\nask for one of them: web.blog, web.shop\n"


def test_who_registered_by_himself_has_his_own_name(world: World) -> None:
    world.source.put("external", "mail", entry(1))
    world.source.put("shop", "mail", entry(2))
    assert world.ask("/mail").body == b"10.0.0.1:8001\n"


@pytest.mark.parametrize(
    "query", ["index=-1", "index=x", "index=18446744073709551616", "wait=5", "all=perhaps"]
)
def test_a_query_that_means_nothing_is_refused(query: str) -> None:
    with pytest.raises(ProblemError) as refused:
        lookup.read(Asked.of(f"/v1/lookup/shop/web?{query}"))
    assert refused.value.problem.kind is ProblemKind.INVALID


def test_prometheus_gets_all_targets_with_what_they_are(world: World) -> None:
    ports = (Port(target=80, published=8001), Port(target=81, published=9001, name="my-admin"))
    first = entry(1, tags=("a",), meta={"scrape.path": "/m"}, ports=ports)
    world.source.put("shop", "web", first, entry(2, port=0))
    world.source.put("blog", "web", entry(3, Standing.DRAINING))
    groups = world.json("/v1/prometheus", surface=prometheus.SURFACE)
    assert [group["targets"] for group in groups] == [["10.0.0.3:8003"], ["10.0.0.1:8001"]]
    labels = groups[1]["labels"]
    assert labels["__meta_bayplan_tags"] == ",a,"
    assert labels["__meta_bayplan_meta_scrape_path"] == "/m"
    assert labels["__meta_bayplan_port_my_admin"] == "9001"
    assert groups[0]["labels"]["__meta_bayplan_standing"] == "draining"
    ready = world.json("/v1/prometheus?ready&stack=shop", surface=prometheus.SURFACE)
    assert len(ready) == 1


def test_eureka_has_applications_as_json_and_as_xml(world: World) -> None:
    world.source.put(
        "shop", "web", entry(1, meta={"a": "<&>", "@b c": "1", "": "2"}), entry(2, Standing.STARTING)
    )
    found = world.json("/eureka/apps", surface=eureka.SURFACE)["applications"]
    assert found["apps__hashcode"] == "STARTING_1_UP_1_"
    (app,) = found["application"]
    assert [each["status"] for each in app["instance"]] == ["UP", "STARTING"]
    xml = world.ask("/eureka/apps/SHOP_WEB", surface=eureka.SURFACE).body.decode()
    assert (
        '<port enabled="true">8001</port>' in xml
        and "<a>&lt;&amp;&gt;</a>" in xml
        and "<__b_c>1</__b_c>" in xml
    )
    assert world.ask("/eureka/apps/NOPE", surface=eureka.SURFACE).status == 404
