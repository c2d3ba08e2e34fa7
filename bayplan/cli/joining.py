"""A new service's place in a stack: its names, and its networks as the stack's other services have them."""

from __future__ import annotations

from msgspec.structs import replace

from bayplan.client import Client
from bayplan.compose.names import parse_name, parse_stack_name
from bayplan.model import NetworkAttachment, NetworkSpec, ServiceSpec

#: The stack of services that name none.
DEFAULT_STACK = "default"


def names_of(name: str, stack: str | None, known: list[str]) -> tuple[str, str]:
    """Stack and short name of `web`, `shop/web` or `shop_web`. `known` stacks decide where a name has more
    than one `_`. Raises ValueError."""
    if stack is not None:
        short = name.removeprefix(f"{stack}_").removeprefix(f"{stack}/")
        return parse_stack_name(stack), parse_name(short)
    for separator in ("/", "_"):
        if separator in name:
            owner = max((each for each in known if name.startswith(each + separator)), key=len, default="")
            owner = owner or name.partition(separator)[0]
            return parse_stack_name(owner), parse_name(name.removeprefix(owner + separator))
    return DEFAULT_STACK, parse_name(name)


def joined(client: Client, stack: str, spec: ServiceSpec) -> ServiceSpec:
    """The spec in networks that are there: a stack's by its short or full name, made as that stack makes it;
    any other has to exist. Without a network it is in the stack's own."""
    container = spec.container
    if container.network_mode:
        return spec
    networks = container.networks
    if not networks:
        own = NetworkAttachment(network=f"{stack}_default", aliases=(spec.name,), spec=NetworkSpec())
        networks = (own,)
    known = _known(client, stack, [each.network for each in networks])
    found = tuple(_as_known(each, stack, known) for each in networks)
    return replace(spec, container=replace(container, networks=found))


def _as_known(attachment: NetworkAttachment, stack: str, known: dict[str, NetworkSpec]) -> NetworkAttachment:
    for name in (attachment.network, f"{stack}_{attachment.network}"):
        if name in known:
            return replace(attachment, network=name, spec=known[name])
    return attachment


def _known(client: Client, stack: str, names: list[str]) -> dict[str, NetworkSpec]:
    """How networks are made by the stacks that may be meant."""
    stacks = [each.name for each in client.stacks()]
    meant = [each for each in stacks if each == stack or any(name.startswith(f"{each}_") for name in names)]
    return {
        attachment.network: attachment.spec
        for each in meant
        for service in client.get_stack(each)[0].services
        for attachment in service.container.networks
    }
