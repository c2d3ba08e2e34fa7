"""What the engines themselves say, asked over their sockets: the outside view of both orchestrators.

Also the small client for the engine's API, which is how Swarm is driven.
"""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.real.host import Host

#: One call of an engine; a busy one takes its time.
ENGINE_DEADLINE_S = 60.0
#: Between two looks at the engines, in seconds: what every measured time may be too long by.
LOOK_EVERY_S = 0.05
#: The engine's API that all versions since 20.10 speak.
API = "/v1.41"

Container = dict[str, Any]


class EngineError(Exception):
    """The engine refused."""


def call(sock: Path, method: str, path: str, body: object = None, **query: str) -> Any:
    """One request to an engine. Raises EngineError, or OSError when nobody answers."""
    connection = http.client.HTTPConnection("engine", timeout=ENGINE_DEADLINE_S)
    try:
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(ENGINE_DEADLINE_S)
        connection.sock.connect(str(sock))
        target = f"{API}{path}" + (f"?{urlencode(query)}" if query else "")
        connection.request(method, target, json.dumps(body) if body is not None else None,
                           {"Content-Type": "application/json"})  # fmt: skip
        answer = connection.getresponse()
        text = answer.read()
    finally:
        connection.close()
    if answer.status >= 300:
        raise EngineError(f"{method} {path}: {answer.status} {text.decode(errors='replace').strip()}")
    return json.loads(text) if text.strip() else None


class Look:
    """All containers of some hosts at one moment. Hosts that are off have none."""

    def __init__(self, found: Mapping[str, list[Container]]) -> None:
        self._found = found

    def running(self, *, without: str = "", version: str = "") -> int:
        """How many run, but for those on one host, of one version or of any."""
        return sum(
            container["State"] == "running" and version in ("", container["Labels"].get("version"))
            for name, containers in self._found.items()
            if name != without
            for container in containers
        )

    def on(self, host: str) -> int:
        return sum(container["State"] == "running" for container in self._found.get(host, ()))

    @property
    def all(self) -> int:
        """Running or not."""
        return sum(len(containers) for containers in self._found.values())


def look(hosts: Iterable[Host]) -> Look:
    on = [host for host in hosts if host.on and host.docker_socket.exists()]
    with ThreadPoolExecutor(max_workers=len(on)) as pool:
        found = pool.map(lambda host: call(host.docker_socket, "GET", "/containers/json", all="1"), on)
        return Look({host.name: containers for host, containers in zip(on, found, strict=True)})


def first_times(
    hosts: Iterable[Host], wanted: Mapping[str, Callable[[Look], bool]], since: float, timeout_s: float
) -> dict[str, float | None]:
    """When each condition held for the first time, in seconds after `since` (monotonic); None: too late."""
    times: dict[str, float | None] = dict.fromkeys(wanted)
    while missing := [name for name, at in times.items() if at is None]:
        seen = look(hosts)
        now = time.monotonic() - since
        times |= {name: now for name in missing if wanted[name](seen)}
        if now > timeout_s:
            break
        time.sleep(LOOK_EVERY_S)
    return times
