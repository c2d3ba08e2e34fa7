"""The world of bench.plane: a controller as users run it, its simulated agents, a probe, and their cost.

Nodes are enrolled before the controller starts: the bootstrap port lets one address join once a second.
Each gets a key and a certificate of its own from the cluster's authority, and the record that a join makes.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import tempfile
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import grpc.aio
import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from agent.identity import Membership, certificate_request, key_to_pem
from bayplan.ids import NUMBERS, to_id
from bayplan.model import Inventory, Resources, ServiceSpec, StackSpec
from bayplan.pump import read_clock
from bayplan.v1 import rollout_pb2, rollout_pb2_grpc, service_pb2, service_pb2_grpc, stack_pb2, stack_pb2_grpc
from bayplan.wire import to_pb
from bench.measuring import Report, at_most
from bench.plane_agent import Machine
from bench.plane_worker import Worker
from controller.authority import Authority, requested_key_hash
from controller.config import CA_FOLDER, STORE_FILE
from controller.content_key import ContentKey
from controller.records import Node, Put
from controller.store.seal import Seal
from controller.store.sqlite import SqliteStore
from tests.doors.controller.process import ControllerProcess

#: How long a call of the bench may take, in seconds: a figure that is missed by far is a figure.
CALL_S_MAX = 900.0
#: The heartbeats of a large fleet: at the default of 2 s they alone would be most of what 5,000 agents say.
LARGE_FLEET, LARGE_FLEET_HEARTBEAT = 2_000, "10s"
#: Pause before the controller is asked again whether all is ready, in seconds.
ASK_PAUSE_S_MAX = 0.5
#: Connections over which the bench's calls go in turns, as those of as many users: one may have 100 open.
CALLERS = 8
CHANNEL = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 200),
]
#: Where nodes are told to be.
ZONES = 3
#: Probes run before everybody else, so that they do not wait for a core.
PROBE_NICE = -10

_TICKS_S = os.sysconf("SC_CLK_TCK")


class Cost(NamedTuple):
    """What a process has used: CPU seconds of all its threads, and the most memory it ever had (bytes)."""

    cpu_s: float
    peak_bytes: int


def cost(pid: int) -> Cost:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    cpu = (int(fields[11]) + int(fields[12])) / _TICKS_S  # utime, stime: proc(5)
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return Cost(cpu, int(lines["VmHWM"].split()[0]) * 1024)


def forget_peak(pid: int) -> None:
    """Let the peak begin anew from what the process has now (proc(5), clear_refs)."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


class World:
    """A running controller with its agents in session."""

    def __init__(
        self,
        controller: ControllerProcess,
        agents: Worker,
        probe: Worker,
        channels: Iterable[grpc.aio.Channel],
    ) -> None:
        self.controller = controller
        self.agents = agents
        self.probe = probe
        self._channels = itertools.cycle(channels)

    async def deploy(self, stack: StackSpec) -> None:
        """A deploy by the real RPC; on return it is durable."""
        stub = stack_pb2_grpc.StackServiceStub(next(self._channels))
        await stub.Deploy(stack_pb2.DeployRequest(stack=to_pb(stack)), timeout=CALL_S_MAX)

    async def scale(self, service: str, replicas: int) -> None:
        stub = service_pb2_grpc.ServiceServiceStub(next(self._channels))
        request = service_pb2.ScaleRequest(service=service, replicas=replicas)
        await stub.Scale(request, timeout=CALL_S_MAX)

    async def update(self, service: str, spec: ServiceSpec) -> None:
        stub = rollout_pb2_grpc.RolloutServiceStub(next(self._channels))
        request = rollout_pb2.UpdateServiceRequest(service=service, spec=to_pb(spec))
        await stub.UpdateService(request, timeout=CALL_S_MAX)

    async def all_ready(self, stack: str) -> float:
        """Wait until the controller shows every task of a stack as ready; when it did (monotonic s)."""
        stub = service_pb2_grpc.ServiceServiceStub(next(self._channels))
        while True:
            asked = time.monotonic()
            request = service_pb2.ListServicesRequest(stack=stack)
            answer = await stub.ListServices(request, timeout=CALL_S_MAX, wait_for_ready=True)
            if all(view.ready == view.desired for view in answer.services):
                return time.monotonic()
            # The question costs the controller work, too: some tenth of what is measured.
            await asyncio.sleep(min(ASK_PAUSE_S_MAX, 9 * (time.monotonic() - asked)))


