"""Constant requests to a service, from the operator's seat: how many were sent, and why any failed.

Run as a program on the switch (`python -m tests.real.caller SOCKET STACK SERVICE`); it follows the registry
as a good client should: new requests go to what is in the newest view only, and a view is acknowledged when
no request to anything else is under way. SIGTERM ends it, and it prints a Tally as JSON.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from bayplan.client import Client
from tests.real.machine import Process, tail

#: Between the starts of two requests, in seconds.
PACE_S = 0.02
#: One request, from connecting to the end of its answer, in seconds.
REQUEST_TIMEOUT_S = 5.0
#: What the workload serves: a file of the demo image, by busybox' httpd.
PATH = "/bin/serve"
#: Requests go on for this long before and after what they are watched through, in seconds.
AROUND_S = 2.0
#: The name under which the registry knows it.
WATCHER = "tests.real.caller"
#: How many reasons of failures are kept.
REASONS_MAX = 10

_REQUEST = f"GET {PATH} HTTP/1.0\r\nHost: web\r\n\r\n".encode()


@dataclass
class Tally:
    """What became of the requests. `idle` counts the turns at which there was nobody to ask: failures too."""

    sent: int = 0
    failed: int = 0
    idle: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    def fail(self, reason: str) -> None:
        self.failed += 1
        if len(self.reasons) < REASONS_MAX or reason in self.reasons:
            self.reasons[reason] += 1

    def to_json(self) -> str:
        return json.dumps(
            {"sent": self.sent, "failed": self.failed + self.idle, "reasons": dict(self.reasons)}
        )


@dataclass
class Outcome:
    """What a caller counted in all, once it has ended."""

    sent: int = 0
    failed: int = 0
    reasons: dict[str, int] = field(default_factory=dict)


class Seat(Protocol):
    """Where a program can be started: a machine, or a container's network."""

    def spawn(self, *command: str) -> Process: ...


class Calling(AbstractContextManager[Outcome]):
    """Requests from a seat while the context is open, and for a while around what is done in it."""

    def __init__(self, seat: Seat, *program: str) -> None:
        self._process = seat.spawn(sys.executable, "-m", *program)
        self._outcome = Outcome()

    def __enter__(self) -> Outcome:
        time.sleep(AROUND_S)
        return self._outcome

    def __exit__(self, *_: object) -> None:
        time.sleep(AROUND_S)
        self._process.stop()
        # All callers of a seat share one log: the last line is the last one's.
        said = [line for line in self._process.log.read_text().splitlines() if line.startswith("{")]
        assert said, f"the caller said nothing:\n{tail(self._process.log)}"
        vars(self._outcome).update(json.loads(said[-1]))


class Caller:
    """Asks the addresses in turn. `use` replaces them; `settled` is called when the last request to an
    address that is not among them has ended."""

    def __init__(self) -> None:
        self.tally = Tally()
        self._addresses: tuple[str, ...] = ()
        self._turns = itertools.count()
        self._under_way: Counter[str] = Counter()
        self._settled: Callable[[], object] | None = None
        self._began = False
        self._waiting: set[asyncio.Task[None]] = set()

    def use(self, addresses: Iterable[str], settled: Callable[[], object] | None = None) -> None:
        self._addresses = tuple(sorted(addresses))
        self._began = self._began or bool(self._addresses)
        self._settled = settled
        self._settle()

    def _settle(self) -> None:
        if self._settled is not None and not set(+self._under_way) - set(self._addresses):
            self._settled()
            self._settled = None

    async def run(self, until: asyncio.Event) -> None:
        """Requests at an even pace from the first address on; what is under way at the end is waited for."""
        due = asyncio.get_running_loop().time()
        while not until.is_set():
            if self._began:
                self._start_one()
            due += PACE_S
            await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))
        await asyncio.gather(*self._waiting)

    def _start_one(self) -> None:
        self.tally.sent += 1
        if not self._addresses:
            self.tally.idle += 1
            return
        task = asyncio.create_task(self._ask(self._addresses[next(self._turns) % len(self._addresses)]))
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)

    async def _ask(self, address: str) -> None:
        self._under_way[address] += 1
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                await _get(address)
        except (OSError, EOFError, ValueError) as error:  # TimeoutError is an OSError
            self.tally.fail(f"{type(error).__name__}: {error.__class__.__doc__ if not str(error) else error}")
        finally:
            self._under_way[address] -= 1
            self._settle()


async def _get(address: str) -> None:
    """One request on a connection of its own. Raises OSError, EOFError or ValueError without an answer."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(_REQUEST)
        answer = await reader.read(-1)
    finally:
        writer.close()
    if not answer:
        raise EOFError("closed without an answer")
    if answer.split(b" ", 2)[1:2] != [b"200"]:
        raise ValueError(f"answered {answer[:60]!r}")


def follow_registry(
    client: Client, stack: str, service: str, caller: Caller, loop: asyncio.AbstractEventLoop
) -> None:
    """Feeds the caller from the registry, and acknowledges; ends with the process."""
    for now in client.watch_instances(stack, service, WATCHER):
        addresses = [f"{found.address}:{found.port}" for found in now.instances]
        acknowledge = partial(client.acknowledge, stack, service, WATCHER, now.revision)
        loop.call_soon_threadsafe(caller.use, addresses, partial(loop.run_in_executor, None, acknowledge))


async def call_until_told(follow: Callable[[Caller, asyncio.AbstractEventLoop], None]) -> None:
    """Calls until SIGTERM what `follow` (in a thread) names, then prints the tally."""
    caller, stop, loop = Caller(), asyncio.Event(), asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    threading.Thread(target=follow, args=(caller, loop), daemon=True).start()
    await caller.run(stop)
    print(caller.tally.to_json(), flush=True)


def main() -> None:
    socket, stack, service = sys.argv[1:]
    follow = partial(follow_registry, Client(f"unix://{socket}"), stack, service)
    asyncio.run(call_until_told(follow))


if __name__ == "__main__":
    main()
