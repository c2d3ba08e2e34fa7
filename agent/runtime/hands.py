"""Performs engine commands and turns each outcome, good or bad, into one event.

How many run at once is the core's decision; only what the core does not count is bounded here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, assert_never

from msgspec.structs import replace

from agent import commands as do
from agent import events as ev
from agent.runtime import hooks
from agent.runtime.base import Engine, EngineError
from agent.runtime.files import FileStore
from agent.runtime.overlay import OverlayKeeper
from agent.runtime.preflight import check
from agent.runtime.watch import Watcher

#: Preflights under way at once; others wait.
PREFLIGHTS_IN_FLIGHT_MAX = 4

_ContainerCommand = do.CreateContainer | do.StartContainer | do.StopContainer | do.RemoveContainer
_Command = (
    _ContainerCommand | do.RunHooks | do.PullImage | do.RemoveNetwork | do.KeepOverlays | do.CheckPreflight
)


class Hands:
    """The engine's side of `perform`. `store` has the files that containers mount; tasks belong to the
    daemon's group."""

    def __init__(
        self,
        engine: Engine,
        watcher: Watcher,
        store: FileStore,
        overlays: OverlayKeeper,
        post: Callable[[ev.Event], None],
        group: asyncio.TaskGroup,
    ) -> None:
        self._engine = engine
        self._watcher = watcher
        self._store = store
        self._overlays = overlays
        self._post = post
        self._group = group
        self._preflights = asyncio.Semaphore(PREFLIGHTS_IN_FLIGHT_MAX)

    def perform(self, command: _Command) -> None:
        """Start a command; its outcome is posted."""
        self._group.create_task(self._perform(command))

    async def _perform(self, command: _Command) -> None:
        match command:
            case do.RunHooks():
                self._post(await self._run_hooks(command))
            case do.PullImage():
                self._post(await self._pull(command))
            case do.RemoveNetwork(network=network):
                self._post(await self._remove_network(network))
            case do.KeepOverlays(overlays=overlays):
                self._post(await self._overlays.keep(overlays))
            case do.CheckPreflight(link=link, preflight=preflight):
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
            case do.CreateContainer(task_id=task_id):
                await self._check_files(command)
                with watcher.own(task_id):
                    container = await engine.create(await self._with_files(command))
                    watcher.touch(container.container_id)
                return ev.ContainerCreated(container=container)
            case do.StartContainer(task_id=task_id, container_id=container_id):
                with watcher.own(task_id):
                    await engine.start(container_id)
                    watcher.touch(container_id)
                    return ev.ContainerStarted(container=await watcher.view(container_id))
            case do.StopContainer(container_id=container_id, grace_ms=grace_ms):
                note = await hooks.pre_stop(engine, container_id, command.pre_stop, grace_ms / 1000)
                await engine.stop(container_id, grace_ms)
                watcher.touch(container_id)
                return ev.ContainerStopped(container=await watcher.view(container_id), note=note)
            case do.RemoveContainer(task_id=task_id, container_id=container_id):
                await engine.remove(container_id)
                watcher.forget(container_id)
                self._store.resolvers.remove(task_id)
                return ev.ContainerRemoved(task_id=task_id)
            case _:
                assert_never(command)

    async def _check_files(self, command: do.CreateContainer) -> None:
        """Raise EngineError when somebody took files of it away; what is left is posted, so that they
        are asked for again."""
        if command.spec.files and not await asyncio.to_thread(self._store.holds, command.spec.files):
            self._post(await asyncio.to_thread(self._store.look))
            reason = "configs or secrets of it have vanished from this node"
            raise EngineError(ev.Fault(kind=ev.FaultKind.UNANSWERED, reason=reason))

    async def _with_files(self, command: do.CreateContainer) -> do.CreateContainer:
        """The request with the mounts of its files: only the store knows where they lie.

        Raises EngineError."""
        added = self._store.mounts(command.spec.files)
        if command.resolv_conf:
            added.append(await self._resolver_file(command))
        if not added:
            return command
        host = command.config["HostConfig"]
        mounts = [*host.get("Mounts", ()), *added]
        return replace(command, config=command.config | {"HostConfig": host | {"Mounts": mounts}})

    async def _resolver_file(self, command: do.CreateContainer) -> dict[str, Any]:
        try:
            return await asyncio.to_thread(self._store.resolvers.put, command.task_id, command.resolv_conf)
        except OSError as error:
            reason = f"its resolv.conf could not be written: {error.strerror or error}"
            raise EngineError(ev.Fault(kind=ev.FaultKind.UNANSWERED, reason=reason)) from error

    async def _run_hooks(self, command: do.RunHooks) -> ev.Event:
        """Run hooks; when one fails the container is looked at first, for it may have ended meanwhile."""
        try:
            try:
                await hooks.post_start(self._engine, command.container_id, command.hooks)
            except EngineError as error:
                if error.fault.kind is ev.FaultKind.REFUSED:
                    container = await self._watcher.view(command.container_id)
                    self._post(ev.ContainerObserved(container=container))
                raise
        except EngineError as error:
            return ev.HooksFailed(task_id=command.task_id, fault=error.fault)
        return ev.HooksDone(task_id=command.task_id, started_ms=command.started_ms)

    async def _pull(self, command: do.PullImage) -> ev.Event:
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
        await self._overlays.removed(network)
        return ev.NetworkRemoved(network=network)