@asynccontextmanager
async def world(nodes: int, capacity: Resources) -> AsyncIterator[World]:
    """A cluster of so many simulated nodes; nothing is left of it afterwards."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bayplan-plane.")))
        heartbeat = (f"--heartbeat={LARGE_FLEET_HEARTBEAT}",) if nodes >= LARGE_FLEET else ()
        controller = await asyncio.to_thread(ControllerProcess, folder, "--witness-listen=off", *heartbeat)
        machines = await enrol(controller, nodes, capacity)
        (folder / "machines").write_bytes(msgspec.msgpack.encode(machines))
        await asyncio.to_thread(controller.start)
        stack.callback(controller.kill)
        agents = Worker("bench.plane_agents", folder / "machines", log=folder / "agents.log")
        await stack.enter_async_context(agents)
        await agents.ask("open", timeout_s=CALL_S_MAX)
        probe = Worker(
            "bench.plane_probe", controller.socket, str(controller.http),
            nice=PROBE_NICE if os.geteuid() == 0 else 0, log=folder / "probe.log",
        )  # fmt: skip
        await stack.enter_async_context(probe)
        await probe.ask("warmed")
        channels = [
            await stack.enter_async_context(
                grpc.aio.insecure_channel(f"unix://{controller.socket}", options=CHANNEL)
            )
            for _ in range(CALLERS)
        ]
        yield World(controller, agents, probe, channels)


async def enrol(controller: ControllerProcess, count: int, capacity: Resources) -> list[Machine]:
    """Make the nodes in the store of a controller that does not run, as `core.joins` makes them."""
    authority = await asyncio.to_thread(Authority.load, controller.data_dir / CA_FOLDER)
    key = ContentKey.load(controller.data_dir)
    assert key is not None, "a new cluster has its content key"
    rng = random.Random(count)
    ids = [to_id(number) for number in rng.sample(range(NUMBERS // 2, NUMBERS), count)]
    made = [_enrolled(authority, controller, number, ids[number], capacity) for number in range(count)]
    store = SqliteStore(controller.data_dir / STORE_FILE, Seal(key.sealing))
    try:
        await store.load()
        await store.append([Put(record=node) for node, _ in made])
    finally:
        await store.close()
    return [machine for _, machine in made]


def _enrolled(
    authority: Authority, controller: ControllerProcess, number: int, node_id: str, capacity: Resources
) -> tuple[Node, Machine]:
    key = ec.generate_private_key(ec.SECP256R1())
    csr = certificate_request(key)
    now = read_clock()
    name = f"n{number:05}"
    address = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
    inventory = Inventory(
        hostname=name, capacity=capacity, engine_version="27.0.0", agent_version="0.1.0",
        os="linux", arch="amd64",
    )  # fmt: skip
    node = Node(
        id=node_id, name=name, key_id=requested_key_hash(csr), address=address,
        labels={"zone": f"z{number % ZONES}"}, inventory=inventory, joined_ms=now.wall_ms, ordinal=number + 1,
    )  # fmt: skip
    membership = Membership(
        node_id=node_id, name=name, cluster_id=authority.cluster_id,
        controller_address=f"127.0.0.1:{controller.main}",
        bootstrap_address=f"127.0.0.1:{controller.bootstrap}",
    )  # fmt: skip
    machine = Machine(
        membership=membership, inventory=inventory, ca_pem=authority.ca_pem, key_pem=key_to_pem(key),
        certificate_pem=authority.issue_agent(csr, node_id, now.wall_ms),
    )  # fmt: skip
    return node, machine


async def worst(world: World) -> dict[str, Any]:
    """What the probe saw since it was asked last."""
    found: dict[str, Any] = await world.probe.ask("slowest")
    return found


def stall(report: Report, row: str, seen: dict[str, dict[str, float]]) -> None:
    """How long the worst answer took that had nothing to do with the row's own work."""
    for kind, waits in seen.items():
        note = f"p99 {waits['p99_ms']:.1f} ms of {waits['answers']:,} answers"
        if kind == "loop":
            note = "by GET /v1/loop: the worst of all seconds"
        report.add(f"{row}: worst {kind}", waits["worst_ms"], "ms", at_most(50, 10), note=note)
