"""What an engine's failure means, and its words made fit for people. Pure."""

from __future__ import annotations

import re

from aiodocker.exceptions import DockerError

from agent.events import Fault, FaultKind

#: Refusals that are only the sign of an engine in trouble: the same command may succeed later.
_TROUBLE = re.compile(
    r"context canceled|context deadline exceeded|transport is closing|connection is (shut down|closing)"
    r"|containerd is not running|connection refused|ttrpc: closed|daemon is shutting down"
    r"|removal of container .* is already in progress|connect: no such file",
    re.I,
)
#: What the engine puts around the reason itself.
_WRAPPINGS = (
    re.compile(r"^Error response from daemon: ", re.I),
    re.compile(r"^driver failed programming external connectivity on endpoint \S+ \([0-9a-f]+\): ", re.I),
    re.compile(r"^failed to create (shim )?(task|endpoint)[^:]*: ", re.I),
    re.compile(r"^OCI runtime create failed: ", re.I),
    re.compile(r"^OCI runtime exec failed: exec failed: ", re.I),
    re.compile(r"^(runc create failed|container_linux\.go:\d+|process_linux\.go:\d+): ", re.I),
    re.compile(r"^(unable to start container process|starting container process caused): ", re.I),
    re.compile(r"^Error starting userland proxy: ", re.I),
)
_TAIL = re.compile(r"(: unknown)?\s*$")
#: A reason in a status is cut to this many characters.
REASON_CHARS_MAX = 500


def cleaned(message: str) -> str:
    """The engine's message without its wrappings, on one line."""
    text = " ".join(message.split())
    unwrapped = True
    while unwrapped:
        unwrapped = False
        for wrapping in _WRAPPINGS:
            text, count = wrapping.subn("", text, count=1)
            unwrapped |= count > 0
    return _TAIL.sub("", text, count=1)[:REASON_CHARS_MAX]


def fault_of(error: Exception, deadline_s: float) -> Fault:
    """The fault behind an exception of aiodocker, aiohttp or asyncio."""
    if isinstance(error, TimeoutError):
        return Fault(kind=FaultKind.UNANSWERED, reason=f"the engine did not answer within {deadline_s:g} s")
    if not isinstance(error, DockerError):
        return Fault(kind=FaultKind.UNANSWERED, reason=f"the engine cannot be reached: {error}")
    return Fault(kind=_kind(error.status, error.message), reason=cleaned(error.message))


def _kind(status: int, message: str) -> FaultKind:
    """aiodocker's 900 is "cannot connect"."""
    if status in (900, 503) or _TROUBLE.search(message):
        return FaultKind.UNANSWERED
    if status == 404 and re.search("no such container", message, re.I):
        return FaultKind.NO_CONTAINER
    if status == 404 and re.search("no such image|does not match the specified platform", message, re.I):
        return FaultKind.NO_IMAGE
    return FaultKind.REFUSED
