"""How every call of the engine ends: in time, or with an EngineError that says why not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import msgspec
from aiodocker.exceptions import DockerError

from agent.events import Fault, FaultKind
from agent.runtime.base import EngineError
from agent.runtime.faults import fault_of

#: Deadlines of calls, in seconds. A start on a busy machine takes seconds, a question does not.
PING_DEADLINE_S = 6.0
QUERY_DEADLINE_S = 15.0
CREATE_DEADLINE_S = 60.0
START_DEADLINE_S = 60.0
REMOVE_DEADLINE_S = 60.0
#: A stop may take its grace and this.
STOP_MARGIN_S = 20.0
#: A pull is given up when it did not get on for this long, or after the whole time.
PULL_IDLE_DEADLINE_S = 60.0
PULL_DEADLINE_S = 14_400.0

#: What aiodocker and what lies below it raise when the engine does wrong, or is not there.
ENGINE_TROUBLES = (
    DockerError,
    aiohttp.ClientError,
    OSError,
    TimeoutError,
    ValueError,
    msgspec.MsgspecError,
    EOFError,
)


@asynccontextmanager
async def deadline(seconds: float) -> AsyncIterator[None]:
    """Turn whatever the engine does wrong into an EngineError."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except ENGINE_TROUBLES as error:
        raise EngineError(fault_of(error, seconds)) from error


def refusal(reason: str) -> EngineError:
    """A refusal that is ours, not the engine's."""
    return EngineError(Fault(kind=FaultKind.REFUSED, reason=reason))


def status_of(error: EngineError) -> int:
    """The HTTP status with which the engine refused, 900 if it was not reached, 0 if there is none."""
    return error.__cause__.status if isinstance(error.__cause__, DockerError) else 0
