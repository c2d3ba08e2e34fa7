"""Rows of bench.lookup on watchers: from a change at a real controller to the last of a thousand streams.

The change is an instance registered with another weight, the time begins with the call, so that it has the
store's write in it; both ends of the time are on this machine.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack

from bayplan.v1 import registry_pb2_grpc
from bench.lookup_load import Bench
from bench.lookup_names import STACK, services
from bench.lookup_world import open_directory, registration
from bench.measuring import at_most, percentile
from bench.plane_worker import Worker
from bench.plane_world import cost
from tests.doors.controller.process import ControllerProcess

WATCHERS = 1_000
#: Between two changes all is quiet, in seconds.
PAUSE_S = 0.2
#: One change has been heard by all after this time, or never will be, in seconds.
HEARD_S_MAX = 30.0
#: From a change to the last watcher, in ms.
LAST = at_most(300, 150)


def watch(bench: Bench) -> None:
    """Changes one after the other."""
    waits, cpu_s = asyncio.run(_watch(bench))
    what = f"change to the last of {WATCHERS:,} watchers"
    last = [max(each) for each in waits]
    usual = percentile([wait for each in waits for wait in each], 0.5)
    note = f"{len(waits)} changes; half of all watchers within {usual:.3g} ms"
    bench.report.add(f"{what}: p50", percentile(last, 0.5), "ms", LAST, cpu_s=cpu_s, note=note)
    bench.report.add(f"{what}: p99", percentile(last, 0.99), "ms")
    bench.report.add("a view to a watcher", len(waits) * WATCHERS / cpu_s, "/CPU-s")


async def _watch(bench: Bench) -> tuple[list[Sequence[float]], float]:
    """How long each change took to each watcher (ms), and the CPU time of the controller for all of them."""
    folder = bench.folder / "watched"
    folder.mkdir()
    controller = ControllerProcess(folder, "--witness-listen=off")
    with bench.cores.on_server():
        controller.start()
    async with AsyncExitStack() as stack:
        stack.callback(controller.kill)
        stub = registry_pb2_grpc.RegistryServiceStub(await stack.enter_async_context(controller.channel()))
        service, (entry, *others) = next(services())
        for each in (entry, *others):
            await stub.Register(registration(service, each))
        await asyncio.to_thread(open_directory, controller.http)
        watchers = Worker("bench.lookup_watchers", controller.socket, log=folder / "watchers.log")
        with bench.cores.on_client():
            await stack.enter_async_context(watchers)
        await watchers.ask("open", count=WATCHERS, stack=STACK, service=service)
        waits: list[Sequence[float]] = []
        used = 0.0
        for number in range(bench.changes):
            await asyncio.sleep(PAUSE_S)
            before, begun = cost(controller.pid).cpu_s, time.monotonic()
            await stub.Register(registration(service, entry, weight=2 + number % 2))
            heard = await watchers.ask("heard", count=WATCHERS, timeout_s=HEARD_S_MAX)
            used += cost(controller.pid).cpu_s - before
            waits.append([(at - begun) * 1_000 for at in heard["at"]])
        return waits, used
