"""The networks that span nodes: their records, and which versions of services name them. Decides nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network

from bayplan.model import ContainerSpec
from controller.records import Network

_Version = tuple[str, int]


def vip(network: Network, service_id: str) -> str:
    """The virtual address of a service in a network; empty where it has none."""
    place = network.vips.get(service_id)
    return "" if place is None else str(IPv4Network(network.subnet)[place])


class Networks(Mapping[str, Network]):
    """All networks by id."""

    def __init__(self) -> None:
        self._by_id: dict[str, Network] = {}
        self._by_name: dict[str, str] = {}
        #: Ids of the networks in which a node has blocks, and of those in which a service has an address.
        self._of_node: dict[str, set[str]] = {}
        self._of_service: dict[str, set[str]] = {}
        #: The networks that a version names, where it names some that span nodes, and those versions by name.
        self._named: dict[_Version, tuple[str, ...]] = {}
        self._members: dict[str, set[_Version]] = {}
        #: The addresses that versions ask for, by the network's name, where they ask for some.
        self._fixed: dict[str, dict[_Version, str]] = {}
        #: Names of networks that nobody names any more.
        self.deserted: set[str] = set()

    def __getitem__(self, network_id: str) -> Network:
        return self._by_id[network_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_id)

    def __len__(self) -> int:
        return len(self._by_id)

    # --- changes ---

    def put(self, network: Network) -> None:
        """Keep a network in place of the one with its id."""
        before = self._by_id.get(network.id)
        if before is not None:
            self._forget(before)
        self._by_id[network.id], self._by_name[network.name] = network, network.id
        for node_id in network.blocks:
            self._of_node.setdefault(node_id, set()).add(network.id)
        for service_id in network.vips:
            self._of_service.setdefault(service_id, set()).add(network.id)
        if network.name not in self._members:
            self.deserted.add(network.name)

    def drop(self, network_id: str) -> None:
        """Keep it no more; one that is not there is no error."""
        network = self._by_id.pop(network_id, None)
        if network is not None:
            self._forget(network)
            if self._by_name.get(network.name) == network_id:
                del self._by_name[network.name]

    def _forget(self, network: Network) -> None:
        for index, keys in ((self._of_node, network.blocks), (self._of_service, network.vips)):
            for key in keys:
                index[key].discard(network.id)
                if not index[key]:
                    del index[key]

    def join(self, service_id: str, version: int, container: ContainerSpec) -> None:
        """A version of a service is kept."""
        names = tuple(
            dict.fromkeys(
                each.network for each in container.networks if each.spec.external or each.spec.spans_nodes
            )
        )
        if names:
            self._named[service_id, version] = names
        for name in names:
            self._members.setdefault(name, set()).add((service_id, version))
            self.deserted.discard(name)
        for each in container.networks:
            if each.ipv4_address and each.network in names:
                self._fixed.setdefault(each.network, {})[service_id, version] = each.ipv4_address

    def leave(self, service_id: str, version: int) -> None:
        """A version of a service is kept no more."""
        for name in self._named.pop((service_id, version), ()):
            mine = self._members[name]
            mine.discard((service_id, version))
            self._fixed.get(name, {}).pop((service_id, version), None)
            if not mine:
                self._fixed.pop(name, None)
                del self._members[name]
                self.deserted.add(name)

    # --- questions ---

    def named(self, name: str) -> Network | None:
        """The network of this name."""
        network_id = self._by_name.get(name)
        return None if network_id is None else self._by_id[network_id]

    def of_version(self, service_id: str, version: int) -> list[Network]:
        """Those that the tasks of a version are in."""
        names = self._named.get((service_id, version), ()) if self._by_id else ()
        found = [self.named(name) for name in names]
        return [each for each in found if each is not None]

    def of_node(self, node_id: str) -> list[str]:
        """The ids of those in which a node has blocks."""
        return sorted(self._of_node.get(node_id, ()))

    def of_service(self, service_id: str) -> list[str]:
        """The ids of those in which a service has a virtual address."""
        return sorted(self._of_service.get(service_id, ()))

    def fixed(self, name: str) -> set[str]:
        """The addresses in a network that services ask for."""
        return set(self._fixed.get(name, {}).values())

    def members(self, name: str) -> list[_Version]:
        """The versions of services (id, number) that name a network, sorted."""
        return sorted(self._members.get(name, ()))
