"""Debian's Prometheus finds its targets through http_sd."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bayplan.directory import Standing
from tests.doors.controller.process import free_port
from tests.doors.http_world import STEP_S_MAX, World, entry, serving
from tests.real.clients import installed

CONFIG = """
global: {{scrape_interval: 1s}}
scrape_configs:
  - job_name: bayplan
    http_sd_configs: [{{url: "http://127.0.0.1:{port}/v1/prometheus", refresh_interval: 1s}}]
    relabel_configs:
      - {{source_labels: [__meta_bayplan_standing], regex: draining, action: drop}}
      - {{source_labels: [__meta_bayplan_service], target_label: service}}
"""


class Prometheus:
    """A Prometheus whose targets are the world's."""

    def __init__(self, world: World, port: int) -> None:
        self._world, self._port = world, port

    async def targets(self) -> dict[str, Any]:
        """Labels by address; none while it starts."""
        url = f"http://127.0.0.1:{self._port}/api/v1/targets?state=active"
        try:
            async with self._world.session.get(url) as answer:
                if answer.status != 200:
                    return {}
                found = (await answer.json())["data"]["activeTargets"]
        except OSError:
            return {}
        return {each["labels"]["instance"]: each["labels"] for each in found}

    async def until(self, *addresses: str) -> dict[str, Any]:
        """Until these are its targets; gives their labels."""
        end = time.monotonic() + 3 * STEP_S_MAX
        while (found := await self.targets()).keys() != set(addresses):
            assert time.monotonic() < end, found
            await asyncio.sleep(0.1)
        return found


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with serving() as world:
        yield world


@pytest.fixture
async def prometheus(world: World, tmp_path: Path) -> AsyncIterator[Prometheus]:
    program = await asyncio.to_thread(installed.debian, "prometheus")
    config, port = tmp_path / "prometheus.yml", free_port()
    config.write_text(CONFIG.format(port=world.port))
    with (tmp_path / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            str(program),
            f"--config.file={config}",
            f"--storage.tsdb.path={tmp_path / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            stderr=log,
        )
    yield Prometheus(world, port)
    process.terminate()
    await process.wait()


async def test_prometheus_sees_an_instance_appear_drain_and_vanish(
    world: World, prometheus: Prometheus
) -> None:
    world.source.put("shop", "web", entry(1))
    found = await prometheus.until("10.0.0.1:8001")
    assert found["10.0.0.1:8001"]["service"] == "web"
    world.source.put("shop", "web", entry(1), entry(2, Standing.UNHEALTHY))
    await prometheus.until("10.0.0.1:8001", "10.0.0.2:8002")
    world.source.put("shop", "web", entry(1, Standing.DRAINING), entry(2, Standing.UNHEALTHY))
    await prometheus.until("10.0.0.2:8002")
    world.source.drop("shop", "web")
    await prometheus.until()
