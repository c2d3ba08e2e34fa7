"""Networks that span nodes: made with the stacks that name them, blocks for the nodes that take part, virtual
addresses for services.

Who is told what of it is in `assigning`; what is free is decided in `decide.addresses`. Where no network is,
nothing here costs anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import AddressValueError, IPv4Address, IPv4Network

import numpy as np
from msgspec.structs import replace

from bayplan.errors import ProblemError
from bayplan.lifecycle import ENDED
from bayplan.model import Desired, NetworkSpec, NodeStatus, Overlay, ServiceSpec
from controller.core.turn import Turn
from controller.decide import addresses
from controller.decide.addresses import NOBODY, QUARANTINE_MS, Space, Taken
from controller.records import Network, Node, Service, Task
from controller.state import State
from controller.table import Rows
from controller.task_columns import COMPLETED, DESIRED_CODE
from controller.tasks import STATE_CODE, STATES

#: In place of a name: a service whose instances' own addresses are given.
NO_VIP = "dnsrr"
_STOP = DESIRED_CODE[Desired.STOP]
#: By state, as a code, whether a task has ended.
_ENDED = np.isin(np.arange(len(STATES) + 1), [STATE_CODE[state] for state in ENDED])


def recall(state: State, now_ms: int) -> None:
    """After a start: whether nodes use the blocks that they have is found out in time."""
    for network in state.networks.values():
        for node_id in network.blocks.keys() - {NOBODY}:
            state.idle_blocks[network.id, node_id] = now_ms + QUARANTINE_MS


def wake_at(state: State) -> int | None:
    """When blocks that nobody uses are looked at next (monotonic ms)."""
    return min(state.idle_blocks.values(), default=None)


# --- networks and virtual addresses ---


def join(turn: Turn, service: Service, spec: ServiceSpec) -> None:
    """A version of a service is kept: the networks that it names are there, and its addresses in them."""
    for each in spec.container.networks:
        if each.spec.spans_nodes:
            _provide(turn, each.network, service.stack, each.spec)
    serve(turn, service)


def _provide(turn: Turn, name: str, stack: str, spec: NetworkSpec) -> None:
    """The network of this name; one that nobody uses is made as it is defined now."""
    before = turn.state.networks.named(name)
    if before is not None and (before.stack != stack or before.spec == spec):
        return
    if before is not None and in_use(turn.state, before):
        return
    try:
        make(turn, name, stack, spec)
    except ProblemError as error:  # requests are refused before; this is a version that comes back
        turn.note("network", name, error.problem.summary)
        return
    if before is not None:
        remove(turn, before)
        turn.services.update(service_id for service_id, _ in turn.state.networks.members(name))


def make(turn: Turn, name: str, stack: str, spec: NetworkSpec) -> Network:
    """A new network, by hand if there is no stack. Raises ProblemError."""
    state = turn.state
    made = Network(
        id=turn.new_id(),
        name=name,
        stack=stack,
        spec=spec,
        vni=addresses.choose_vni({each.vni for each in state.networks.values()}),
        subnet=str(subnet_for(turn, name, spec)),
        created_ms=turn.now.wall_ms,
    )
    turn.put(made)
    turn.note("network", name, f"made with the subnet {made.subnet}")
    return made


def subnet_for(turn: Turn, name: str, spec: NetworkSpec, others: Iterable[Taken] = ()) -> IPv4Network:
    """The subnet that a new network gets; `others` are to be had by others. Raises ProblemError."""
    taken = [*_taken(turn.state, name), *others]
    wish = written_subnet(spec)
    if wish:
        return addresses.given_subnet(wish, taken)
    return addresses.choose_subnet(IPv4Network(turn.settings.network_pool), taken)


def written_subnet(spec: NetworkSpec) -> str:
    """The subnet of a definition that has one of IPv4."""
    return next((pool.subnet for pool in spec.pools if pool.subnet and ":" not in pool.subnet), "")


def _taken(state: State, name: str) -> Iterator[Taken]:
    """All that a subnet must not overlap, but for the network of this name that it is to replace."""
    for network in state.networks.values():
        if network.name != name:
            yield Taken(IPv4Network(network.subnet), f"the network {network.name}")
    for node in state.nodes.values():
        for text in (*node.inventory.routes, node.address):
            found = _range(text)
            if found is not None and found.prefixlen:
                yield Taken(found, f"the node {node.name}")


def _range(text: str) -> IPv4Network | None:
    """What a node told as a range; None for what is none of IPv4, such as a name."""
    try:
        return IPv4Network(text, strict=False)
    except (AddressValueError, ValueError):
        return None


def in_use(state: State, network: Network) -> int:
    """How many tasks a network has."""
    table = state.tasks.table
    members = state.networks.members(network.name)
    return sum(
        int((table.version[_present(state, table.of_service(service_id))] == version).sum())
        for service_id, version in members
    )


def serve(turn: Turn, service: Service) -> None:
    """A service has a virtual address in each network that it is in, and in no other."""
    networks = turn.state.networks
    if not networks:
        return
    wanted, spec = set[str](), turn.state.specs.get((service.id, service.version))
    if spec is not None and spec.endpoint_mode != NO_VIP:  # else it is gone, or wants none
        versions = turn.state.versions(service.id)
        wanted = {each.id for version in versions for each in networks.of_version(service.id, version)}
    held = networks.of_service(service.id)
    for network_id in sorted(wanted.difference(held)):
        _give_address(turn, networks[network_id], service)
    for network_id in [each for each in held if each not in wanted]:
        _take_address(turn, networks[network_id], service.id)


def _give_address(turn: Turn, network: Network, service: Service) -> None:
    resting = turn.state.resting_vips.setdefault(network.id, {})
    for place in [place for place, until_ms in resting.items() if until_ms <= turn.now.mono_ms]:
        del resting[place]
    used = {*network.vips.values(), *resting}
    blocks, found = space_of(turn.state, network).virtual(used)
    if found is None:
        turn.note("network", network.name, f"no virtual address is left for {service.name}")
        return
    turn.put(
        replace(network, blocks=network.blocks | {NOBODY: blocks}, vips=network.vips | {service.id: found})
    )


def _take_address(turn: Turn, network: Network, service_id: str) -> None:
    vips = dict(network.vips)
    resting = turn.state.resting_vips.setdefault(network.id, {})
    resting[vips.pop(service_id)] = turn.now.mono_ms + QUARANTINE_MS
    turn.put(replace(network, vips=vips))


def space_of(state: State, network: Network) -> Space:
    """The addresses of a network as they are given now."""
    within = next((pool.ip_range for pool in network.spec.pools if pool.ip_range), "")
    return Space(
        IPv4Network(network.subnet),
        network.blocks,
        addresses.set_aside(network.spec, state.networks.fixed(network.name)),
        _range(within) if within else None,
    )


# --- blocks ---


def settle(turn: Turn) -> None:
    """Nodes whose sets have changed get blocks in the networks of their tasks, and those that take part are
    told of each other. To be done before nodes are told anything."""
    state = turn.state
    if not state.networks:
        return
    if state.addresses_changed != state.addresses_told:
        state.addresses_told = state.addresses_changed
        for network in state.networks.values():
            _tell(turn, network)
    changed: dict[str, dict[str, tuple[int, ...]]] = {}
    for node_id in sorted(turn.nodes | turn.bulk_nodes):
        if node_id in state.nodes:
            _look(turn, node_id, changed)
    _free_idle(turn, changed)
    for network_id, blocks in sorted(changed.items()):
        network = replace(state.networks[network_id], blocks=blocks)
        turn.put(network)
        _tell(turn, network)
    _remove_deserted(turn)


def _look(turn: Turn, node_id: str, changed: dict[str, dict[str, tuple[int, ...]]]) -> None:
    """Blocks for the tasks of one node; `changed` are blocks that are not yet put, by network."""
    state = turn.state
    counts = by_network(state, state.tasks.table.on_node(node_id))
    for network_id, tasks in counts.items():
        state.idle_blocks.pop((network_id, node_id), None)
        network = state.networks[network_id]
        blocks = changed.get(network_id, network.blocks)
        space = space_of(state, network)._replace(blocks=blocks)
        mine = space.more_blocks(node_id, addresses.wished(tasks))
        if not space.holds(mine, tasks + 1):
            _complain(turn, network, node_id)
        if mine != blocks.get(node_id, ()):
            changed[network_id] = {**blocks, node_id: mine}
    for network_id in state.networks.of_node(node_id):
        if network_id not in counts:
            state.idle_blocks.setdefault((network_id, node_id), turn.now.mono_ms + QUARANTINE_MS)


def ended(turn: Turn, task: Task) -> None:
    """A task has ended: its node may take part no more in networks that it was in."""
    if turn.state.networks.of_version(task.service_id, task.version):
        turn.nodes.add(task.node_id)


def _complain(turn: Turn, network: Network, node_id: str) -> None:
    name = turn.state.nodes[node_id].name
    turn.note("network", network.name, f"{network.subnet} has no addresses left for {name}")


def _free_idle(turn: Turn, changed: dict[str, dict[str, tuple[int, ...]]]) -> None:
    """Blocks that a node has not used for the quarantine are free, if the node is there to have said so."""
    state, now_ms = turn.state, turn.now.mono_ms
    for key in [key for key, due_ms in state.idle_blocks.items() if due_ms <= now_ms]:
        network_id, node_id = key
        del state.idle_blocks[key]
        network = state.networks.get(network_id)
        if network is None or node_id not in network.blocks or node_id not in state.nodes:
            continue
        if network_id in by_network(state, state.tasks.table.on_node(node_id)):
            continue
        if state.lives[node_id].status is not NodeStatus.READY:
            state.idle_blocks[key] = now_ms + QUARANTINE_MS
            continue
        blocks = dict(changed.get(network_id, network.blocks))
        del blocks[node_id]
        changed[network_id] = blocks


def forget_node(turn: Turn, node_id: str) -> None:
    """A node is gone for good: what it had in networks is free."""
    for network_id in turn.state.networks.of_node(node_id):
        turn.state.idle_blocks.pop((network_id, node_id), None)
        network = turn.state.networks[network_id]
        kept = {each: blocks for each, blocks in network.blocks.items() if each != node_id}
        network = replace(network, blocks=kept)
        turn.put(network)
        _tell(turn, network)


def _tell(turn: Turn, network: Network) -> None:
    """The nodes that take part hear of it."""
    turn.nodes.update(network.blocks.keys() - {NOBODY})


def _remove_deserted(turn: Turn) -> None:
    """Networks of stacks go when nobody names them and every node that took part is there to have heard."""
    state = turn.state
    for name in sorted(state.networks.deserted):
        network = state.networks.named(name)
        if network is None or not network.stack:
            state.networks.deserted.discard(name)
        elif all(_has_heard(state, node_id) for node_id in network.blocks.keys() - {NOBODY}):
            state.networks.deserted.discard(name)
            remove(turn, network)
            turn.note("network", name, "removed: nobody is in it any more")


def remove(turn: Turn, network: Network) -> None:
    """A network is no more, and nothing of it is waited for."""
    state = turn.state
    state.resting_vips.pop(network.id, None)
    for node_id in network.blocks:
        state.idle_blocks.pop((network.id, node_id), None)
    turn.drop(network)


def _has_heard(state: State, node_id: str) -> bool:
    life = state.lives.get(node_id)
    return life is None or life.status is NodeStatus.READY


# --- what nodes are told ---


def _present(state: State, rows: Rows) -> Rows:
    """Those that are, or may be, in their networks: not what has ended and is only kept to be looked at."""
    table = state.tasks.table
    over = (table.desired[rows] == _STOP) & _ENDED[table.state[rows]]
    found: Rows = rows[~over & ((table.flags[rows] & COMPLETED) == 0)]
    return found


def by_network(state: State, rows: Rows) -> dict[str, int]:
    """How many of these rows' tasks are in each network, by its id."""
    found = dict[str, int]()
    for service_id, version, mine in state.tasks.table.by_version(_present(state, rows)):
        for network in state.networks.of_version(service_id, version):
            found[network.id] = found.get(network.id, 0) + len(mine)
    return found


