"""Commands run inside a container beside its own process, by the engine's exec calls."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import msgspec
from aiodocker import Docker

from agent.events import Fault, FaultKind
from agent.runtime.base import EngineError
from agent.runtime.calls import ENGINE_TROUBLES, QUERY_DEADLINE_S, deadline, status_of
from agent.runtime.faults import fault_of
from agent.runtime.frames import frames
from bayplan.model import Hook, LogStream

#: Of each of a command's outputs this much is kept, in bytes.
OUTPUT_BYTES_MAX = 4_096
#: A command whose output has ended is asked after this long for its exit code again, if it still runs.
EXIT_POLL_S = 0.02


class Execs:
    """See agent.runtime.base.Engine.execute."""

    def __init__(self, docker: Docker) -> None:
        self._docker = docker

    async def run(self, container_id: str, hook: Hook) -> tuple[int, bytes]:
        """The exit code, and the beginning of what was said on stderr, else on stdout."""
        async with deadline(QUERY_DEADLINE_S):
            made = await self._docker._query_json(
                f"containers/{container_id}/exec", "POST", data=exec_request(hook)
            )
        output = await self._output(made["Id"])
        return await self._exit_code(made["Id"]), output

    async def _output(self, exec_id: str) -> bytes:
        """Start the command and read until its output ends."""
        body = msgspec.json.encode({"Detach": False, "Tty": False})
        endless = aiohttp.ClientTimeout(total=None)
        async with deadline(QUERY_DEADLINE_S):
            response = await self._docker._do_query(
                f"exec/{exec_id}/start", "POST", data=body, timeout=endless
            )
        said = {LogStream.STDOUT: b"", LogStream.STDERR: b""}
        try:
            async for stream, chunk in frames(response):
                said[stream] += chunk[: OUTPUT_BYTES_MAX - len(said[stream])]
        except ENGINE_TROUBLES as error:
            raise EngineError(fault_of(error, QUERY_DEADLINE_S)) from error
        finally:
            response.close()
        return said[LogStream.STDERR] or said[LogStream.STDOUT]

    async def _exit_code(self, exec_id: str) -> int:
        """How it ended. An engine that has restarted since does not know it any more."""
        try:
            while True:
                async with deadline(QUERY_DEADLINE_S):
                    shown = await self._docker._query_json(f"exec/{exec_id}/json")
                if not shown["Running"] and shown["ExitCode"] is not None:
                    return int(shown["ExitCode"])
                await asyncio.sleep(EXIT_POLL_S)
        except EngineError as error:
            if status_of(error) != 404:
                raise
            reason = "the engine has lost sight of the command"
            raise EngineError(Fault(kind=FaultKind.UNANSWERED, reason=reason)) from error


def exec_request(hook: Hook) -> dict[str, Any]:
    """The body of `POST /containers/{id}/exec` (API 1.35 and later). Pure."""
    return {
        "AttachStdout": True,
        "AttachStderr": True,
        "Cmd": list(hook.command),
        "Env": list(hook.environment),
        "User": hook.user,
        "WorkingDir": hook.working_dir,
        "Privileged": hook.privileged,
    }
