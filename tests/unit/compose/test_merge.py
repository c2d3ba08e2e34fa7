"""Several files as one: the rule of each key, the marks, the places, what cannot be merged."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayplan.compose.merge import DEEP, FILE, SERVICE, merged, settled
from bayplan.compose.nodes import Entry, List, Map, Node, Override, Reset, Scalar, without
from tests.unit.compose.front import of_web, plain, refusal, said, tree, web


@pytest.mark.parametrize(
    ("key", "base", "over", "result"),
    [
        ("image", "a", "b", "b"),
        ("image", "a", "", "a"),
        ("image", "", "b", "b"),
        ("command", "[a, b]", "[c]", ["c"]),
        ("command", "a b", "[c]", ["c"]),
        ("command", "[a]", "", None),
        ("entrypoint", "[a]", "b", "b"),
        ("healthcheck", "{test: [CMD, a], retries: 3}", "{test: b}", {"test": "b", "retries": "3"}),
        ("environment", "{A: 1, B: 2}", "{B: 3, C: 4}", {"A": "1", "B": "3", "C": "4"}),
        ("environment", "[A=1, B=2]", "{B: 3}", {"A": "1", "B": "3"}),
        ("environment", "{A: 1}", "[A=x=y, B]", {"A": "x=y", "B": None}),
        ("environment", "{A: 1}", "{A: }", {"A": None}),
        ("environment", "[A=1]", "[A]", {"A": None}),
        ("labels", "[a=1]", "[a=2, b]", {"a": "2", "b": None}),
        ("annotations", "{a: 1}", "[b=2]", {"a": "1", "b": "2"}),
        ("sysctls", "[a.b=1]", "{a.b: 2}", {"a.b": "2"}),
        ("extra_hosts", "['a:1.1.1.1']", "['a:1.1.1.2', 'a=1.1.1.1']", ["a=1.1.1.1", "a:1.1.1.2"]),
        ("extra_hosts", "{a: 1.1.1.1}", "['b:::1']", ["a=1.1.1.1", "b:::1"]),
        ("extra_hosts", "['a:1.1.1.1']", "{b: [1.1.1.2, 1.1.1.3]}",
         ["a:1.1.1.1", "b=1.1.1.2", "b=1.1.1.3"]),
        ("dns", "1.1.1.1", "[8.8.8.8, 1.1.1.1]", ["1.1.1.1", "8.8.8.8"]),
        ("dns_search", "a", "b", ["a", "b"]),
        ("cap_add", "[A, B]", "[B, C]", ["A", "B", "C"]),
        ("tmpfs", "/a:size=1m", "['/a:size=2m', /b]", ["/a:size=2m", "/b"]),
        ("expose", "['80', 90/udp]", "[80/tcp, '90']", ["80/tcp", "90/udp", "90"]),
        ("env_file", "a.env", "[b.env, {path: a.env, required: false}]",
         [{"path": "a.env", "required": "false"}, "b.env"]),
        ("ports", "['80:80', '81:81']", "['82:82']", ["80:80", "81:81", "82:82"]),
        ("ports", "['8080:80']", "[{target: 80, published: 8080, mode: host}]",
         [{"target": "80", "published": "8080", "mode": "host"}]),
        ("ports", "['8080:80/tcp']", "['0.0.0.0:8080:80']", ["0.0.0.0:8080:80"]),
        ("ports", "['8080:80']", "['127.0.0.1:8080:80', '8080:80/udp']",
         ["8080:80", "127.0.0.1:8080:80", "8080:80/udp"]),
        ("ports", "['[::1]:1:2']", "[{host_ip: '::1', published: 1, target: 2}]",
         [{"host_ip": "::1", "published": "1", "target": "2"}]),
        ("volumes", "['a:/x:ro', b:/y]", "[c:/x/]", ["c:/x/", "b:/y"]),
        ("volumes", "[/x]", "[{type: volume, source: d, target: /x}]",
         [{"type": "volume", "source": "d", "target": "/x"}]),
        ("devices", "[/dev/a]", "['/dev/b:/dev/a:r', /dev/c]", ["/dev/b:/dev/a:r", "/dev/c"]),
        ("secrets", "[s, t]", "[{source: s, mode: 0400}]", [{"source": "s", "mode": "0400"}, "t"]),
        ("secrets", "[s]", "[{source: t, target: /run/secrets/s}]",
         [{"source": "t", "target": "/run/secrets/s"}]),
        ("configs", "[{source: c, target: /x}]", "[c, {source: d, target: /x}]",
         [{"source": "d", "target": "/x"}, "c"]),
        ("networks", "[a]", "{b: {aliases: [x]}}", {"a": None, "b": {"aliases": ["x"]}}),
        ("networks", "{a: {aliases: [x]}}", "[a, b]", {"a": {"aliases": ["x"]}, "b": None}),
        ("networks", "{a: {aliases: [x]}}", "{a: {aliases: [x, y], priority: 1}}",
         {"a": {"aliases": ["x", "y"], "priority": "1"}}),
        ("depends_on", "{a: {condition: service_healthy}}", "{b: {condition: service_started}}",
         {"a": {"condition": "service_healthy"}, "b": {"condition": "service_started"}}),
        ("depends_on", "{a: {condition: service_healthy, restart: true}}", "[a]",
         {"a": {"condition": "service_started", "restart": "true", "required": "true"}}),
        ("build", ".", "{dockerfile: D}", {"context": ".", "dockerfile": "D"}),
        ("build", "{context: a, args: [A=1]}", "{args: {A: 2}}", {"context": "a", "args": {"A": "2"}}),
        ("build", "{context: a, target: t}", "b", {"context": "b", "target": "t"}),
        ("ulimits", "{nofile: {soft: 1, hard: 2}, nproc: 1}", "{nofile: {soft: 2}, nproc: {soft: 3}}",
         {"nofile": {"soft": "2", "hard": "2"}, "nproc": {"soft": "3"}}),
        ("logging", "{driver: d, options: {a: 1}}", "{driver: d, options: {b: 2}}",
         {"driver": "d", "options": {"a": "1", "b": "2"}}),
        ("logging", "{driver: d, options: {a: 1}}", "{options: {b: 2}}",
         {"driver": "d", "options": {"a": "1", "b": "2"}}),
        ("logging", "{driver: d, options: {a: 1}}", "{driver: e}", {"driver": "e"}),
        ("deploy", "{replicas: 1, labels: [a=1]}", "{replicas: 2, labels: {b: 2}}",
         {"replicas": "2", "labels": {"a": "1", "b": "2"}}),
        ("deploy", "{placement: {constraints: [a, b]}}", "{placement: {constraints: [b, c]}}",
         {"placement": {"constraints": ["a", "b", "c"]}}),
        ("post_start", "[{command: a}]", "[{command: a}]", [{"command": "a"}, {"command": "a"}]),
        ("gpus", "all", "[{count: 1}]", [{"count": "1"}]),
        ("profiles", "[a]", "[a, b]", ["a", "b"]),
        ("x-mine", "{a: 1}", "{b: 2}", {"b": "2"}),
        ("x-bayplan", "{fence: true, drain: 1s}", "{drain: 2s}", {"fence": "true", "drain": "2s"}),
        ("image", "a", "!reset null", "gone"),
        ("ports", "['80:80']", "!reset []", "gone"),
        ("ports", "['80:80']", "!override ['90:90']", ["90:90"]),
        ("environment", "{A: 1, B: 2}", "{A: !reset null}", {"B": "2"}),
        ("environment", "[A=1, B=2]", "{A: !reset null, B: !override 3}", {"B": "3"}),
        ("environment", "{A: 1}", "!override {B: 2}", {"B": "2"}),
        ("command", "a", "!reset ''", "gone"),
        ("image", "a", "!override b", "b"),
        ("networks", "[a, b]", "{a: !reset {}}", {"b": None}),
        ("deploy", "{resources: {limits: {cpus: '1', memory: 1g}}}",
         "{resources: {limits: !override {cpus: '2'}}}",
         {"resources": {"limits": {"cpus": "2"}}}),
    ],
)  # fmt: skip
def test_each_key_is_merged_by_its_rule(key: str, base: str, over: str, result: Any) -> None:
    assert of_web(f"{{{key}: {base}}}", f"{{{key}: {over}}}").get(key, "gone") == result


@pytest.mark.parametrize(
    ("base", "over", "result"),
    [
        ("{networks: {n: {driver: a, labels: [a=1]}}}", "{networks: {n: {labels: {b: 2}}}}",
         {"driver": "a", "labels": {"a": "1", "b": "2"}}),
        ("{networks: {n: {ipam: {config: [{subnet: 10.0.0.0/8}, {subnet: 11.0.0.0/8}]}}}}",
         "{networks: {n: {ipam: {config: [{subnet: 10.0.0.0/8, gateway: g}, {subnet: 12.0.0.0/8}]}}}}",
         {"ipam": {"config": [{"subnet": "10.0.0.0/8", "gateway": "g"}, {"subnet": "11.0.0.0/8"},
                              {"subnet": "12.0.0.0/8"}]}}),
        ("{networks: {n: }}", "{networks: {n: {driver: a}}}", {"driver": "a"}),
        ("{networks: {n: {driver: a}}}", "{networks: {n: }}", {"driver": "a"}),
    ],
)  # fmt: skip
def test_networks_are_merged_by_their_rules(base: str, over: str, result: Any) -> None:
    assert said(base, over)["networks"]["n"] == result


def test_the_parts_of_three_files_come_together() -> None:
    texts = (
        "name: one\nservices: {web: {image: a, ports: ['1:1']}}",
        "services: {web: {ports: ['2:2']}, db: {image: d}}",
        "name: three\nservices: {web: {ports: !override ['3:3']}}\nvolumes: {v: }",
    )
    assert said(*texts) == {
        "name": "three",
        "services": {"web": {"image": "a", "ports": ["3:3"]}, "db": {"image": "d"}},
        "volumes": {"v": None},
    }


def test_a_mark_in_a_single_file_is_done() -> None:
    assert web("services: {web: {image: !override a, ports: !reset ['1:1']}}") == {"image": "a"}


def test_an_override_is_merged_with_later_files() -> None:
    bodies = ("{ports: ['1:1']}", "{ports: !override ['2:2']}", "{ports: ['3:3']}")
    assert of_web(*bodies) == {"ports": ["2:2", "3:3"]}


def test_what_was_reset_begins_anew_in_later_files() -> None:
    bodies = ("{ports: ['1:1']}", "{ports: !reset []}", "{ports: ['3:3']}")
    assert of_web(*bodies) == {"ports": ["3:3"]}
    extended = "services: {base: {ports: !reset []}, web: {extends: base, ports: ['3:3']}}"
    assert web("services: {web: {ports: ['1:1']}}", extended) == {"ports": ["3:3"]}


def test_a_whole_service_can_be_reset() -> None:
    assert said("services: {web: {image: a}, db: {image: b}}", "services: {web: !reset null}") == {
        "services": {"db": {"image": "b"}}
    }


def test_each_file_has_its_variables_put_in_before_it_is_merged() -> None:
    assert of_web("{ports: ['${P-1}:1']}", "{ports: [{target: 1, published: '1', mode: host}]}") == {
        "ports": [{"target": "1", "published": "1", "mode": "host"}]
    }


def test_every_value_keeps_the_place_where_it_was_written() -> None:
    one = "services:\n  web:\n    image: a\n    ports:\n      - '1:1'\n"
    two = "\n\nservices:\n  web:\n    image: b\n    ports:\n      - '2:2'\n"
    services = tree(one, two).entries["services"].value
    assert isinstance(services, Map)
    entry = services.entries["web"]
    assert isinstance(entry.value, Map)
    ports = entry.value.entries["ports"].value
    assert isinstance(ports, List)
    assert entry.key.place == "a.yml:2"
    assert entry.value.entries["image"].key.place == "b.yml:5"
    assert [item.place for item in ports.items] == ["a.yml:5", "b.yml:7"]


@pytest.mark.parametrize(
    ("base", "over", "path"),
    [
        ("{ports: ['1:1']}", "\n  {ports: {a: b}}", "services.web.ports is a mapping here and a list"),
        ("{deploy: {replicas: 1}}", "\n  {deploy: [x]}", "services.web.deploy is a list here and a mapping"),
        ("{image: a}", "\n  x", "services.web is a single value here and a mapping"),
    ],
)
def test_two_forms_that_cannot_be_merged_are_refused_with_both_places(
    base: str, over: str, path: str
) -> None:
    lines = refusal(f"services: {{web: {base}}}", f"services: {{web: {over}}}")
    assert lines[:2] == [f"error: b.yml:2: {path} in the file before", "  there at a.yml:1"]
    assert "!override" in lines[2]


@pytest.mark.parametrize("mark", ["!reset", "!override"])
def test_a_mark_on_an_item_of_a_list_is_refused(mark: str) -> None:
    assert refusal(f"services:\n  web:\n    ports:\n      - {mark} '1:1'\n") == [
        "error: a.yml:4: an item of a list cannot be reset or overridden",
        "hint: write the tag before the whole list",
    ]


def test_a_malformed_list_is_left_for_its_own_error() -> None:
    assert of_web("{environment: [[x]]}", "{environment: {A: 1}}") == {"environment": [["x"]]}
    assert of_web("{environment: {A: 1}}", "{environment: [[x]]}") == {"environment": [["x"]]}


def scalar(text: str) -> Scalar:
    return Scalar("f", 1, text)


def mapping(entries: dict[str, Node]) -> Map:
    return Map("f", 1, {name: Entry(scalar(name), node) for name, node in entries.items()})


scalars = st.sampled_from("abc").map(scalar)
names = st.sampled_from(["image", "environment", "ulimits", "command", "x"])
lists = st.lists(scalars, max_size=3).map(lambda items: List("f", 1, tuple(items)))
marks = st.one_of(st.just(Reset("f", 1)), scalars.map(lambda node: Override("f", 1, node)))
trees = st.recursive(
    st.dictionaries(names, st.one_of(scalars, marks), max_size=3).map(mapping),
    lambda inner: st.dictionaries(st.sampled_from(["services", "web"]), inner, max_size=3).map(mapping),
    max_leaves=6,
)
parts = st.one_of(lists, marks)
services = st.fixed_dictionaries({"dns": parts, "environment": parts}, optional={"cap_add": parts}).map(
    mapping
)


@given(trees)
def test_a_file_over_nothing_and_nothing_over_a_file_are_the_file(one: Map) -> None:
    assert plain(merged(mapping({}), one, FILE)) == plain(merged(one, mapping({}), FILE)) == plain(one)


def shapes_differ(*nodes: Map) -> bool:
    """Whether some key is a mapping in one and not in another: that is an error, tested above."""
    names = {name for node in nodes for name in node.entries}
    for name in names:
        values = [node.entries[name].value for node in nodes if name in node.entries]
        bare = [value.value if isinstance(value, Override) else value for value in values]
        maps = [value for value in bare if isinstance(value, Map)]
        others = [value for value in bare if not isinstance(value, Map | Reset)]
        if (maps and others) or shapes_differ(*maps) if maps else False:
            return True
    return False


@given(trees, trees, trees)
def test_merging_is_associative(one: Map, two: Map, three: Map) -> None:
    if not shapes_differ(one, two, three):
        left = merged(merged(one, two, FILE), three, FILE)
        right = merged(one, merged(two, three, FILE), FILE)
        assert plain(settled(left)) == plain(settled(right))


@given(services, services, services)
def test_merging_services_is_associative(one: Map, two: Map, three: Map) -> None:
    left = merged(merged(one, two, SERVICE), three, SERVICE)
    right = merged(one, merged(two, three, SERVICE), SERVICE)
    assert plain(settled(left)) == plain(settled(right))


@given(trees, trees)
def test_what_is_reset_is_gone_and_nothing_else(one: Map, two: Map) -> None:
    over = Map("f", 1, {**two.entries, "web": Entry(scalar("web"), Reset("f", 1))})
    if not shapes_differ(one, two):
        expected = merged(without(one, "web"), without(two, "web"), DEEP)
        assert plain(settled(merged(one, over, DEEP))) == plain(settled(expected))
