"""What a listing is in xDS: listener, route, cluster and endpoints, all of one name, `shop/web`. Pure.

While canaries run beside the others, the route goes to two clusters, `shop/web/stable` and `shop/web/canary`,
by the weights of their instances. Each resource is encoded once, as long as its listing is the same.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Sequence

from envoy.config.cluster.v3 import circuit_breaker_pb2, cluster_pb2
from envoy.config.core.v3 import address_pb2, base_pb2, config_source_pb2
from envoy.config.endpoint.v3 import endpoint_components_pb2, endpoint_pb2
from envoy.config.listener.v3 import api_listener_pb2, listener_pb2
from envoy.config.route.v3 import route_components_pb2, route_pb2
from envoy.extensions.filters.http.router.v3 import router_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as manager
from google.protobuf import any_pb2, duration_pb2, wrappers_pb2
from google.protobuf.message import Message

from bayplan.directory import Directory, Entry, Listing, Standing

#: Encoded resources that are kept.
KEPT_MAX = 50_000
#: A connection to an instance is given up after this long, in seconds (Envoy's default).
CONNECT_S = 5
#: Clients must not give up requests because of a limit that nobody set: gRPC's and Envoy's is 1,024.
UNLIMITED = 2**32 - 1
#: The parts of a service while it has canaries.
STABLE, CANARY = "stable", "canary"

_TYPES = "type.googleapis.com/"


class Kind(enum.Enum):
    """The kinds of resources, in the order in which they must be told: what is named before who names it."""

    CLUSTER = _TYPES + cluster_pb2.Cluster.DESCRIPTOR.full_name
    ENDPOINTS = _TYPES + endpoint_pb2.ClusterLoadAssignment.DESCRIPTOR.full_name
    LISTENER = _TYPES + listener_pb2.Listener.DESCRIPTOR.full_name
    ROUTE = _TYPES + route_pb2.RouteConfiguration.DESCRIPTOR.full_name

    @property
    def whole(self) -> bool:
        """Whether a response has all resources of the kind, so that what is missing in it is gone."""
        return self in (Kind.CLUSTER, Kind.LISTENER)


class Resources:
    """The resources of a directory, by kind and name."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._kept: dict[tuple[Kind, str], tuple[Listing | None, any_pb2.Any]] = {}

    def named(self, kind: Kind, names: Iterable[str] | None, *, whole: bool) -> dict[str, any_pb2.Any]:
        """The resources of these names (None: all there are of clusters and endpoints).

        A listener or route of a service that is not known has no hosts, so that its caller is refused at
        once instead of waiting for 15 s (gRPC's patience for what is not told); but not while the directory
        is not `whole`, when it may exist.
        """
        if names is None:
            names = self._all_names() if kind in (Kind.CLUSTER, Kind.ENDPOINTS) else ()
        found = {}
        for name in names:
            listing, part = self._listing(name)
            if listing is None and (kind in (Kind.CLUSTER, Kind.ENDPOINTS) or not whole):
                continue
            found[name] = self._encoded(kind, name, listing, part)
        return found

    def _all_names(self) -> list[str]:
        names = []
        for listing in self._directory:
            name = f"{listing.stack}/{listing.service}"
            names += [name, *([f"{name}/{STABLE}", f"{name}/{CANARY}"] if listing.canary else [])]
        return names

    def _listing(self, name: str) -> tuple[Listing | None, str]:
        """The listing of a name and the part of it that is meant."""
        stack, _, rest = name.partition("/")
        service, _, part = rest.partition("/")
        listing = self._directory.get(stack, service)
        return (listing, part) if part in ("", STABLE, CANARY) else (None, "")

    def _encoded(self, kind: Kind, name: str, listing: Listing | None, part: str) -> any_pb2.Any:
        kept = self._kept.get((kind, name))
        if kept is not None and kept[0] is listing:
            return kept[1]
        made = any_pb2.Any()
        made.Pack(_MAKERS[kind](name, listing, part))
        if len(self._kept) >= KEPT_MAX:
            self._kept.clear()
        self._kept[kind, name] = listing, made
        return made


def _listener(name: str, listing: Listing | None, part: str) -> listener_pb2.Listener:
    router = manager.HttpFilter(name="router")
    router.typed_config.Pack(router_pb2.Router())
    routes = _route(name, listing, part)
    connections = manager.HttpConnectionManager(stat_prefix=name, route_config=routes, http_filters=[router])
    made = listener_pb2.Listener(name=name, api_listener=api_listener_pb2.ApiListener())
    made.api_listener.api_listener.Pack(connections)
    return made


