"""A controller as a process on loopback, and agents of a few lines that speak with it for real."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from agent.identity import NodeIdentity
from agent.join import join
from bayplan.lifecycle import TaskState
from bayplan.model import (
    Assignments,
    Inventory,
    Resources,
    ServiceSpec,
    StackFile,
    StackSpec,
    TaskStatus,
)
from bayplan.session import Heartbeat, Hello, Preflight, PreflightResult, Pulse, Report, Welcome
from bayplan.session_wire import SESSION_METHOD, Listener, say
from bayplan.tls import open_channel
from bayplan.v1 import (
    cluster_pb2,
    cluster_pb2_grpc,
    stack_pb2,
    stack_pb2_grpc,
)
from bayplan.wire import to_pb

START_S_MAX = 30
STEP_S_MAX = 20


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class ControllerProcess:
    """`bayplan-controller`, made in and run from a folder."""

    def __init__(self, folder: Path, *init: str) -> None:
        self.data_dir = folder / "controller"
        self.socket = folder / "controller.sock"
        self.log = folder / "controller.log"
        self.main, self.bootstrap, self.http = free_port(), free_port(), free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._call(
            "init",
            "--advertise-addr=127.0.0.1",
            f"--listen=127.0.0.1:{self.main}",
            f"--bootstrap-listen=127.0.0.1:{self.bootstrap}",
            f"--http-listen=127.0.0.1:{self.http}",
            f"--socket={self.socket}",
            *init,
        )

    def _call(self, *arguments: str) -> None:
        program = [sys.executable, "-m", "controller", *arguments, f"--data-dir={self.data_dir}"]
        subprocess.run(program, check=True, timeout=START_S_MAX)

    def start(self) -> None:
        program = [sys.executable, "-m", "controller", "run", f"--data-dir={self.data_dir}"]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(program, stderr=log)
        end = time.monotonic() + START_S_MAX
        while not self._answers():
            assert self._process.poll() is None, self.log.read_text()
            assert time.monotonic() < end, self.log.read_text()
            time.sleep(0.05)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def _answers(self) -> bool:
        with socket.socket() as http:
            return http.connect_ex(("127.0.0.1", self.http)) == 0

    def kill(self) -> None:
        """SIGKILL: no word of farewell."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> int:
        assert self._process is not None
        if self._process.poll() is None:
            os.kill(self._process.pid, signal.SIGTERM)
        return self._process.wait(STEP_S_MAX)

    def channel(self) -> grpc.aio.Channel:
        """The command line's way in."""
        return grpc.aio.insecure_channel(f"unix://{self.socket}")

    async def node(self, folder: Path, name: str) -> Node:
        """A machine that has joined, and whose session is open."""
        async with self.channel() as channel:
            made = await cluster_pb2_grpc.ClusterServiceStub(channel).CreateJoinToken(
                cluster_pb2.CreateJoinTokenRequest(), timeout=STEP_S_MAX
            )
        identity = await join(made.token, made.join_address, name, {}, "127.0.0.1", folder / name)
        node = Node(identity)
        await node.connect()
        return node

    async def deploy(
        self, *services: ServiceSpec, stack: str = "shop", files: tuple[StackFile, ...] = ()
    ) -> Any:
        async with self.channel() as channel:
            wished = to_pb(StackSpec(name=stack, services=services, files=files))
            return await stack_pb2_grpc.StackServiceStub(channel).Deploy(
                stack_pb2.DeployRequest(stack=wished), timeout=STEP_S_MAX
            )


class Node:
    """An agent of a few lines: answers preflights with yes, and says what it is told to say."""

    def __init__(self, identity: NodeIdentity) -> None:
        self.identity = identity
        self.id = identity.membership.node_id
        self.heard: list[Any] = []
        #: Whether it answers pulses: an answer to a session that is just being ended breaks what can be read.
        self.answers = True
        self.statuses: dict[str, TaskStatus] = {}

    async def connect(self) -> Welcome:
        membership, keys = self.identity.membership, self.identity.keys
        self.channel = open_channel(membership.controller_address, keys.ca_pem, keys)
        self.call, self._listener = self.channel.stream_stream(SESSION_METHOD)(), Listener()
        capacity = Resources(cpu_millis=4000, memory_bytes=8 * 1024**3)
        statuses = tuple(self.statuses.values())
        inventory = Inventory(hostname=membership.name, capacity=capacity)
        await self.say(Hello(boot_id="b", epoch=0, revision=0, inventory=inventory, tasks=statuses))
        welcome = await self.hear()
        assert isinstance(welcome, Welcome)
        return welcome

    async def say(self, message: Any) -> None:
        await self.call.write(say(message))

    async def hear(self) -> Any:
        message = self._listener.hear(await self.call.read())
        self.heard.append(message)
        if isinstance(message, Pulse) and self.answers:
            with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):  # the session may be over
                await self.say(Heartbeat(pulse=message.number))
        return message

    async def hear_assignments(self) -> Assignments:
        """The next desired set; preflights on the way are answered with yes."""
        while True:
            message = await self.hear()
            if isinstance(message, Preflight):
                await self.say(PreflightResult(ticket=message.ticket))
            elif isinstance(message, Assignments):
                return message

    async def run_all(self, assignments: Assignments) -> None:
        """Acknowledge, and report every task as running."""
        for each in assignments.tasks:
            self.statuses[each.task_id] = TaskStatus(task_id=each.task_id, state=TaskState.RUNNING)
        await self.say(Report(revision=assignments.revision, tasks=tuple(self.statuses.values())))

    async def close(self) -> None:
        self.call.cancel()
        await self.channel.close()
