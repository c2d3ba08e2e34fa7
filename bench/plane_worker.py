"""A child process of a bench that answers questions: a line of JSON in, a line of JSON out.

Several questions may be open at once. The child ends when its stdin does, so none outlives its bench.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import msgspec

#: The longest line: arrivals of a minute of changes fit.
LINE_BYTES_MAX = 256 * 1024 * 1024
#: Pause between two looks at what is waited for.
LOOK_PERIOD_S = 0.005
#: What is shown of the log of a child that has ended.
SHOWN_CHARS_MAX = 2_000


async def serve(answers: Any) -> None:
    """Answer questions by the methods of `answers` until stdin ends."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(LINE_BYTES_MAX)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    out = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    open_tasks: set[asyncio.Task[None]] = set()

    async def answer(question: dict[str, Any]) -> None:
        found = await getattr(answers, question["ask"])(**question["with"])
        line = memoryview(msgspec.json.encode({"id": question["id"], "answer": found}) + b"\n")
        while line:
            line = line[out.write(line) :]

    while line := await reader.readline():
        task = asyncio.create_task(answer(msgspec.json.decode(line)))
        open_tasks.add(task)
        task.add_done_callback(open_tasks.discard)
        task.add_done_callback(_or_die)


def _or_die(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        os._exit(1)


async def until(true: Callable[[], bool]) -> None:
    """Look every now and then until something is true."""
    while True:
        if true():
            return
        await asyncio.sleep(LOOK_PERIOD_S)


class Worker:
    """The bench's end. Use: `async with Worker("bench.x", log=file) as x: await x.ask("what", more=1)`."""

    def __init__(self, module: str, *arguments: str | Path, nice: int = 0, log: Path) -> None:
        self._module, self._arguments = module, list(map(str, arguments))
        self._nice = nice
        self._log = log
        self._ids = itertools.count(1)
        self._open: dict[int, asyncio.Future[Any]] = {}

    async def __aenter__(self) -> Self:
        def be_nice() -> None:
            os.nice(self._nice)

        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", self._module, *self._arguments,
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=log,
                limit=LINE_BYTES_MAX, preexec_fn=be_nice if self._nice else None,
            )  # fmt: skip
        self._reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._reading.cancel()
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()

    @property
    def pid(self) -> int:
        return self._process.pid

    async def ask(self, question: str, timeout_s: float = 60.0, **arguments: Any) -> Any:
        """The answer. Raises TimeoutError, and ConnectionError when the child has ended."""
        number = next(self._ids)
        answer = self._open[number] = asyncio.get_running_loop().create_future()
        assert self._process.stdin is not None
        line = msgspec.json.encode({"id": number, "ask": question, "with": arguments})
        self._process.stdin.write(line + b"\n")
        async with asyncio.timeout(timeout_s):
            return await answer

    async def _read(self) -> None:
        assert self._process.stdout is not None
        try:
            while line := await self._process.stdout.readline():
                found = msgspec.json.decode(line)
                answer = self._open.pop(found["id"])
                if not answer.done():
                    answer.set_result(found["answer"])
        finally:
            for answer in self._open.values():
                if not answer.done():
                    answer.set_exception(ConnectionError(f"{self._module} has ended: {self._said()}"))

    def _said(self) -> str:
        return self._log.read_text(errors="replace")[-SHOWN_CHARS_MAX:]
