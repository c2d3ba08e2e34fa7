"""The controller of bench.lookup: what it is told, so that it answers for the same services as the others."""

from __future__ import annotations

import asyncio
import itertools
import urllib.request

from bayplan.directory import Entry
from bayplan.directory.registrar import TTL_MS_MAX, Registration
from bayplan.v1 import registry_pb2, registry_pb2_grpc
from bayplan.wire import to_pb
from bench.lookup_names import NAMES, STACK, services
from tests.doors.controller.process import ControllerProcess

#: Registrations on their way at once: the store writes them together.
REGISTERING = 64
#: Calls of the bench itself, in seconds.
CALL_S = 30.0


def registration(service: str, entry: Entry, weight: int = 1) -> registry_pb2.RegisterRequest:
    """An instance that outlives the bench."""
    found = Registration(
        id=entry.id, service=service, stack=STACK, node=entry.node, address=entry.address, port=entry.port,
        weight=weight, ttl_ms=TTL_MS_MAX,
    )  # fmt: skip
    return registry_pb2.RegisterRequest(registration=to_pb(found))


async def fill(controller: ControllerProcess) -> None:
    """Register the services that have IPv4 addresses, and have the directory made."""
    turn = asyncio.Semaphore(REGISTERING)
    async with controller.channel() as channel:
        stub = registry_pb2_grpc.RegistryServiceStub(channel)

        async def register(service: str, entry: Entry) -> None:
            async with turn:
                await stub.Register(registration(service, entry), timeout=CALL_S)

        async with asyncio.TaskGroup() as group:
            for service, entries in itertools.islice(services(), NAMES):
                for entry in entries:
                    group.create_task(register(service, entry))
    await asyncio.to_thread(open_directory, controller.http)


def open_directory(port: int) -> None:
    """Have the controller make its directory, as the first agent that follows does."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/services", timeout=CALL_S) as answer:
        answer.read()
