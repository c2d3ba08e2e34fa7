"""Puts the agent together: core, pump, engine, session and journal, in one task group.

When it ends, containers stay: only the controller's word or their own end stops them.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import structlog
from msgspec.structs import replace

from agent import commands as do
from agent import events as ev
from agent import identity
from agent.addresses import underlay_address
from agent.core import AgentCore
from agent.directory import DirectoryCopy
from agent.doors.condition import ConditionWatch
from agent.doors.controller import GrpcController
from agent.doors.dataplane import DataPlaneKeeper
from agent.doors.following import Follower
from agent.doors.names import ContainerNames
from agent.doors.reach import Reach
from agent.doors.registrar import GrpcRegistrar
from agent.doors.session import Connect, SessionDoor
from agent.doors.surfaces import Surfaces, SurfaceSettings
from agent.doors.witnessing import WitnessKeeper
from agent.goods import Goods
from agent.identity import Membership, NodeIdentity
from agent.runtime.base import Engine
from agent.runtime.directory_file import DirectoryFile
from agent.runtime.docker import DockerEngine
from agent.runtime.files import FileHands, FileStore
from agent.runtime.hands import Hands
from agent.runtime.journal import Journal
from agent.runtime.logs import Carry, LogPushes
from agent.runtime.overlay import OverlayKeeper
from agent.runtime.probes import Probes
from agent.runtime.watch import Watcher
from agent.state import State
from agent.tunnel_keys import TunnelKeys
from bayplan import __version__
from bayplan.errors import ProblemError
from bayplan.model import NodeCondition, NodeFault, Overlay
from bayplan.pump import Pump
from bayplan.session import Report, Welcome
from bayplan.step import OneByOne
from bayplan.systemd import notify, watchdog

#: A renewal that failed is tried again after this long; the certificate lives for days.
RENEWAL_RETRY_S = 300.0
#: The due time is looked at this often at least: it is wall time, which may jump.
RENEWAL_CHECK_S = 3_600.0

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_log = structlog.get_logger(__name__)


class EndError(Exception):
    """The daemon's orderly end, with its exit code."""

    def __init__(self, exit_code: int) -> None:
        self.exit_code = exit_code


@dataclass(frozen=True, slots=True)
class Settings:
    """What the command line decides."""

    data_dir: Path
    docker_socket: str
    run_dir: Path
    #: Countable goods of this machine; those of the join are added.
    goods: Goods = field(default_factory=Goods)
    #: Where this node answers for the registry.
    surfaces: SurfaceSettings = field(default_factory=SurfaceSettings)


class Identity:
    """The newest identity; the session takes it for each new link."""

    def __init__(self, loaded: NodeIdentity, data_dir: Path) -> None:
        self.current = loaded
        self._data_dir = data_dir

    async def keep_fresh(self) -> None:
        """Renew the certificate at half its life, forever."""
        while True:
            left_s = self.current.renewal_due_ms / 1000 - time.time()
            if left_s > 0:
                await asyncio.sleep(min(left_s, RENEWAL_CHECK_S))
                continue
            try:
                self.current = await identity.renew(self.current, self._data_dir)
                _log.info("the certificate is renewed")
            except ProblemError as error:
                _log.warning("the certificate could not be renewed", cause=str(error))
                await asyncio.sleep(RENEWAL_RETRY_S)


async def run(settings: Settings) -> int:
    """Run until a signal (0) or a final dismissal (1). Raises ProblemError when the host has not joined."""
    loaded = await asyncio.to_thread(identity.load, settings.data_dir)
    with identity.occupy(settings.data_dir):
        return await _run(settings, loaded)


async def _run(settings: Settings, loaded: NodeIdentity) -> int:
    journal = Journal(settings.data_dir)
    remembered = await asyncio.to_thread(journal.load)
    member = loaded.membership
    node = ev.NodeRef(
        node_id=member.node_id,
        cluster_id=member.cluster_id,
        name=member.name,
        architecture=os.uname().machine,
    )
    boot_id = (await asyncio.to_thread(_BOOT_ID.read_text)).strip()
    core = AgentCore(identity=node, remembered=remembered, boot_id=boot_id, cores=os.cpu_count() or 1)
    _log.info("agent starts", node=member.name, version=__version__, tasks=len(remembered.assignments.tasks))
    fresh = Identity(loaded, settings.data_dir)
    controller = GrpcController(lambda: fresh.current)
    registry = Registry(settings, member, controller, core.state)
    goods = settings.goods.over(Goods(counted=member.generic, named=member.named))
    keys = TunnelKeys(settings.data_dir)
    socket = settings.docker_socket
    async with DockerEngine(socket, node, __version__, goods, keys.announced) as engine:
        try:
            async with asyncio.TaskGroup() as group:
                store = FileStore(settings.data_dir, settings.run_dir, node.node_id)
                folder = settings.run_dir / node.node_id / "witness"
                witness = WitnessKeeper(folder, lambda: fresh.current.membership.controller_host)
                ways = controller.connect, controller.push_logs
                address = underlay_address(member.address, member.controller_address)
                reach = Reach(core.state, address)
                agent = Agent(
                    core,
                    journal,
                    engine,
                    store,
                    *ways,
                    group,
                    witness,
                    registry.welcomed,
                    address,
                    registry.networks,
                    keys,
                )
                agent.start()
                sources = registry.faults, lambda: reach.faults
                watch = ConditionWatch(core.state, address, sources, agent.note_condition)
                group.create_task(watch.run())
                group.create_task(reach.run())
                registry.start(group)
                group.create_task(fresh.keep_fresh())
                group.create_task(watchdog(lambda: True))  # fed by this loop: a loop that hangs does not
                notify("READY=1")
                await _stop_signal()
                notify("STOPPING=1")
                _log.info("agent ends; its containers stay")
                await agent.say_goodbye("the agent was stopped")
                raise EndError(0)
        except* EndError as ends:
            exit_code = next(end.exit_code for end in ends.exceptions if isinstance(end, EndError))
    return exit_code


