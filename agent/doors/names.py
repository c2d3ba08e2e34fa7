"""The name server of containers: on this node's own address in each network that spans nodes.

Who asks is told by the address that he asks from: each sees what is on his own networks, and has the rest of
the world asked for him. Knows tasks as the core does, and changes nothing.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network

from agent.decide.resolving import Caller, caller, stranger
from agent.directory import DirectoryCopy
from agent.doors.surfaces import Address, Lacking, keep_trying, machine_servers
from agent.state import State, Task
from bayplan.dns import Desk, DnsServer, Forwarder, NetworkNames, NetworkZone, Responder, Scope, bind
from bayplan.model import ContainerSpec, NodeFault

#: Where containers ask: resolv.conf has no words for another port.
PORT = 53
#: Kinds of callers (by networks, stack and servers) whose answers are kept; the least recent go.
DESKS_MAX = 256
#: Answers that are kept for one kind of callers, and bytes of them.
KEPT_MAX, KEPT_BYTES_MAX = 4_000, 2 * 1024 * 1024


class ContainerNames:
    """Answers on every network that `state` tells of, below `domain` and bare names. Tests have another
    `port` (others are asked there, too), and `servers` other than the machine's."""

    def __init__(
        self,
        copy: DirectoryCopy,
        state: State,
        domain: str,
        port: int = PORT,
        servers: Callable[[], list[str]] = machine_servers,
    ) -> None:
        self._copy, self._domain, self._port, self._servers = copy, domain, port, servers
        self._books, self._callers = state.overlays, Callers(state)
        self._names = NetworkNames(copy.directory)
        self._desks: OrderedDict[Caller, Desk] = OrderedDict()
        #: What listens, by network and address.
        self._listening: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._told = asyncio.Event()
        self._lacking = Lacking()
        #: What the core's books told of when they were looked at last.
        self._seen = state.overlays.told

    @property
    def faults(self) -> tuple[NodeFault, ...]:
        """The networks on which nobody is answered, since somebody else has the address."""
        return self._lacking.faults

    def told(self) -> None:
        """Networks have come, gone or changed."""
        self._told.set()

    async def run(self) -> None:
        """Answer, forever."""
        async with asyncio.TaskGroup() as group:
            while True:
                self._told.clear()
                self._follow(group)
                await self._told.wait()

    def _follow(self, group: asyncio.TaskGroup) -> None:
        wanted = {(each.network, each.gateway) for each in self._books.told.values()}
        if self._seen is not self._books.told:
            self._seen = self._books.told
            self._desks.clear()
        for place in self._listening.keys() - wanted:
            self._listening.pop(place).cancel()
        for place in sorted(wanted - self._listening.keys()):
            self._listening[place] = group.create_task(self._listen(*place))

    async def _listen(self, network: str, gateway: str) -> None:
        async def serve(address: Address) -> None:
            # The network is made only now, and its containers start as soon as it is there.
            await DnsServer(lambda host: self._desk(network, host), bind(*address, early=True)).run()

        what, address = f"the containers of {network}", Address(gateway, self._port)
        await keep_trying(what, address, serve, self._lacking, subject=network)

    def _desk(self, network: str, host: str) -> Desk | None:
        """Who answers an address on a network; nobody one that is not on it."""
        found = self._callers.at(network, host)
        if found is None:
            return None
        desk = self._desks.get(found)
        if desk is None:
            desk = self._desks[found] = self._made(found)
            if len(self._desks) > DESKS_MAX:
                self._desks.popitem(last=False)
        else:
            self._desks.move_to_end(found)
        return desk

    def _made(self, caller: Caller) -> Desk:
        subnets = [IPv4Network(self._books.told[network].subnet) for network in caller.networks]
        scope = Scope(caller.networks, tuple(subnets), caller.stack)
        zone = NetworkZone(self._copy, self._names, scope, self._domain)
        forwarder = None if caller.closed else Forwarder(lambda: self._upstreams(caller), self._port)
        return Desk(Responder(zone, KEPT_MAX, KEPT_BYTES_MAX), forwarder)

    def _upstreams(self, caller: Caller) -> list[str]:
        own = {each.gateway for each in self._books.told.values()}
        return [each for each in caller.servers or self._servers() if each not in own]


class Callers:
    """Who asks, by address: kept until their task or the networks become other ones."""

    def __init__(self, state: State) -> None:
        self._state, self._books = state, state.overlays
        self._told = self._books.told
        self._subnets: dict[str, IPv4Network] = {}
        self._tasks: dict[tuple[str, str], str] = {}
        self._known: dict[str, tuple[ContainerSpec, Caller]] = {}

    def at(self, network: str, host: str) -> Caller | None:
        """Who has an address on a network; None for an address of elsewhere."""
        if self._books.told is not self._told:
            self._told = self._books.told
            self._subnets.clear()
            self._known.clear()
        if network not in self._told:
            return None
        if host in self._books.held.get(network, ()):
            task = self._task(network, host)
            if task is not None and task.spec is not None:
                return self._caller(task, task.spec)
        overlay = self._told[network]
        subnet = self._subnets.setdefault(network, IPv4Network(overlay.subnet))
        return stranger(overlay) if IPv4Address(host) in subnet else None

    def _task(self, network: str, host: str) -> Task | None:
        """The task with an address; looked for among all only when another had it before."""
        tasks = self._state.tasks
        found = tasks.get(self._tasks.get((network, host), ""))
        if found is None or not _has(found, network, host):
            self._tasks = {
                place: each.id
                for each in tasks.values()
                for place in each.addresses.items()
                if _is_here(each)
            }
            self._known = {task_id: known for task_id, known in self._known.items() if task_id in tasks}
            found = tasks.get(self._tasks.get((network, host), ""))
        return found

    def _caller(self, task: Task, spec: ContainerSpec) -> Caller:
        known = self._known.get(task.id)
        if known is None or known[0] is not spec:
            stack = task.assignment.stack if task.assignment is not None else ""
            known = self._known[task.id] = spec, caller(spec, stack, self._told)
        return known[1]


def _has(task: Task, network: str, host: str) -> bool:
    return task.addresses.get(network) == host and _is_here(task)


def _is_here(task: Task) -> bool:
    return task.alive or not task.ended
