"""What requests mean for networks that span nodes: looked at before anything is made, and refused in words.

Networks by hand are made and removed here; those of stacks come and go with their stacks (`networking`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv4Network
from typing import NamedTuple

from msgspec.structs import replace

from bayplan.errors import Problem, ProblemError, ProblemKind, refuse
from bayplan.model import NetworkSpec, ServiceSpec
from controller import names
from controller.core import networking
from controller.core.turn import Turn
from controller.decide.addresses import Taken, set_aside
from controller.networks import vip
from controller.records import GLOBAL_MODES, Network
from controller.state import State

#: The driver of networks that span nodes, as a membership in one that is not the stack's own remembers it.
SPANNING = "overlay"
#: Users of a network that one refusal names.
NAMED_MAX = 5


class _Wish(NamedTuple):
    """A network as services of one request want it."""

    spec: NetworkSpec
    place: str
    by: list[ServiceSpec]


def resolve(state: State, spec: ServiceSpec) -> ServiceSpec:
    """A service that knows which networks that are not its stack's own span nodes: those that the cluster
    has. Any other is the node's own."""
    if not any(each.spec.external for each in spec.container.networks):
        return spec
    networks = tuple(
        replace(each, spec=_known(state, each.network, each.spec)) if each.spec.external else each
        for each in spec.container.networks
    )
    return replace(spec, container=replace(spec.container, networks=networks))


def _known(state: State, name: str, spec: NetworkSpec) -> NetworkSpec:
    there = state.networks.named(name)
    if there is None:
        return replace(spec, driver="", encrypted=False)
    return replace(spec, driver=SPANNING, encrypted=there.spec.encrypted)


def faults(turn: Turn, stack: str, specs: Iterable[ServiceSpec]) -> Iterator[Problem]:
    """Why the networks of these services of a stack cannot be as they are asked for."""
    given: list[Taken] = []
    for name, wish in _wishes(specs).items():
        network = turn.state.networks.named(name)
        try:
            if not wish.spec.external:
                _check_one_definition(name, wish)
                network = _checked(turn, stack, name, wish, network, given)
            if network is not None:
                _check_room(turn.state, stack, network, wish)
                _check_statics(turn.state, stack, network, wish)
        except ProblemError as error:
            yield from (replace(each, place=each.place or wish.place) for each in error.problems)


def _wishes(specs: Iterable[ServiceSpec]) -> dict[str, _Wish]:
    found: dict[str, _Wish] = {}
    for spec in specs:
        place = spec.places.get("networks", spec.places.get("service", ""))
        for each in spec.container.networks:
            if each.spec.spans_nodes or each.spec.external:
                found.setdefault(each.network, _Wish(each.spec, place, [])).by.append(spec)
    return found


def _check_one_definition(name: str, wish: _Wish) -> None:
    for service in wish.by:
        if any(each.spec != wish.spec for each in service.container.networks if each.network == name):
            raise refuse(
                ProblemKind.INVALID,
                f"{wish.by[0].name} and {service.name} define the network {name} differently",
                hint="define it once, at the top level of the file",
            )


def _checked(
    turn: Turn, stack: str, name: str, wish: _Wish, before: Network | None, given: list[Taken]
) -> Network:
    """The network as it is, or would be. `given` are subnets that others of the request get."""
    if before is not None and (not before.stack or (before.stack == stack and before.spec == wish.spec)):
        return before
    if before is not None and before.stack != stack:
        raise refuse(
            ProblemKind.REFUSED,
            f"the network {name} belongs to the stack {before.stack}",
            hint=f"`external: true` joins it; `name:` gives the one of {stack} another name",
        )
    tasks = networking.in_use(turn.state, before) if before is not None else 0
    if tasks:
        raise refuse(
            ProblemKind.REFUSED,
            f"the network {name} would be another one than the one that is in use",
            f"{tasks} task{'' if tasks == 1 else 's'} of {stack} {'is' if tasks == 1 else 'are'} in it",
            hint="give the changed network another name, with which services move to it one by one, or "
            f"remove the stack first: `bayplan stack rm {stack}`",
        )
    subnet = networking.subnet_for(turn, name, wish.spec, given)
    given.append(Taken(subnet, f"the network {name}"))
    return Network(id="", name=name, vni=0, subnet=str(subnet), stack=stack, spec=wish.spec)