class Registry:
    """The node's copy of the directory, wired: followed, kept on the disk, and answered from."""

    def __init__(
        self, settings: Settings, member: Membership, controller: GrpcController, state: State
    ) -> None:
        self._copy = DirectoryCopy(member.name, member.node_id, epoch=lambda: state.epoch)
        self._file = DirectoryFile(settings.data_dir, self._copy)
        self._plane = DataPlaneKeeper(self._copy, member.node_id)
        self._follower = Follower(self._copy, lambda: controller.channel, self._plane.applied)
        registrar = GrpcRegistrar(lambda: controller.channel)
        self._surfaces = Surfaces(settings.surfaces, self._copy, member, registrar, settings.data_dir)
        self._names = ContainerNames(self._copy, state, settings.surfaces.domain)
        self.welcomed = self._follower.welcomed

    def start(self, group: asyncio.TaskGroup) -> None:
        """Answer from what was kept, and go on from there."""
        self._file.load()
        parts = self._file, self._follower, self._surfaces, self._plane, self._names
        for part in parts:
            group.create_task(part.run())

    def faults(self) -> tuple[NodeFault, ...]:
        """What is the matter with the ways in which this node answers and passes on."""
        return (*self._plane.faults, *self._names.faults, *self._surfaces.faults)

    def networks(self, overlays: Iterable[Overlay]) -> None:
        """These are the networks that span nodes, as far as this one takes part in them."""
        self._plane.networks(overlays)
        self._names.told()


class Agent:
    """The parts, wired: events go to the pump, commands to the part that performs them.

    `connect` and `carry` are the way to the controller; tasks belong to `group`; `welcomed` hears of
    each session. `address`: under which other nodes reach this one. `networks` is told of those that span
    nodes, before they are made and after it.
    """

    def __init__(
        self,
        core: AgentCore,
        journal: Journal,
        engine: Engine,
        store: FileStore,
        connect: Connect,
        carry: Carry,
        group: asyncio.TaskGroup,
        witness: WitnessKeeper,
        welcomed: Callable[[Welcome], None] = lambda welcome: None,
        address: str = "",
        networks: Callable[[Iterable[Overlay]], None] = lambda overlays: None,
        keys: TunnelKeys | None = None,
    ) -> None:
        self._group = group
        self._witness = witness
        self._journal = journal
        self._pump: Pump[ev.Event] = Pump(OneByOne(core), journal, self._perform)
        # Jitter only: it must differ between nodes and need not be repeatable.
        self._door = SessionDoor(connect, self._pump.post, random.Random(), self._welcomed)
        self._tell_registry = welcomed
        self._resolvers, self._tasks = store.resolvers, core.state.tasks
        self._watcher = Watcher(engine, self._pump.post)
        self._keys, private = keys, keys.private if keys else lambda: ""
        self._overlays = OverlayKeeper(engine, core.state.identity.node_id, address, private)
        self._books, self._tell_networks = core.state.overlays, networks
        self._hands = Hands(engine, self._watcher, store, self._overlays, self._done, group)
        self._files = FileHands(store, self._pump.post, group)
        self._logs = LogPushes(engine, carry, group)
        self._probes = Probes(self._pump.post, group)

    def start(self) -> None:
        """Start every part. The group ends with an EndError when the controller dismisses the node."""
        self._tell_networks(self._books.told.values())
        keepers = self._journal.keep_trying(self._pump.post), self._witness.run()
        for part in (self._pump.run(), self._watch(), self._keep_session(), *keepers):
            self._group.create_task(part)

    def note_condition(self, condition: NodeCondition) -> None:
        """This is all that is the matter with the node now."""
        self._pump.post(ev.ConditionSeen(condition=condition))

    async def say_goodbye(self, reason: str) -> None:
        """Tell the controller that this end is an orderly one."""
        await self._door.say_goodbye(reason)

    def _welcomed(self, welcome: Welcome) -> None:
        self._witness.welcomed(welcome)
        self._tell_registry(welcome)
        if self._keys and self._keys.heard():
            self._group.create_task(self._overlays.renew_key())
        self._resolvers.keep_only(self._tasks.keys())

    def _done(self, event: ev.Event) -> None:
        self._pump.post(event)
        if isinstance(event, ev.OverlaysKept):
            self._tell_networks(self._books.told.values())

    def _perform(self, command: do.Command) -> None:
        match command:
            case do.Say(message=Report() as report):
                self._door.perform(replace(command, message=self._journal.honest(report)))
            case do.Say() | do.CloseLink():
                self._door.perform(command)
            case do.PushLogs() | do.StopLogs():
                self._logs.perform(command)
            case do.StartProbe() | do.StopProbe():
                self._probes.perform(command)
            case do.WriteFile() | do.RemoveFile():
                self._files.perform(command)
            case _:
                if isinstance(command, do.KeepOverlays):
                    self._tell_networks(command.overlays)
                self._hands.perform(command)

    async def _watch(self) -> None:
        """Nothing is started before it is known which files are here."""
        await self._files.list()
        await self._watcher.run()

    async def _keep_session(self) -> None:
        """A session makes sense once the agent can say what it has."""
        await self._watcher.first_list()
        reason = await self._door.run()
        self._witness.dismissed()
        _log.error("the controller dismissed this node for good", reason=reason)
        raise EndError(1)


async def _stop_signal() -> None:
    """Wait for SIGTERM or SIGINT."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await stopped.wait()
