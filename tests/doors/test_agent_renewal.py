"""The agent renews its certificate at half its life, by itself."""

from __future__ import annotations

import asyncio
from pathlib import Path

from agent import identity
from agent.daemon import Identity
from tests.doors.tls_world import DAY_MS, JoinDoor, agent_keys, cluster, join_port, member, wall_ms


async def renewed(tmp_path: Path, age_days: float) -> bool:
    """Whether an agent with a certificate of this age gets a new one at once."""
    authority = cluster()
    keys = agent_keys(authority, issued_ms=wall_ms() - int(age_days * DAY_MS))
    async with join_port(JoinDoor(authority)) as address:
        fresh = Identity(member(authority, address, keys), tmp_path)
        keeping = asyncio.create_task(fresh.keep_fresh())
        await asyncio.wait([keeping], timeout=1.0)
        keeping.cancel()
        if fresh.current.keys is keys:
            return False
        assert identity.load(tmp_path).keys == fresh.current.keys
        return True


async def test_a_certificate_past_half_its_life_is_renewed_and_kept(tmp_path: Path) -> None:
    assert await renewed(tmp_path, 4)


async def test_an_expired_certificate_is_renewed_too(tmp_path: Path) -> None:
    assert await renewed(tmp_path, 30)


async def test_a_young_certificate_is_left_alone(tmp_path: Path) -> None:
    assert not await renewed(tmp_path, 1)
