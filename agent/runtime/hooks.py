"""Commands run inside a container at a turn of its life: its post_start and pre_stop hooks.

Knows the engine by its protocol only. A hook that outlives its deadline cannot be ended by itself: the
engine has no call for it. It ends with its container.
"""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Sequence

from agent.events import Fault, FaultKind
from agent.runtime.base import Engine, EngineError
from agent.runtime.faults import cleaned
from bayplan.model import Hook

#: One post_start hook may take this long.
POST_START_DEADLINE_S = 300.0
#: A message quotes this much of a hook's command and of its output, in characters.
COMMAND_CHARS_MAX = 60
OUTPUT_CHARS_MAX = 200

#: The engine's own words in place of output, where there was no command or no right to run it.
_NOT_RUN = "OCI runtime exec failed: "
#: The engine's words where the container's own process has ended.
_GONE = "is not running"


class HookError(Exception):
    """A hook did not succeed; says which and why, for people."""


async def post_start(engine: Engine, container_id: str, hooks: Sequence[Hook]) -> None:
    """Run the hooks in order, up to the first that fails. Raises EngineError: REFUSED is a hook's failure."""
    for hook in hooks:
        try:
            await _run(engine, container_id, hook, "post_start", POST_START_DEADLINE_S)
        except HookError as error:
            raise EngineError(Fault(kind=FaultKind.REFUSED, reason=str(error))) from error


async def pre_stop(engine: Engine, container_id: str, hooks: Sequence[Hook], grace_s: float) -> str:
    """Run all hooks in order, for the grace at most; what went wrong, or "". Never raises EngineError."""
    notes: list[str] = []
    ends_at = asyncio.get_running_loop().time() + grace_s
    for hook in hooks:
        left_s = max(0.0, ends_at - asyncio.get_running_loop().time())
        try:
            await _run(engine, container_id, hook, "pre_stop", left_s)
        except HookError as error:
            notes.append(str(error))
        except EngineError as error:
            if _GONE in error.fault.reason:
                break  # its process has ended by itself meanwhile
            notes.append(error.fault.reason)
    return "; ".join(notes)


async def _run(engine: Engine, container_id: str, hook: Hook, turn: str, deadline_s: float) -> None:
    """Run one hook. Raises HookError, and EngineError when the engine or the container is away."""
    name = f"{turn} hook `{_short(shlex.join(hook.command), COMMAND_CHARS_MAX)}`"
    try:
        async with asyncio.timeout(deadline_s):
            exit_code, output = await engine.execute(container_id, hook)
    except TimeoutError as error:
        raise HookError(f"{name} did not end within {deadline_s:.3g} s") from error
    except EngineError as error:
        if error.fault.kind is not FaultKind.REFUSED or _GONE in error.fault.reason:
            raise
        raise HookError(f"{name} cannot be run: {error.fault.reason}") from error
    if exit_code != 0:
        first = output.decode(errors="replace").partition("\n")[0].strip()
        if first.startswith(_NOT_RUN):
            raise HookError(f"{name} cannot be run: {cleaned(first)}")
        said = f": {_short(first, OUTPUT_CHARS_MAX)}" if first else ""
        raise HookError(f"{name} failed with exit code {exit_code}{said}")


def _short(text: str, chars_max: int) -> str:
    return text if len(text) <= chars_max else f"{text[: chars_max - 1]}…"
