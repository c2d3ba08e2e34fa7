"""Docker Swarm on one engine of our own in a temporary folder: how fast it makes and schedules tasks.

Its services have a constraint that no node meets. So the manager makes every task and tries to place it, and
no container starts: what is measured is what an orchestrator does, not what an engine does.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from bench.engines import EngineError, call
from controller.decide.schedule import Group

#: Until an engine of our own answers, and until it has ended.
ENGINE_TIMEOUT_S = 30.0
#: Until Swarm has looked at all tasks of a round.
SCHEDULED_TIMEOUT_S = 300.0
#: Between two looks at the tasks: by so much a measured time may be too long. A look itself costs the manager
#: time; few of them cost it little.
LOOK_EVERY_S = 0.25
#: What no node has.
UNMET = "node.labels.bench == nowhere"
#: Where the manager listens for nodes; none ever comes.
LISTENS_AT = "127.0.0.1:2399"


class NoEngineError(Exception):
    """There is no engine here, or it does not start; the text says which."""


class LoneSwarm:
    """`with LoneSwarm() as swarm`: a manager without nodes but itself; ended and removed afterwards."""

    def __init__(self) -> None:
        self.version = ""
        self._folder = Path()
        self._socket = Path()
        self._engine: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        if shutil.which("dockerd") is None:
            raise NoEngineError("no dockerd on this machine")
        if os.geteuid() != 0:
            raise NoEngineError("an engine needs root")
        self._folder = Path(tempfile.mkdtemp(prefix="bench-swarm-"))
        self._socket = self._folder / "docker.sock"
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _start(self) -> None:
        folder = self._folder
        command = [
            "dockerd", "--data-root", folder / "data", "--exec-root", folder / "exec",
            "--pidfile", folder / "pid", "--host", f"unix://{self._socket}",
            "--storage-driver", "vfs", "--bridge", "none",
            "--iptables=false", "--exec-opt", "native.cgroupdriver=cgroupfs",
        ]  # fmt: skip
        with (folder / "log").open("wb") as log:
            self._engine = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + ENGINE_TIMEOUT_S
        while not self._answers():
            if self._engine.poll() is not None or time.monotonic() > deadline:
                last = (folder / "log").read_text(errors="replace").strip().splitlines()[-1:]
                raise NoEngineError(f"the engine does not start: {' '.join(last)[:200]}")
            time.sleep(0.1)
        body = {"ListenAddr": LISTENS_AT, "AdvertiseAddr": LISTENS_AT}
        try:
            self._ask("POST", "/swarm/init", body)
        except EngineError as error:
            raise NoEngineError(f"Swarm does not start: {error}") from error

    def _answers(self) -> bool:
        try:
            self.version = self._ask("GET", "/version")["Version"]
        except (OSError, EngineError):
            return False
        return True

    def _ask(self, method: str, path: str, body: object = None, **query: str) -> Any:
        return call(self._socket, method, path, body, **query)

    def schedule(self, groups: Sequence[Group]) -> float:
        """Seconds from the first service's creation until every task was looked at; then all are removed."""
        begin = time.perf_counter()
        names = [f"bench-{number}" for number in range(len(groups))]
        for name, group in zip(names, groups, strict=True):
            self._ask("POST", "/services/create", _service(name, group))
        missing = sum(group.count for group in groups)
        while self._looked_at() < missing:
            if time.perf_counter() - begin > SCHEDULED_TIMEOUT_S:
                raise NoEngineError(f"Swarm has not scheduled {missing} tasks in {SCHEDULED_TIMEOUT_S:.0f} s")
            time.sleep(LOOK_EVERY_S)
        took = time.perf_counter() - begin
        for name in names:
            self._ask("DELETE", f"/services/{name}")
        while self._ask("GET", "/tasks"):
            time.sleep(LOOK_EVERY_S)
        return took

    def _looked_at(self) -> int:
        """Tasks that the manager has tried to place: it says that no node is suitable."""
        return sum("no suitable node" in task["Status"].get("Err", "") for task in self._ask("GET", "/tasks"))

    def __exit__(self, *_: object) -> None:
        if self._engine is not None:
            self._engine.terminate()
            try:
                self._engine.wait(ENGINE_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._engine.kill()
                self._engine.wait()
        shutil.rmtree(self._folder, ignore_errors=True)


def _service(name: str, group: Group) -> dict[str, Any]:
    amounts = group.demand.by_dimension
    reserved = {"NanoCPUs": amounts["cpu_millis"] * 1_000_000, "MemoryBytes": amounts["memory_bytes"]}
    return {
        "Name": name,
        "TaskTemplate": {
            "ContainerSpec": {"Image": "bench:none"},
            "Resources": {"Reservations": reserved},
            "Placement": {"Constraints": [UNMET]},
        },
        "Mode": {"Replicated": {"Replicas": group.count}},
    }
