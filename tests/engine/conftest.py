"""Fixtures of the tests of the agent on one real engine."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.engine.agent_world import World
from tests.real.testbed import Host, Testbed


@pytest.fixture(scope="package")
def host() -> Iterator[Host]:
    """One host with its own engine and the demo image."""
    with Testbed(hosts=1) as bed:
        yield bed.hosts[0]


@pytest.fixture
async def world(host: Host, tmp_path: Path) -> AsyncIterator[World]:
    """An agent on the host's engine, and the controller's seat."""
    world = World(host, tmp_path)
    try:
        yield world
    finally:
        await world.close()
