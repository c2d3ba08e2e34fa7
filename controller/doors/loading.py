"""Compose text from a client: loaded by a child process with limits, never by the controller itself.

Whatever the text is, it costs the child's time and memory, and the controller's loop only the copying of
what goes in and comes out.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys

import msgspec

from bayplan.compose import child
from bayplan.compose.child import Job, Limits, Outcome
from bayplan.compose.pipeline import Loaded
from bayplan.errors import ProblemError, ProblemKind, refuse
from bayplan.v1 import stack_pb2

#: Children at the same time; further callers wait for their turn.
CHILDREN_MAX = 2
#: Callers that may wait for a child.
WAITING_MAX = 100
#: The child's whole life, waiting for the processor included, in seconds.
CHILD_S = 15.0
#: What a request may bring in all, in bytes; one message may be larger for other reasons.
REQUEST_BYTES_MAX = 16 * 1024 * 1024
#: What a child may answer, in bytes.
ANSWER_BYTES_MAX = 16 * 1024 * 1024
#: What is taken from the child at once, in bytes.
READ_BYTES = 256 * 1024
#: Files that a request may bring.
FILES_MAX = 1_000


class ComposeLoader:
    """Loads compose text; one for the whole controller, so that its limits hold for all callers together."""

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._turns = asyncio.Semaphore(CHILDREN_MAX)
        self._waiting = 0

    async def load(self, source: stack_pb2.ComposeSource) -> Loaded:
        """The stack that the text describes, and what to know about it. Raises ProblemError."""
        _check_size(source)
        if self._waiting >= WAITING_MAX:
            raise refuse(
                ProblemKind.REFUSED,
                "too many compose files are being read",
                hint="try again in a few seconds",
            )
        self._waiting += 1
        try:
            async with self._turns:
                answer = await self._run(msgspec.msgpack.encode(_job(source, self._limits)))
        finally:
            self._waiting -= 1
        outcome = msgspec.msgpack.decode(answer, type=Outcome)
        if outcome.loaded is None:
            raise ProblemError(*outcome.problems)
        return outcome.loaded

    async def _run(self, job: bytes) -> bytes:
        """The child's answer. It has none of our environment; what goes wrong in it is told in our log."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-m", child.__name__,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, env={},
        )  # fmt: skip
        try:
            async with asyncio.timeout(CHILD_S):
                answer = await _talk(process, job)
        except TimeoutError:
            raise _too_much(f"it took longer than {CHILD_S:g} s") from None
        finally:
            await _end(process)
        ended = process.returncode or 0
        if ended < 0 or ended == child.OUT_OF_MEMORY or len(answer) > ANSWER_BYTES_MAX:
            limits = self._limits
            megabytes = limits.memory_bytes // (1024 * 1024)
            raise _too_much(f"reading it may take {limits.cpu_s} s of CPU time and {megabytes} MiB of memory")
        if ended:
            hint = (
                "this is a fault of bayplan: please report it with the compose text and the controller's log"
            )
            raise refuse(ProblemKind.REFUSED, "the compose text could not be read", hint=hint)
        return answer


async def _talk(process: asyncio.subprocess.Process, job: bytes) -> bytes:
    """Sends the job and takes the answer, one byte more than the limit at most."""
    assert process.stdin is not None and process.stdout is not None
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it died: its exit code tells
        process.stdin.write(job)
        await process.stdin.drain()
        process.stdin.close()
    answer = bytearray()
    while len(answer) <= ANSWER_BYTES_MAX:
        chunk = await process.stdout.read(READ_BYTES)
        if not chunk:
            await process.wait()
            break
        answer += chunk
    return bytes(answer)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _too_much(why: str) -> ProblemError:
    return refuse(
        ProblemKind.INVALID, "the compose text is too much to read", why,
        hint="split the stack, or load it with the command line and send it typed",
    )  # fmt: skip


def _check_size(source: stack_pb2.ComposeSource) -> None:
    files = len(source.compose_files) + len(source.files)
    if files > FILES_MAX:
        raise refuse(ProblemKind.INVALID, f"the request brings {files} files; at most {FILES_MAX}")
    if source.ByteSize() > REQUEST_BYTES_MAX:
        problem = f"the request has {source.ByteSize()} bytes; at most {REQUEST_BYTES_MAX}"
        raise refuse(ProblemKind.INVALID, problem)


def _job(source: stack_pb2.ComposeSource, limits: Limits) -> Job:
    return Job(
        stack=source.stack,
        compose_files=tuple((file.path, file.content) for file in source.compose_files),
        files={file.path: file.content for file in source.files},
        environment=dict(source.environment),
        profiles=tuple(source.profiles),
        limits=limits,
    )
