"""Performs engine commands and turns each outcome, good or bad, into one event.

How many run at once is the core's decision; only what the core does not count is bounded here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import assert_never

from agent import events as ev
from agent.runtime.base import Engine, EngineError
from agent.runtime.preflight import check
from agent.runtime.watch import Watcher

#: Preflights under way at once; others wait.
PREFLIGHTS_IN_FLIGHT_MAX = 4

_ContainerCommand = ev.CreateContainer | ev.StartContainer | ev.StopContainer | ev.RemoveContainer


class Hands:
    """The engine's side of `perform`. Tasks belong to the daemon's group."""

    def __init__(
        self, engine: Engine, watcher: Watcher, post: Callable[[ev.Event], None], group: asyncio.TaskGroup
    ) -> None:
        self._engine = engine
        self._watcher = watcher
        self._post = post
        self._group = group
        self._preflights = asyncio.Semaphore(PREFLIGHTS_IN_FLIGHT_MAX)

    def perform(
        self, command: _ContainerCommand | ev.PullImage | ev.RemoveNetwork | ev.CheckPreflight
    ) -> None:
        """Start a command; its outcome is posted."""
        self._group.create_task(self._perform(command))

    async def _perform(
        self, command: _ContainerCommand | ev.PullImage | ev.RemoveNetwork | ev.CheckPreflight
    ) -> None:
        match command:
            case ev.PullImage():
                self._post(await self._pull(command))
            case ev.RemoveNetwork(network=network):
                self._post(await self._remove_network(network))
            case ev.CheckPreflight(link=link, preflight=preflight):
                async with self._preflights:
                    result = await check(self._engine, preflight)
                self._post(ev.PreflightChecked(link=link, result=result))
            case _:
                self._post(await self._handle(command))

    async def _handle(self, command: _ContainerCommand) -> ev.Event:
        try:
            return await self._outcome(command)
        except EngineError as error:
            return ev.CommandFailed(task_id=command.task_id, fault=error.fault)

    async def _outcome(self, command: _ContainerCommand) -> ev.Event:
        engine, watcher = self._engine, self._watcher
        match command:
            case ev.CreateContainer(task_id=task_id):
                with watcher.own(task_id):
                    container = await engine.create(command)
                    watcher.touch(container.container_id)
                return ev.ContainerCreated(container=container)
            case ev.StartContainer(task_id=task_id, container_id=container_id):
                with watcher.own(task_id):
                    await engine.start(container_id)
                    watcher.touch(container_id)
                    return ev.ContainerStarted(container=await watcher.view(container_id))
            case ev.StopContainer(container_id=container_id, grace_ms=grace_ms):
                await engine.stop(container_id, grace_ms)
                watcher.touch(container_id)
                return ev.ContainerStopped(container=await watcher.view(container_id))
            case ev.RemoveContainer(task_id=task_id, container_id=container_id):
                await engine.remove(container_id)
                watcher.forget(container_id)
                return ev.ContainerRemoved(task_id=task_id)
            case _:
                assert_never(command)

    async def _pull(self, command: ev.PullImage) -> ev.Event:
        image, platform = command.image, command.platform
        try:
            await self._engine.pull(image, platform)
        except EngineError as error:
            return ev.PullFailed(image=image, platform=platform, fault=error.fault)
        return ev.ImagePulled(image=image, platform=platform)

    async def _remove_network(self, network: str) -> ev.Event:
        try:
            await self._engine.remove_network(network)
        except EngineError as error:
            return ev.NetworkKept(network=network, reason=error.fault.reason)
        return ev.NetworkRemoved(network=network)
