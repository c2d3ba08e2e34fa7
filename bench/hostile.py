"""What hostile compose text costs the controller: `python -m bench.hostile`.

Each text goes to the loader's child process, as it would from a client; beside, the event loop is asked
every millisecond whether it still turns. Printed: the longest it did not, and the child's CPU time.
"""

from __future__ import annotations

import asyncio
import resource
import time
from collections.abc import Awaitable

import uvloop

from bayplan.compose.parse import ALIASES_MAX, DEPTH_MAX, SOURCE_BYTES_MAX
from bayplan.errors import ProblemError
from bayplan.v1 import stack_pb2
from bench.common import options, publish
from controller.doors.loading import ComposeLoader

#: How often the loop is asked, in seconds.
TICK_S = 0.001

_LADDER = "a0: &a0 [x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 11)
)
_VALUES = ", ".join(f"V{n}: '${{TAG}}'" for n in range(40))

#: By name, texts that try to use up time or memory.
TEXTS = {
    "nothing hostile": "services:\n  web: {image: a}\n",
    "aliases of aliases": _LADDER + "services: *a10\n",
    "merge keys of merge keys": "b0: &b0 {k: v}\n"
    + "".join(f"b{n}: &b{n}\n  <<: [{', '.join([f'*b{n - 1}'] * 20)}]\n" for n in range(1, 30))
    + "services: *b29\n",
    "deep nesting": "services: " + "[" * 60_000,
    "as deep as allowed": "services: " + "{a: " * (DEPTH_MAX - 2) + "b" + "}" * (DEPTH_MAX - 2),
    "as many aliases as allowed": "x: &x a\nservices: [" + "*x, " * (ALIASES_MAX - 1) + "*x]\n",
    "variables in variables": "services: {web: {image: '" + "${A:-" * 5_000 + "}" * 5_000 + "'}}\n",
    "as large as allowed": "services:\n  web:\n    image: " + "a" * (SOURCE_BYTES_MAX - 40),
    "a port range of everything": "services: {web: {image: a, ports: ["
    + ", ".join(f'"{n}-65535:{n}-65535"' for n in range(1, 500))
    + "]}}\n",
    "900 services of 40 variables": "services:\n"
    + "".join(f"  s{n}: {{image: a, environment: {{{_VALUES}}}}}\n" for n in range(900)),
}


async def longest_silence(work: Awaitable[None]) -> float:
    """The longest time in ms for which the loop did not turn while the work was done."""
    longest = 0.0

    async def watch() -> None:
        nonlocal longest
        while True:
            before = time.perf_counter()
            await asyncio.sleep(TICK_S)
            longest = max(longest, time.perf_counter() - before - TICK_S)

    watching = asyncio.ensure_future(watch())
    try:
        await work
    finally:
        watching.cancel()
    return longest * 1000


async def measure(name: str, text: str) -> dict[str, object]:
    source = stack_pb2.ComposeSource(stack="hostile", environment={"TAG": "1"})
    source.compose_files.add(path="compose.yaml", content=text.encode())
    said = "loaded"

    async def load() -> None:
        nonlocal said
        try:
            await ComposeLoader().load(source)
        except ProblemError as error:
            said = error.problem.summary

    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    lag = await longest_silence(load())
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"text": name, "bytes": len(text), "child CPU s": cpu_s, "loop lag ms": lag, "answer": said[:60]}


async def main() -> None:
    wanted = options("What hostile compose text costs the controller.")
    publish("hostile", [await measure(name, text) for name, text in TEXTS.items()], wanted)


if __name__ == "__main__":
    uvloop.run(main())
