"""Networks that span nodes as users see them, and what they ask to be made or removed by hand."""

from __future__ import annotations

from bayplan.errors import ProblemError, ProblemKind, refuse
from bayplan.views import NetworkNode, NetworkUser, NetworkView
from controller import names
from controller.core import network_requests, networking
from controller.core.turn import Turn
from controller.decide import network_check
from controller.decide.addresses import NOBODY
from controller.events import NetworkCreateAsked, NetworkRemoveAsked
from controller.networks import vip
from controller.records import Network
from controller.state import State


def asked(turn: Turn, event: NetworkCreateAsked | NetworkRemoveAsked) -> None:
    """Does what is asked and answers, or answers why not."""
    try:
        match event:
            case NetworkCreateAsked():
                network_check.check(event.name, event.spec)
                made = network_requests.create(turn, event.name, event.spec)
                turn.reply(event.ticket, view(turn.state, made))
            case NetworkRemoveAsked():
                network_requests.remove(turn, event.name)
                turn.reply(event.ticket)
    except ProblemError as error:
        turn.refuse(event.ticket, error)


def find(state: State, wanted: str) -> Network:
    """A network by its name, or by the beginning of its id. Raises ProblemError (NOT_FOUND)."""
    named = state.networks.named(wanted)
    if named is not None:
        return named
    found = [each for each in state.networks.values() if wanted and each.id.startswith(wanted)]
    if len(found) > 1:
        listed = ", ".join(sorted(each.name for each in found))
        raise refuse(ProblemKind.NOT_FOUND, f"{wanted} begins the ids of {listed}", hint="use the name")
    if not found:
        raise names.missing("network", wanted, [each.name for each in state.networks.values()])
    return found[0]


def view(state: State, network: Network) -> NetworkView:
    """All that is known of a network."""
    return NetworkView(
        id=network.id,
        name=network.name,
        stack=network.stack,
        spec=network.spec,
        vni=network.vni,
        subnet=network.subnet,
        created_ms=network.created_ms,
        nodes=tuple(sorted(_nodes(state, network), key=lambda each: each.node)),
        services=tuple(sorted(_users(state, network), key=lambda each: each.service)),
    )


def _nodes(state: State, network: Network) -> list[NetworkNode]:
    space = networking.space_of(state, network)
    return [
        NetworkNode(
            node=state.nodes[node_id].name,
            address=state.nodes[node_id].address,
            gateway=space.gateway(blocks),
            blocks=tuple(str(each) for each in space.ranges(blocks)),
        )
        for node_id, blocks in network.blocks.items()
        if node_id != NOBODY and node_id in state.nodes
    ]


def _users(state: State, network: Network) -> list[NetworkUser]:
    found = dict.fromkeys(service_id for service_id, _ in state.networks.members(network.name))
    services = [state.services[each] for each in found if each in state.services]
    return [
        NetworkUser(
            service=each.name,
            vip=vip(network, each.id),
            tasks=int(state.tasks.table.of_service(each.id).size),
        )
        for each in services
    ]
