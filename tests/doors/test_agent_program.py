"""The program `bayplan-agent` as a process: joining, and ending in order."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from agent.identity import load
from tests.doors.tls_world import JoinDoor, cluster, join_port

TIMEOUT_S = 30.0


async def agent(*arguments: object) -> asyncio.subprocess.Process:
    command = [sys.executable, "-m", "agent", *map(str, arguments)]
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe)


async def ended(process: asyncio.subprocess.Process) -> tuple[int | None, str, str]:
    out, err = await asyncio.wait_for(process.communicate(), TIMEOUT_S)
    return process.returncode, out.decode(), err.decode()


async def test_a_host_joins_once_and_is_told_how_to_leave(tmp_path: Path) -> None:
    door = JoinDoor(cluster())
    async with join_port(door) as address:
        arguments = ("--docker-socket", tmp_path / "none", "--data-dir", tmp_path / "agent", address)
        token = door.new_token()
        code, out, err = await ended(
            await agent(
                *("join", "--token", token, "--name", "web1", "--label", "disk=ssd"),
                *("--generic-resource", "gpu=2", "--generic-resource", "ssd=1", *arguments),
            )
        )
        assert code == 0, err
        assert out.startswith("joined as web1 in ")
        assert "docker does not answer at" in out
        assert load(tmp_path / "agent").membership.generic == {"gpu": 2, "ssd": 1}
        code, out, err = await ended(await agent("join", "--token", door.new_token(), *arguments))
    assert (code, out) == (1, "")
    assert err.startswith("error: this host is already web1 of the cluster c1")
    assert "hint: " in err
    assert len(door.tokens_seen) == 1


async def test_a_label_that_is_none_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    code, _, err = await ended(
        await agent("join", "--token", "x", "--label", "ssd", "--data-dir", tmp_path / "agent", "127.0.0.1:1")
    )
    assert code == 125
    assert "error: not a label: 'ssd'" in err


@pytest.mark.parametrize("goods", ["gpu", "=2", "gpu=-1", "gpu=1.5", "gpu=1000001", "gpu=0x2"])
async def test_goods_that_are_no_count_are_refused_before_anything_is_sent(
    goods: str, tmp_path: Path
) -> None:
    where = ("--data-dir", tmp_path / "agent", "127.0.0.1:1")
    code, _, err = await ended(await agent("join", "--token", "x", "--generic-resource", goods, *where))
    assert code == 125
    assert f"error: not a generic resource: {goods!r}" in err


async def test_a_host_that_has_not_joined_is_told_to_join(tmp_path: Path) -> None:
    code, _, err = await ended(await agent("run", "--data-dir", tmp_path))
    assert code == 1
    assert "error: this host has not joined a cluster" in err


async def test_an_agent_without_engine_and_controller_waits_and_ends_in_order(tmp_path: Path) -> None:
    door = JoinDoor(cluster())
    data_dir, engine = tmp_path / "agent", tmp_path / "none"
    async with join_port(door) as address:
        where = ("--data-dir", data_dir, "--docker-socket", engine)
        await ended(await agent("join", "--token", door.new_token(), *where, address))
        running = await agent("run", *where, "--log-format", "json")
        assert running.stderr is not None
        while b"the engine is away" not in await asyncio.wait_for(running.stderr.readline(), TIMEOUT_S):
            pass
        running.send_signal(signal.SIGTERM)
        code, _, err = await ended(running)
    assert code == 0
    assert "agent ends; its containers stay" in err
