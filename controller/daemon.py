"""The controller put together: store, core, pump and doors, in one TaskGroup, until SIGTERM."""

from __future__ import annotations

import asyncio
import gc
import importlib
import random
import secrets
import signal
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import assert_never

import msgspec
import structlog

from bayplan import systemd, tls
from bayplan.errors import ProblemError
from bayplan.pump import Pump, read_clock
from bayplan.surfaces.consul.local import LocalServices
from bayplan.surfaces.consul.saving import KeptFile
from controller.authority import CONTROLLER_LIFE_DAYS, Authority
from controller.config import CA_FOLDER, STORE_FILE, Config, check_loopback, witness_address
from controller.content_key import ContentKey
from controller.core import ControllerCore
from controller.core.turn import Settings
from controller.doors import servers
from controller.doors.cluster import ClusterDoor, EventDoor, NodeDoor
from controller.doors.directory import Keeper
from controller.doors.explaining import ExplainDoor
from controller.doors.files import FileDoor
from controller.doors.gate import Gate
from controller.doors.join import JoinDoor
from controller.doors.lag import LoopLag
from controller.doors.logs import LogExchange
from controller.doors.networks import NetworkDoor
from controller.doors.registrar import CoreRegistrar
from controller.doors.registry import RegistryDoor
from controller.doors.remembering import Remembering, recall
from controller.doors.rollouts import RolloutDoor
from controller.doors.sessions import AgentDoor
from controller.doors.stacks import ServiceDoor, StackDoor
from controller.doors.tasks import TaskDoor
from controller.doors.witness import WitnessDoor
from controller.events import Assign, Command, Event, Publish, Reply, Send
from controller.records import Put
from controller.state import State
from controller.store.base import Store
from controller.store.seal import Seal
from controller.store.sqlite import SqliteStore

#: What registered over Consul's API, in the data folder.
LOCAL_SERVICES_FILE = "local-services"
#: What was last known of the registry, in the data folder.
DIRECTORY_FILE = "directory"
#: The loop counts as stuck, and systemd may restart us, when the pump has not turned for this long.
STUCK_MS = 20_000
#: The controller's own certificate is renewed after half of its life, in seconds.
RENEW_AFTER_S = CONTROLLER_LIFE_DAYS * 86_400 / 2

#: What numpy imports when it is first asked what is unique: the first deploy waited 50 ms for it.
IMPORTED_BY_NUMPY = "numpy.ma"
#: Collections of garbage: 2,000 young objects at once, five times that of those that outlived one, all living
#: ones hardly ever. 200,000 in one collection had stopped everything for 130 ms while 2,000,000 tasks were
#: deployed, 10,000 stop it for 5-40 ms (`bench.plane deploy`).
GC_THRESHOLDS = (2_000, 5, 1_000)
#: For how long one thread of Python may hold up another, in seconds. The store's thread comes back from each
#: of its calls to SQLite: at the default of 5 ms a busy loop made each commit wait for several times that.
THREAD_SWITCH_S = 0.000_5

log = structlog.get_logger()


class OwnCertificate:
    """The certificate that the listeners show; gRPC asks for it at every handshake."""

    def __init__(self, authority: Authority, config: Config) -> None:
        self._authority = authority
        self._hosts = (config.advertise_addr,)
        self.renew()

    def renew(self) -> None:
        """Take a new one."""
        self.current = self._authority.issue_controller("main", self._hosts, read_clock().wall_ms)

    async def keep_fresh(self) -> None:
        """Renew it at half of its life, for ever."""
        while True:
            await asyncio.sleep(RENEW_AFTER_S)
            self.renew()


async def run(config: Config, data_dir: Path) -> None:
    """Run until SIGTERM or SIGINT. Raises ProblemError or StoreError when it cannot start."""
    http_host, http_port = check_loopback(config.http_listen)
    sys.setswitchinterval(THREAD_SWITCH_S)
    authority = Authority.load(data_dir / CA_FOLDER)
    async with AsyncExitStack() as stack:
        store, state, digest_key = await _opened_store(stack, data_dir)
        settings = Settings(
            timing=config.timing,
            default_reservation=config.default_reservation,
            preemption=config.preemption,
            network_pool=config.network_pool,
            consolidation=config.consolidation,
            allowed=frozenset(config.allow),
            file_key=digest_key,
        )
        core = ControllerCore(state, random.Random(secrets.randbits(128)), read_clock(), settings)
        performer = Performer()
        pump: Pump[Event] = Pump(core, store, performer.perform)
        gate = Gate(state, pump)
        witnesses = WitnessDoor(gate)
        keeper = Keeper(gate, state.cluster.epoch)
        remembering = Remembering(keeper, data_dir / DIRECTORY_FILE)
        stack.callback(remembering.close)
        doors = _doors(gate, authority, config, witnesses, core, keeper)
        performer.gate, performer.agents = gate, doors.agents
        certificate = OwnCertificate(authority, config)
        await _serve_witnesses(stack, witnesses, config)
        await _serve(stack, doors, config, certificate)
        lag, local = LoopLag(), _local_services(gate, config, data_dir)
        await _serve_http(stack, gate, keeper, local, lag, http_host, http_port)
        log.info(
            "controller is up", cluster=state.cluster.id, epoch=state.cluster.epoch, join=config.join_address
        )
        await _until_signalled(pump, lag, doors.agents, certificate, keeper, remembering, local)
        systemd.notify("STOPPING=1")
        doors.agents.close()


