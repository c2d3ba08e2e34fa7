"""The registry over HTTP on a real port: waiting for changes, limits, and what is no request at all."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator

import pytest

from bayplan.directory import Standing
from bayplan.errors import ProblemError
from bayplan.surfaces import http
from bayplan.surfaces.http import BODY_BYTES_MAX, HttpSurfaces, listen
from tests.doors.http_world import STEP_S_MAX, World, entry, serving


@pytest.fixture
async def world(caplog: pytest.LogCaptureFixture) -> AsyncIterator[World]:
    """A world in whose log is nothing at the end."""
    async with serving() as world:
        yield world
    assert [record.getMessage() for record in caplog.records if record.levelname != "DEBUG"] == []


def head(target: str, *headers: str) -> bytes:
    lines = [f"GET {target} HTTP/1.1", "Host: localhost", *headers, "", ""]
    return "\r\n".join(lines).encode()


async def blocked(world: World, target: str) -> asyncio.Task[object]:
    """A query that waits."""
    asking = asyncio.create_task(world.get(target))
    await waiting(world, 1)
    return asking


async def waiting(world: World, count: int) -> None:
    """Until so many queries wait."""
    end = time.monotonic() + STEP_S_MAX
    while world.surfaces.waiting != count:
        assert time.monotonic() < end
        await asyncio.sleep(0.005)


async def test_lookups_answer_on_one_connection_however_they_are_asked(world: World) -> None:
    world.source.put("shop", "web", entry(1))
    said = await world.say(head("/web.shop"))
    assert said.endswith(b"\r\n\r\n10.0.0.1:8001\n")
    both = await world.say(head("/web.shop") + head("/web.shop", "Connection: close"), then_end=False)
    assert both.count(b"10.0.0.1:8001\n") == 2, "pipelined"
    assert (await world.get("/v1/lookup/shop/web")).json()["revision"] == 1
    assert (await world.get("/v1/services")).json()["services"][0]["ready"] == 1


async def test_a_request_that_comes_in_pieces_is_answered(world: World) -> None:
    world.source.put("shop", "web", entry(1))
    reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
    for piece in (b"G", b"ET /web.shop HTTP/1.1\r\nHo", b"st: localhost\r\n", b"\r\n"):
        writer.write(piece)
        await asyncio.sleep(0.02)
    assert await asyncio.wait_for(reader.readuntil(b"8001\n"), STEP_S_MAX)
    writer.close()


async def test_a_connection_goes_on_after_a_slow_question(world: World) -> None:
    world.source.put("shop", "web", entry(1))
    for target in ("/v1/status/leader", "/web.shop", "/nope", "/web.shop", "/v1/lookup/shop/web?index=0"):
        assert (await world.get(target)).status in (200, 404)


@pytest.mark.parametrize(
    "target", ["/v1/lookup/shop/web", "/v1/health/service/shop_web?passing", "/v1/services"]
)
async def test_a_query_with_an_index_waits_for_a_change(world: World, target: str) -> None:
    world.source.put("shop", "web", entry(1))
    sign = "&" if "?" in target else "?"
    asking = await blocked(world, f"{target}{sign}index=1&wait=20s")
    world.source.put("shop", "web", entry(1), entry(2, Standing.DRAINING))
    got = await asyncio.wait_for(asking, STEP_S_MAX)
    assert isinstance(got, tuple) and got[0] == 200


async def test_changes_of_other_services_do_not_end_a_wait(world: World) -> None:
    world.source.put("shop", "web", entry(1))
    asking = await blocked(world, "/v1/health/service/shop_web?index=1&wait=20s")
    for number in range(10):
        world.source.put("shop", "db", entry(number))
        await asyncio.sleep(0.005)
    assert not asking.done()
    world.source.drop("shop", "web")
    got = await asyncio.wait_for(asking, STEP_S_MAX)
    assert isinstance(got, tuple) and got[2] == b"[]"


async def test_a_name_that_is_not_known_is_waited_for_through_others_changes(world: World) -> None:
    world.source.put("shop", "db", entry(1))
    asking = await blocked(world, "/v1/health/service/shop_web?index=1&wait=20s")
    for number in range(10):
        world.source.put("shop", "db", entry(number))
        await asyncio.sleep(0.005)
    assert not asking.done()
    world.source.put("shop", "web", entry(1))
    got = await asyncio.wait_for(asking, STEP_S_MAX)
    assert isinstance(got, tuple) and got[1]["X-Consul-Index"] == "12"


async def test_a_service_that_left_between_two_queries_is_missed_at_once(world: World) -> None:
    world.source.put("shop", "web", entry(1))
    world.source.drop("shop", "web")
    begun = time.monotonic()
    assert (await world.get("/v1/health/service/shop_web?index=1&wait=15s")).json() == []
    assert time.monotonic() - begun < 10


async def test_a_wait_ends_with_its_time(world: World) -> None:
    world.source.put("shop", "web", entry(1))
    begun = time.monotonic()
    got = await world.get("/v1/catalog/services?index=1&wait=300ms")
    assert got.json() == {"shop_web": []}
    assert time.monotonic() - begun >= 0.3


@pytest.mark.parametrize("target", ["/v1/services", "/v1/lookup/shop/web", "/v1/health/service/nobody"])
async def test_an_index_that_was_never_reached_waits_for_the_next_change(world: World, target: str) -> None:
    world.source.put("shop", "web", entry(1))
    asking = await blocked(world, f"{target}?index=9999999999&wait=20s")
    await asyncio.sleep(0.05)
    assert not asking.done()
    world.source.put("shop", "web", entry(2))
    world.source.put("external", "nobody", entry(2))
    await asyncio.wait_for(asking, STEP_S_MAX)


async def test_who_has_gone_waits_no_more(world: World) -> None:
    asking = await blocked(world, "/v1/services?index=1&wait=10m")
    asking.cancel()
    await waiting(world, 0)


async def test_so_many_wait_and_no_more(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "BLOCKED_MAX", 1)
    asking = await blocked(world, "/v1/services?index=1&wait=10m")
    got = await world.get("/v1/health/service/web?index=1")
    assert got.status == 429 and b"wait for changes already" in got.body
    assert (await world.get("/v1/services")).status == 200
    asking.cancel()


async def test_a_stop_does_not_wait_for_those_who_wait() -> None:
    async with serving() as world:
        asking = await blocked(world, "/v1/services?index=1&wait=10m")
        begun = time.monotonic()
    assert time.monotonic() - begun < 10
    asking.cancel()


async def test_a_port_that_is_taken_is_told_of(world: World) -> None:
    surfaces = HttpSurfaces(world.source, world.local)
    with pytest.raises(ProblemError, match="cannot listen on"):
        await listen(surfaces, surfaces.application(), "127.0.0.1", world.port, "take another")


async def test_what_is_not_there_lists_what_is(world: World) -> None:
    got = await world.get("/v1/nothing")
    assert got.status == 404 and "GET /v1/services" in got.json()["details"]
    assert (await world.get("/v1/health/nothing")).headers["X-Consul-Index"] == "1"
    assert (await world.put("/v1/agent/nothing/x")).status == 404
    assert (await world.get("/v1/agent/service/register")).status == 404


async def test_bodies_have_a_limit_and_come_in_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "BODY_S_MAX", 0.1)
    assert (await world.put("/v1/agent/service/register", b" " * (BODY_BYTES_MAX + 1))).status == 400
    slow = b"PUT /v1/agent/service/register HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{"
    reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
    writer.write(slow)
    assert (await asyncio.wait_for(reader.readline(), STEP_S_MAX)) == b"HTTP/1.1 400 Bad Request\r\n"
    writer.close()


async def test_what_registers_over_http_is_found_over_http(world: World) -> None:
    body = {"Name": "mail", "ID": "m1", "Port": 25, "Check": {"TTL": "10s"}}
    assert (await world.put("/v1/agent/service/register", body)).status == 200
    assert (await world.get("/v1/health/service/mail?passing")).json() == []
    assert (await world.put("/v1/agent/check/pass/service:m1")).status == 200
    assert (await world.get("/mail")).body == b"10.0.0.1:25\n"
    assert set((await world.get("/v1/agent/services")).json()) == {"m1"}
    got = await world.put("/v1/agent/check/pass/nope")
    assert got.status == 404 and got.body.startswith(b'Unknown check ID "nope"')
    assert (await world.put("/v1/agent/service/deregister/m1")).status == 200
    assert (await world.get("/mail")).status == 404


async def test_bytes_at_random_leave_nothing_in_the_log(world: World) -> None:
    dice = random.Random(6)
    world.source.put("shop", "web", entry(1))
    good = [
        head("/v1/lookup/shop/web?tag=a&index=0&wait=1ms", "Accept: */*", "Connection: close"),
        head("/v1/health/service/shop_web?passing=1&near=_agent", "Connection: close"),
        b"PUT /v1/agent/service/register HTTP/1.1\r\nHost: x\r\nContent-Length: 16\r\n\r\n"
        + b'{"Name": "mail"}',
        b"PUT /v1/catalog/register HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        + b"2\r\n{}\r\n0\r\n\r\n",
    ]
    for _ in range(400):
        broken = bytearray(dice.choice(good))
        for _ in range(dice.randint(1, 4)):
            place = dice.randrange(len(broken))
            broken[place : place + dice.randint(0, 3)] = dice.randbytes(dice.randint(0, 3))
        said = await world.say(bytes(broken))
        assert not said or said.startswith(b"HTTP/1."), broken
        assert b"500 Internal" not in said, broken


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /%zz%00?%=&&=%ff HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /x HTTP/1.1\r\n" + b"X: y\r\n" * 5_000 + b"\r\n",
        b"PUT /v1/agent/service/register HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"PUT /v1/agent/service/register HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"PUT /v1/agent/service/register HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\n"
        b"Content-Length: 4\r\nConnection: close\r\n\r\nnope",
        b"DELETE /v1/services HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    ],
)
async def test_what_is_no_request_is_refused_and_leaves_nothing_in_the_log(world: World, data: bytes) -> None:
    said = await world.say(data)
    assert not said or said.startswith((b"HTTP/1.1 4", b"HTTP/1.0 4"))
    assert (await world.get("/v1/status/leader")).status == 200
