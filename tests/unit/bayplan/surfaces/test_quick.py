"""The hot path says what the slow one would, whatever happens in between."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayplan.directory import Listing, Origin, Standing
from bayplan.surfaces import lookup, quick
from bayplan.surfaces.asking import Asked, Read, View
from bayplan.surfaces.consul.local import LocalServices
from bayplan.surfaces.consul.reads import ConsulReads
from bayplan.surfaces.quick import QuickAnswers, plain_question
from tests.memory_registrar import MemoryRegistrar
from tests.memory_source import MemorySource
from tests.unit.bayplan.surfaces.test_lookup import entry

TARGETS = (
    "/v1/lookup/shop/web",
    "/v1/lookup/shop/web?all&near=_agent",
    "/web.shop",
    "/web",
    "/v1/services",
    "/v1/health/service/shop_web?passing",
    "/v1/catalog/service/web",
)
#: (stack, service, standings of its entries), a service that leaves, or another origin.
CHANGES = st.one_of(
    st.tuples(
        st.sampled_from(["shop", "blog", "external"]), st.lists(st.sampled_from(list(Standing)), max_size=2)
    ),
    st.sampled_from(["shop", "blog", "external"]),
    st.builds(Origin, node=st.sampled_from(["n1", "n2"]), age_ms=st.integers(0, 1), whole=st.booleans()),
)


class World:
    def __init__(self) -> None:
        self.source = MemorySource()
        self._consul = ConsulReads(LocalServices(MemoryRegistrar(self.source)))
        self.made = 0
        self.quick = QuickAnswers(self.understood, self.view)

    def understood(self, asked: Asked) -> tuple[Read, None] | None:
        read = self._consul.read(asked) or lookup.read(asked)
        if read is None:
            return None

        def counted(view: View) -> Any:
            self.made += 1
            return read.answer(view)

        return read._replace(answer=counted), None

    def view(self) -> View:
        return View(self.source.directory, self.source.state)

    def ask(self, target: str, headers: str = "") -> bytes | None:
        return self.quick.answer(request(target, headers))

    def change(self, change: Any) -> None:
        match change:
            case Origin():
                self.source.state = change
            case ("", standings):
                nodes = [entry(number, each, address="1.1.1.1") for number, each in enumerate(standings, 1)]
                self.source.put("", "", *nodes)
            case (stack, standings):
                entries = [entry(number, each) for number, each in enumerate(standings, 1)]
                self.source.put(stack, "web", *entries)
            case stack:
                self.source.drop(stack, "web")


def request(target: str, headers: str = "") -> bytes:
    return f"GET {target} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n".encode()


@given(st.lists(st.one_of(CHANGES, st.sampled_from(TARGETS)), max_size=30))
@settings(max_examples=300, deadline=None)
def test_it_says_what_the_slow_path_would(steps: list[Any]) -> None:
    world = World()
    for step in steps:
        if step not in TARGETS:
            world.change(step)
            continue
        said = world.ask(step)
        understood = world.understood(Asked.of(step))
        assert understood is not None
        if said is not None:
            answer = understood[0].made(world.view())
            head, _, body = said.partition(b"\r\n\r\n")
            assert body == answer.body
            assert head.startswith(b"HTTP/1.1 %d " % answer.status)
            assert b"Content-Length: %d\r\n" % len(body) in head + b"\r\n"


def test_it_makes_an_answer_once_as_long_as_the_listing_is_the_same() -> None:
    world = World()
    world.source.put("shop", "web", entry(1))
    for _ in range(3):
        assert world.ask("/v1/lookup/shop/web")
        assert world.ask("/v1/lookup/shop/web", "X-Trace: 1\r\n")
        world.source.put("shop", "db", entry(1))
    assert world.made == 1
    world.source.put("shop", "web", entry(2))
    response = world.ask("/v1/lookup/shop/web")
    assert world.made == 2 and response is not None and b"task2" in response


def test_what_accepts_something_else_gets_something_else() -> None:
    world = World()
    world.source.put("shop", "web", entry(1))
    lines = world.ask("/web.shop", "Accept: */*\r\n")
    document = world.ask("/web.shop", "Accept: application/json\r\n")
    assert lines is not None and lines.endswith(b"10.0.0.1:8001\n")
    assert document is not None and document.endswith(b"}\n")


@pytest.mark.parametrize(
    "asked",
    [
        request("/v1/lookup/shop/web")[:-1],
        request("/v1/lookup/shop/web") * 2,
        request("/v1/lookup/shop/web").replace(b"GET", b"HEAD"),
        request("/v1/lookup/shop/web").replace(b"1.1", b"1.0"),
        b"GET /v1/lookup/shop/web HTTP/1.1\r\n\r\n",
        request("/v1/lookup/shop/web", "Connection: close\r\n"),
        request("/v1/lookup/shop/web", "Content-Length: 1\r\n"),
        request("/v1/lookup/shop/web", "Transfer-Encoding: chunked\r\n"),
        request("/v1/lookup/shop/web", "Expect: 100-continue\r\n"),
        request("/v1/lookup/shop/web", "Host: other\r\n"),
        request("/v1/lookup/shop/web", "X : 1\r\n"),
        request("/v1/lookup/shop/web", "X: 1\r\n folded\r\n"),
        request("/v1/lookup/shop/web", "X: \x00\r\n"),
        request("/v1/lookup/shop/web?index=1"),
        request("/v1/lookup/shop/web?index=x"),
        request("/v1/nothing"),
        request("/v1/agent/self"),
        request("/v1/lookup/shop/web", f"X: {'x' * quick.HEAD_BYTES_MAX}\r\n"),
        b"",
        b"\r\n\r\n",
    ],
)
def test_all_that_is_more_than_a_plain_question_is_left_to_the_slow_path(asked: bytes) -> None:
    world = World()
    world.source.put("shop", "web", entry(1))
    assert world.quick.answer(request("/v1/lookup/shop/web")) is not None
    assert world.quick.answer(asked) is None


def test_a_connection_that_is_kept_alive_by_name_is_plain() -> None:
    asked = request("/x?y=1", "accept: a/b\r\nConnection: Keep-Alive\r\n")
    assert plain_question(asked) == ("/x?y=1", "a/b")


def test_what_is_kept_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quick, "KEPT_MAX", 10)
    world = World()
    world.source.put("shop", "web", entry(1))
    for number in range(100):
        assert world.ask("/v1/lookup/shop/web", f"X-Trace: {number}\r\n")
    assert len(world.quick._by_bytes) <= 10
    monkeypatch.setattr(quick, "KEPT_MAX", 10_000)
    monkeypatch.setattr(quick, "KEPT_BYTES_MAX", 2_000)
    for number in range(100):
        assert world.ask(f"/v1/lookup/shop/web?tag=&x={number}")
    assert len(world.quick._by_bytes) <= 10


def test_a_listing_that_comes_back_the_same_in_another_directory_is_looked_at_anew() -> None:
    world = World()
    world.source.put("shop", "web", entry(1))
    before = world.ask("/v1/lookup/shop/web")
    world.source.directory = type(world.source.directory)()
    world.source.directory.put(Listing.of("shop", "web", 9, [entry(2)]), 1)
    assert world.ask("/v1/lookup/shop/web") != before