def _check_room(state: State, stack: str, network: Network, wish: _Wish) -> None:
    """A network needs an address for each task, each service and a node. Raises ProblemError (REFUSED)."""
    mine = {f"{stack}_{spec.name}": spec for spec in wish.by}
    needed = 1 + sum(_addresses(spec, spec.replicas) for spec in mine.values())
    for service_id in dict(state.networks.members(network.name)):
        service = state.services[service_id]
        if not service.removed and service.name not in mine:
            needed += _addresses(state.spec_of(service), service.replicas)
    subnet = IPv4Network(network.subnet)
    there = subnet.num_addresses - 2 - len(set_aside(network.spec))
    if needed > there:
        raise refuse(
            ProblemKind.REFUSED,
            f"the network {network.name} has {there} addresses, and {needed} would be needed",
            f"its subnet is {subnet}: one for each task, each service and each node",
            hint="give it a larger subnet, or spread the services over several networks",
        )


def _addresses(spec: ServiceSpec, replicas: int) -> int:
    return (1 if spec.mode in GLOBAL_MODES else replicas) + (spec.endpoint_mode != networking.NO_VIP)


def _check_statics(state: State, stack: str, network: Network, wish: _Wish) -> None:
    """Addresses that services ask for must be theirs to have. Raises ProblemError (REFUSED)."""
    asked: dict[IPv4Address, str] = {}
    for spec in wish.by:
        for each in spec.container.networks:
            if each.network != network.name or not each.ipv4_address:
                continue
            address, name = IPv4Address(each.ipv4_address), f"{stack}_{spec.name}"
            if address not in IPv4Network(network.subnet):
                raise refuse(
                    ProblemKind.INVALID,
                    f"{name} wants the address {address}, but the network {network.name} is {network.subnet}",
                    hint="choose one of that subnet, or none: then it gets a free one",
                )
            holder = asked.get(address) or _holder(state, network, address, name)
            if holder:
                raise refuse(
                    ProblemKind.REFUSED,
                    f"{name} wants the address {address} in the network {network.name}, which is not free",
                    f"it is that of {holder}",
                    hint="choose another, or none: then it gets a free one",
                )
            asked[address] = name


def _holder(state: State, network: Network, address: IPv4Address, name: str) -> str:
    """Who has an address, but for the service of this full name; empty if nobody has."""
    if address in set_aside(network.spec):
        return "what the network's definition sets aside"
    if node := networking.gateways(state, network).get(address):
        return f"the node {node}"
    for service_id in network.vips:
        service = state.services.get(service_id)
        if service is not None and vip(network, service_id) == str(address):
            return f"the service {service.name} itself"
    for service_id, version in state.networks.members(network.name):
        service, spec = state.services.get(service_id), state.specs[service_id, version]
        if service is None or service.name == name:
            continue
        fixed = {each.ipv4_address for each in spec.container.networks if each.network == network.name}
        if str(address) in fixed or _has_task_at(state, service_id, address):
            return service.name
    return ""


def _has_task_at(state: State, service_id: str, address: IPv4Address) -> bool:
    table = state.tasks.table
    return bool((table.address[table.of_service(service_id)] == int(address)).any())


# --- networks by hand ---


def create(turn: Turn, name: str, spec: NetworkSpec) -> Network:
    """A network that is no stack's. Raises ProblemError."""
    before = turn.state.networks.named(name)
    if before is not None:
        raise refuse(
            ProblemKind.REFUSED,
            f"there is a network {name} already",
            hint=f"`bayplan network inspect {name}` shows it; choose another name",
        )
    users = _users(turn.state, name)
    if users:
        raise refuse(
            ProblemKind.REFUSED,
            f"{name} is a network of the nodes themselves, and {', '.join(users)} would lose it",
            hint="choose another name, or remove these services first",
        )
    return networking.make(turn, name, "", spec)


def remove(turn: Turn, name: str) -> Network:
    """The network that is gone. Raises ProblemError."""
    state = turn.state
    network = state.networks.named(name)
    if network is None:
        known = [each.name for each in state.networks.values()]
        raise names.missing("network", name, known)
    users = _users(state, name)
    if users:
        raise refuse(
            ProblemKind.REFUSED,
            f"the network {name} is in use: {', '.join(users)}",
            hint=f"remove them first, or with `bayplan stack rm {network.stack}` all of its stack"
            if network.stack
            else "remove these services, or take the network from them",
        )
    networking.remove(turn, network)
    turn.note("network", name, "removed")
    return network


def _users(state: State, name: str) -> list[str]:
    """The full names of services that name a network, or have tasks that still do; some of many."""
    ids = dict.fromkeys(service_id for service_id, _ in state.networks.members(name))
    found = sorted(state.services[each].name for each in ids if each in state.services)
    more = len(found) - NAMED_MAX
    return [*found[:NAMED_MAX], *([f"{more} more"] if more > 0 else [])]