def overlays(state: State, node_id: str, rows: Rows) -> tuple[Overlay, ...]:
    """The networks in which a node takes part that has the tasks in these rows, by name."""
    if not state.networks:
        return ()
    mine = [state.networks[each] for each in by_network(state, rows)]
    return tuple(_overlay(state, node_id, each) for each in sorted(mine, key=lambda each: each.name))


def _overlay(state: State, node_id: str, network: Network) -> Overlay:
    space = space_of(state, network)
    blocks = network.blocks.get(node_id, ())
    parts = [f"{block}" for block in space.ranges(blocks)]
    others = [state.nodes[each] for each in network.blocks if each in state.nodes and each != node_id]
    return Overlay(
        network=network.name,
        vni=network.vni,
        subnet=network.subnet,
        gateway=space.gateway(blocks),
        blocks=tuple(parts),
        reserved=tuple(str(each) for each in sorted(space.reserved)),
        peers=tuple(sorted({each.address for each in others if each.address})),
        keys=_keys(others) if network.spec.encrypted else {},
        encrypted=network.spec.encrypted,
        internal=network.spec.internal,
        attachable=network.spec.attachable,
        labels=network.spec.labels,
        driver_options=network.spec.driver_options,
        stack=network.stack,
    )


def _keys(nodes: Iterable[Node]) -> dict[str, str]:
    """Their public keys by address."""
    found = {each.address: each.inventory.tunnel_key for each in nodes}
    return {address: found[address] for address in sorted(found) if address and found[address]}


def gateways(state: State, network: Network) -> dict[IPv4Address, str]:
    """The nodes' own addresses in a network, with the nodes' names."""
    space = space_of(state, network)
    found = {space.gateway(blocks): node_id for node_id, blocks in network.blocks.items() if node_id}
    return {IPv4Address(each): state.nodes[node].name for each, node in found.items() if each}
