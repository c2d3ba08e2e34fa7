"""The controller's HTTP port, with its directory behind it: waiting, Consul's registrations, restarts."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp

from tests.doors.controller.process import STEP_S_MAX, ControllerProcess
from tests.doors.controller.test_doors import deployed


class Client:
    """Asks a controller."""

    def __init__(self, controller: ControllerProcess, session: aiohttp.ClientSession) -> None:
        self._url, self._session = f"http://127.0.0.1:{controller.http}", session

    async def get(self, target: str) -> tuple[int, Any, int]:
        """Status, body, and Consul's index."""
        async with self._session.get(self._url + target) as answer:
            return answer.status, await answer.json(), int(answer.headers.get("X-Consul-Index", 0))

    async def put(self, target: str, body: Any = None) -> int:
        async with self._session.put(self._url + target, data=json.dumps(body or {})) as answer:
            return answer.status

    async def until(self, target: str, count: int) -> Any:
        """Until a list has so many."""
        async with asyncio.timeout(STEP_S_MAX):
            while True:
                status, body, _ = await self.get(target)
                if status == 200 and len(body) == count:
                    return body
                await asyncio.sleep(0.05)


async def test_a_waiting_query_hears_of_a_service_that_is_deployed(
    controller: ControllerProcess, tmp_path: Path
) -> None:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(STEP_S_MAX)) as session:
        client = Client(controller, session)
        await client.until("/v1/catalog/services", 0)
        _, found, index = await client.get("/v1/health/service/shop_web?passing")
        assert found == []
        target = f"/v1/health/service/shop_web?passing&index={index}&wait={STEP_S_MAX}s"
        waiting = asyncio.create_task(client.get(target))
        node, task = await deployed(controller, tmp_path)
        _, found, later = await waiting
        assert later > index
        (row,) = await client.until("/v1/health/service/shop_web?passing", 1)
        assert (row["Service"]["ID"], row["Node"]["Node"]) == (task, "n1")
        (known,) = await client.until("/v1/catalog/nodes", 1)
        assert known["Address"] == "127.0.0.1"
        body = {"Name": "shop_web", "Address": "10.0.0.9"}
        assert await client.put("/v1/agent/service/register", body) == 403
        await node.close()


async def test_what_registered_at_the_controller_is_there_after_it_was_killed(
    controller: ControllerProcess,
) -> None:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(STEP_S_MAX)) as session:
        client = Client(controller, session)
        body = {"Name": "mail", "ID": "m1", "Port": 25, "Check": {"TTL": "60s", "Status": "passing"}}
        assert await client.put("/v1/agent/service/register", body) == 200
        await client.until("/v1/health/service/mail?passing", 1)
        controller.kill()
        controller.start()
        await client.until("/v1/health/service/mail?passing", 1)
        assert await client.put("/v1/agent/service/maintenance/m1?enable=true") == 200
        await client.until("/v1/health/service/mail?passing", 0)
        assert await client.put("/v1/agent/check/pass/service:m1") == 200
        assert await client.put("/v1/agent/service/deregister/m1") == 200
        await client.until("/v1/health/service/mail", 0)
        assert "Traceback" not in controller.log.read_text()
