"""Images of the engine: which are here, and bringing others here."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import aiohttp
import msgspec
from aiodocker import Docker
from aiodocker.exceptions import DockerError

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

#: The engine's words for a pull that it gave up because it is shutting down.
_CANCELED = "context canceled"


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
        """Bring an image here. A registry's no is a refusal: the controller tries elsewhere or later. A pull
        that does not get on is given up, and may be tried again."""
        try:
            async with deadline(PULL_DEADLINE_S):
                await self._follow(image, platform)
        except EngineError as error:
            raise _pull_error(image, error) from error
        # A stream that broke off ends as quietly as one that is done.
        if await self.digest(image) is None:
            raise EngineError(Fault(kind=FaultKind.UNANSWERED, reason=f"the pull of {image} broke off"))

    async def _follow(self, image: str, platform: str) -> None:
        """Read a pull's progress to its end. Raises TimeoutError when there is none for too long.

        Not aiodocker's pull, which leaves the response open: the engine would go on, and the next try
        would only join it.
        """
        progress, loop = Progress(), asyncio.get_running_loop()
        params, endless = pull_request(image, platform), aiohttp.ClientTimeout(total=None)
        async with asyncio.timeout(PULL_IDLE_DEADLINE_S) as idle:
            response = await self._docker._do_query("images/create", "POST", params=params, timeout=endless)
            try:
                async for text in response.content:
                    line = msgspec.json.decode(text)
                    if error := line.get("error"):
                        raise DockerError(response.status, error)
                    if progress.made(line):
                        idle.reschedule(loop.time() + PULL_IDLE_DEADLINE_S)
            finally:
                response.close()


class Progress:
    """Tells the lines of a pull that show it getting on from those that only show that it is tried again."""

    def __init__(self) -> None:
        #: The most bytes that each layer had at each stage.
        self._reached: dict[tuple[str, str], int] = {}

    def made(self, line: Mapping[str, Any]) -> bool:
        """Whether a layer is at a new stage, or has more bytes than ever at this one."""
        stage = (str(line.get("id", "")), str(line.get("status", "")))
        if stage[1].startswith("Retrying"):
            return False
        current = (line.get("progressDetail") or {}).get("current") or 0
        before = self._reached.get(stage, -1)
        self._reached[stage] = max(before, current)
        return bool(current > before)


def pull_request(image: str, platform: str) -> dict[str, str]:
    """The query of `POST /images/create`. Without a tag the engine would pull all of them."""
    tagged = bool({":", "@"} & set(image.rpartition("/")[2]))
    wanted = {"fromImage": image if tagged else f"{image}:latest"}
    return wanted | ({"platform": platform} if platform else {})


def digest_of(image: str, shown: dict[str, Any]) -> str:
    """From `GET /images/{name}/json`: an image may have a digest in each of several repositories."""
    name = image.partition("@")[0]
    head, slash, tail = name.rpartition("/")
    repository = head + slash + tail.partition(":")[0]
    digests = dict(each.split("@", 1) for each in shown.get("RepoDigests") or ())
    return str(digests.get(repository) or next(iter(digests.values()), shown["Id"]))


def _pull_error(image: str, error: EngineError) -> EngineError:
    """Cases: the engine is away; nothing came for too long; the registry's or the engine's no."""
    if isinstance(error.__cause__, TimeoutError):
        reason = f"image {image} cannot be pulled: nothing came for {PULL_IDLE_DEADLINE_S:g} s"
        return EngineError(Fault(kind=FaultKind.UNANSWERED, reason=reason))
    engine_away = not isinstance(error.__cause__, DockerError) or status_of(error) == 900
    if engine_away or _CANCELED in error.fault.reason:
        return error
    return refusal(f"image {image} cannot be pulled: {error.fault.reason}")