class Performer:
    """Performs commands: hands each to the door that it is for."""

    gate: Gate
    agents: AgentDoor

    def perform(self, command: Command) -> None:
        """Never blocks or raises."""
        match command:
            case Send():
                self.agents.send(command)
            case Assign():
                self.agents.assign(command)
            case Reply():
                self.gate.reply(command)
            case Publish():
                self.gate.publish(command)
            case _:
                assert_never(command)


async def _opened_store(stack: AsyncExitStack, data_dir: Path) -> tuple[SqliteStore, State, bytes]:
    """The store, what it holds, and the key of contents' digests; in a new epoch."""
    found = ContentKey.load(data_dir)
    key = found or ContentKey.make()
    store = SqliteStore(data_dir / STORE_FILE, Seal(key.sealing))
    stack.push_async_callback(store.close)
    state = State()
    for change in await store.load():
        state.apply(change)
    store.checkpoint_from(state.tasks)
    if found is None:  # the cluster is older than its configs and secrets, and had none until now
        key.save(data_dir)
    recall(data_dir / DIRECTORY_FILE, state)
    _freeze_garbage()
    await _begin_epoch(store, state)
    return store, state, key.digests


def _freeze_garbage() -> None:
    """What was loaded lives as long as the process: no collection need go through it, which would stop
    everything for 0.25 s with a million objects."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


async def _begin_epoch(store: Store, state: State) -> None:
    """A new epoch, durable before anybody hears of it."""
    change = Put(record=msgspec.structs.replace(state.cluster, epoch=state.cluster.epoch + 1))
    state.apply(change)
    await store.append([change])


def _doors(
    gate: Gate,
    authority: Authority,
    config: Config,
    witnesses: WitnessDoor,
    core: ControllerCore,
    keeper: Keeper,
) -> servers.Doors:
    logs = LogExchange()
    agents = AgentDoor(gate, logs, witnesses, core.assignments)
    return servers.Doors(
        stacks=StackDoor(gate),
        services=ServiceDoor(gate),
        rollouts=RolloutDoor(gate),
        explaining=ExplainDoor(gate, core.ground, preemption=config.preemption),
        files=FileDoor(gate),
        networks=NetworkDoor(gate),
        tasks=TaskDoor(gate, agents, logs),
        nodes=NodeDoor(gate),
        registry=RegistryDoor(gate, keeper),
        cluster=ClusterDoor(gate, authority, config.join_address, f"http://{config.http_listen}"),
        events=EventDoor(gate),
        agents=agents,
        joins=JoinDoor(gate, authority, config.main_address),
    )


async def _serve(
    stack: AsyncExitStack, doors: servers.Doors, config: Config, certificate: OwnCertificate
) -> None:
    main = tls.server_credentials(lambda: certificate.current)
    bootstrap = tls.bootstrap_credentials(lambda: certificate.current)
    for server in (
        servers.main_server(doors, config.listen, main),
        servers.bootstrap_server(doors, config.bootstrap_listen, bootstrap),
        servers.unix_server(doors, Path(config.socket)),
    ):
        await server.start()
        stack.push_async_callback(server.stop, servers.STOP_GRACE_S)


async def _serve_witnesses(stack: AsyncExitStack, witnesses: WitnessDoor, config: Config) -> None:
    """A port that nobody asked for by name is done without where it cannot be had: only time is lost."""
    address = witness_address(config)
    if address is None:
        return
    try:
        server = await witnesses.listen(*address)
    except ProblemError as error:
        if config.witness_listen:
            raise
        log.warning("without witnesses a host that dies is given up only after its lease", cause=str(error))
        return
    stack.callback(server.close)


def _local_services(gate: Gate, config: Config, data_dir: Path) -> LocalServices:
    """What registers over Consul's API at the controller's own port."""
    file = KeptFile(data_dir / LOCAL_SERVICES_FILE)
    local = LocalServices(CoreRegistrar(gate), address=config.advertise_addr, save=file.save)
    local.restore(file.load())
    return local


async def _serve_http(
    stack: AsyncExitStack,
    gate: Gate,
    keeper: Keeper,
    local: LocalServices,
    lag: LoopLag,
    host: str,
    port: int,
) -> None:
    # Its libraries are a fifth of all that a start imports: agents come back meanwhile.
    http = await asyncio.to_thread(importlib.import_module, "controller.doors.http")
    stack.push_async_callback(await http.HttpDoor(gate, keeper, local, lag).listen(host, port))


async def _until_signalled(
    pump: Pump[Event],
    lag: LoopLag,
    agents: AgentDoor,
    certificate: OwnCertificate,
    keeper: Keeper,
    remembering: Remembering,
    local: LocalServices,
) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    async with asyncio.TaskGroup() as group:
        work = [
            group.create_task(pump.run()),
            group.create_task(lag.run()),
            group.create_task(agents.run()),
            group.create_task(certificate.keep_fresh()),
            group.create_task(keeper.run()),
            group.create_task(remembering.run()),
            group.create_task(local.run()),
            group.create_task(systemd.watchdog(lambda: _turns(pump))),
            group.create_task(asyncio.to_thread(importlib.import_module, IMPORTED_BY_NUMPY)),
        ]
        systemd.notify("READY=1")
        await stopping.wait()
        for task in work:
            task.cancel()


def _turns(pump: Pump[Event]) -> bool:
    """Whether the pump has turned lately; an idle one turns for the nodes' leases or has nothing to do."""
    return pump.idle or read_clock().mono_ms - pump.turned_mono_ms < STUCK_MS