def _route(name: str, listing: Listing | None, part: str) -> route_pb2.RouteConfiguration:
    if listing is None:
        return route_pb2.RouteConfiguration(name=name)
    action = route_components_pb2.RouteAction(cluster=name)
    if listing.canary and not part:
        clusters = [
            route_components_pb2.WeightedCluster.ClusterWeight(
                name=f"{name}/{each}", weight=wrappers_pb2.UInt32Value(value=_weight(_part(listing, each)))
            )
            for each in (STABLE, CANARY)
            if _part(listing, each)
        ]
        if clusters:
            action = route_components_pb2.RouteAction(
                weighted_clusters=route_components_pb2.WeightedCluster(clusters=clusters)
            )
    route = route_components_pb2.Route(match=route_components_pb2.RouteMatch(prefix=""), route=action)
    host = route_components_pb2.VirtualHost(name=name, domains=["*"], routes=[route])
    return route_pb2.RouteConfiguration(name=name, virtual_hosts=[host])


def _cluster(name: str, listing: Listing | None, part: str) -> cluster_pb2.Cluster:
    ours = config_source_pb2.ConfigSource(
        ads=config_source_pb2.AggregatedConfigSource(), resource_api_version=config_source_pb2.ApiVersion.V3
    )
    most = wrappers_pb2.UInt32Value(value=UNLIMITED)
    limits = circuit_breaker_pb2.CircuitBreakers.Thresholds(
        max_connections=most, max_pending_requests=most, max_requests=most, max_retries=most
    )
    return cluster_pb2.Cluster(
        name=name,
        type=cluster_pb2.Cluster.EDS,
        eds_cluster_config=cluster_pb2.Cluster.EdsClusterConfig(eds_config=ours, service_name=name),
        connect_timeout=duration_pb2.Duration(seconds=CONNECT_S),
        lb_policy=cluster_pb2.Cluster.ROUND_ROBIN,
        common_lb_config=cluster_pb2.Cluster.CommonLbConfig(
            locality_weighted_lb_config=cluster_pb2.Cluster.CommonLbConfig.LocalityWeightedLbConfig()
        ),
        circuit_breakers=circuit_breaker_pb2.CircuitBreakers(thresholds=[limits]),
    )


def _endpoints(name: str, listing: Listing | None, part: str) -> endpoint_pb2.ClusterLoadAssignment:
    """Ready ones first; suspect ones only when there is no ready one (the next priority)."""
    entries = _part(listing, part) if listing else []
    suspect = [each for each in entries if each.standing is Standing.SUSPECT]
    ready = [each for each in entries if each.standing is not Standing.SUSPECT]
    localities = [
        _locality(zone, members, priority)
        for priority, among in enumerate([each for each in (ready, suspect) if each])
        for zone, members in sorted(_by_zone(among).items())
    ]
    return endpoint_pb2.ClusterLoadAssignment(cluster_name=name, endpoints=localities)


def _locality(
    zone: str, members: Sequence[Entry], priority: int
) -> endpoint_components_pb2.LocalityLbEndpoints:
    return endpoint_components_pb2.LocalityLbEndpoints(
        locality=base_pb2.Locality(zone=zone),
        lb_endpoints=[_endpoint(each) for each in members],
        load_balancing_weight=wrappers_pb2.UInt32Value(value=_weight(members)),
        priority=priority,
    )


def _endpoint(entry: Entry) -> endpoint_components_pb2.LbEndpoint:
    socket = address_pb2.SocketAddress(address=entry.address, port_value=entry.port)
    return endpoint_components_pb2.LbEndpoint(
        endpoint=endpoint_components_pb2.Endpoint(address=address_pb2.Address(socket_address=socket)),
        load_balancing_weight=wrappers_pb2.UInt32Value(value=entry.weight),
    )


def _part(listing: Listing, part: str) -> list[Entry]:
    """The instances of a part that can be connected to: `stable`, `canary`, or (empty) all."""
    usable = [each for each in listing.given() if each.address and each.port]
    if not part:
        return usable
    return [each for each in usable if (each.version == listing.canary) == (part == CANARY)]


def _by_zone(entries: Iterable[Entry]) -> dict[str, list[Entry]]:
    zones: dict[str, list[Entry]] = {}
    for entry in entries:
        zones.setdefault(entry.zone, []).append(entry)
    return zones


def _weight(entries: Iterable[Entry]) -> int:
    return sum(each.weight for each in entries)


_MAKERS: dict[Kind, Callable[[str, Listing | None, str], Message]] = {
    Kind.CLUSTER: _cluster,
    Kind.ENDPOINTS: _endpoints,
    Kind.LISTENER: _listener,
    Kind.ROUTE: _route,
}
