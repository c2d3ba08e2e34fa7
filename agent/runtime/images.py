"""Images of the engine: which are here, and bringing others here."""

from __future__ import annotations

import asyncio
from typing import Any

from aiodocker import Docker

from agent.events import Fault, FaultKind
from agent.runtime.base import EngineError
from agent.runtime.calls import (
    PULL_DEADLINE_S,
    PULL_IDLE_DEADLINE_S,
    QUERY_DEADLINE_S,
    deadline,
    refusal,
    status_of,
)


class Images:
    """See agent.runtime.base.Engine."""

    def __init__(self, docker: Docker) -> None:
        self._docker = docker

    async def digest(self, image: str) -> str | None:
        """The digest of an image that is here: its repository's, else its own id. None if it is not."""
        try:
            async with deadline(QUERY_DEADLINE_S):
                return digest_of(image, await self._docker.images.inspect(image))
        except EngineError as error:
            if error.fault.kind is FaultKind.NO_IMAGE:
                return None
            raise

    async def pull(self, image: str, platform: str) -> None:
        """Bring an image here. A registry's trouble is a refusal: the controller tries elsewhere or later."""
        try:
            async with deadline(PULL_DEADLINE_S):
                progress = aiter(self._docker.images.pull(image, platform=platform or None, stream=True))
                while True:
                    async with asyncio.timeout(PULL_IDLE_DEADLINE_S):
                        await anext(progress)
        except StopAsyncIteration:
            pass
        except EngineError as error:
            raise _pull_error(image, error) from error
        # A stream that broke off ends as quietly as one that is done.
        if await self.digest(image) is None:
            raise EngineError(Fault(kind=FaultKind.UNANSWERED, reason=f"the pull of {image} broke off"))


def digest_of(image: str, shown: dict[str, Any]) -> str:
    """From `GET /images/{name}/json`: an image may have a digest in each of several repositories."""
    name = image.partition("@")[0]
    head, slash, tail = name.rpartition("/")
    repository = head + slash + tail.partition(":")[0]
    digests = dict(each.split("@", 1) for each in shown.get("RepoDigests") or ())
    return str(digests.get(repository) or next(iter(digests.values()), shown["Id"]))


def _pull_error(image: str, error: EngineError) -> EngineError:
    """Cases: the engine is away; nothing was heard for too long; the registry's or the engine's no."""
    if status_of(error) == 900:
        return error
    reason = error.fault.reason
    if isinstance(error.__cause__, TimeoutError):
        reason = f"nothing came for {PULL_IDLE_DEADLINE_S:g} s"
    return refusal(f"image {image} cannot be pulled: {reason}")
