"""Listings as xDS resources: what a route leads to, and what stands behind a cluster."""

from __future__ import annotations

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.route.v3 import route_pb2
from google.protobuf.message import Message

from bayplan.directory import Entry, Standing
from bayplan.surfaces.xds.resources import Kind, Resources
from tests.memory_source import MemorySource


def entry(name: str, **more: object) -> Entry:
    return Entry(id=name, address=f"10.0.0.{name}", port=80, **more)  # type: ignore[arg-type]


def unpacked(source: MemorySource, kind: Kind, name: str, into: Message) -> Message:
    found = Resources(source.directory).named(kind, [name], whole=True)
    assert found[name].Unpack(into)
    return into


def addresses(source: MemorySource, name: str) -> dict[int, set[str]]:
    """By priority."""
    assignment = unpacked(source, Kind.ENDPOINTS, name, endpoint_pb2.ClusterLoadAssignment())
    found: dict[int, set[str]] = {}
    for locality in assignment.endpoints:  # type: ignore[attr-defined]  # messages have no types here
        for each in locality.lb_endpoints:
            found.setdefault(locality.priority, set()).add(each.endpoint.address.socket_address.address)
    return found


def weights(source: MemorySource, name: str) -> dict[str, int]:
    """Where the route of a service leads, by cluster; 0 where there is but one."""
    route = unpacked(source, Kind.ROUTE, name, route_pb2.RouteConfiguration())
    (host,) = route.virtual_hosts  # type: ignore[attr-defined]
    action = host.routes[0].route
    if action.cluster:
        return {action.cluster: 0}
    return {each.name: each.weight.value for each in action.weighted_clusters.clusters}


def test_a_route_leads_to_one_cluster_and_with_canaries_to_two_by_weight() -> None:
    source = MemorySource()
    old, new = [entry("1", version=1, weight=3), entry("2", version=1)], entry("3", version=2, weight=2)
    source.put("shop", "web", *old, new)
    assert weights(source, "shop/web") == {"shop/web": 0}
    source.put("shop", "web", *old, new, canary=2)
    assert weights(source, "shop/web") == {"shop/web/stable": 4, "shop/web/canary": 2}
    assert addresses(source, "shop/web/stable") == {0: {"10.0.0.1", "10.0.0.2"}}
    assert addresses(source, "shop/web/canary") == {0: {"10.0.0.3"}}
    source.put("shop", "web", new, canary=2)
    assert weights(source, "shop/web") == {"shop/web/canary": 2}


def test_priorities_have_no_gap_and_zones_have_weights() -> None:
    source = MemorySource()
    source.put("shop", "web", entry("1", standing=Standing.SUSPECT), entry("2", standing=Standing.DRAINING))
    assert addresses(source, "shop/web") == {0: {"10.0.0.1"}}
    source.put("shop", "web", entry("1", standing=Standing.SUSPECT), entry("2", zone="a", weight=5))
    assert addresses(source, "shop/web") == {0: {"10.0.0.2"}, 1: {"10.0.0.1"}}
    assignment = unpacked(source, Kind.ENDPOINTS, "shop/web", endpoint_pb2.ClusterLoadAssignment())
    zones = [(each.locality.zone, each.load_balancing_weight.value) for each in assignment.endpoints]  # type: ignore[attr-defined]
    assert zones == [("a", 5), ("", 1)]


def test_all_clusters_are_given_to_those_who_name_none() -> None:
    source = MemorySource()
    source.put("shop", "web", canary=2)
    source.put("shop", "db")
    found = Resources(source.directory).named(Kind.CLUSTER, None, whole=True)
    assert sorted(found) == ["shop/db", "shop/web", "shop/web/canary", "shop/web/stable"]
    cluster = cluster_pb2.Cluster()
    found["shop/db"].Unpack(cluster)
    assert cluster.eds_cluster_config.service_name == "shop/db"


def test_what_is_unknown_is_refused_only_by_a_directory_that_is_whole() -> None:
    resources = Resources(MemorySource().directory)
    assert not resources.named(Kind.LISTENER, ["shop/web"], whole=False)
    assert resources.named(Kind.LISTENER, ["shop/web"], whole=True)
    assert not resources.named(Kind.CLUSTER, ["shop/web"], whole=True)


def test_a_resource_is_encoded_once_for_each_listing() -> None:
    source = MemorySource()
    source.put("shop", "web", entry("1"))
    resources = Resources(source.directory)

    def made() -> object:
        return resources.named(Kind.ENDPOINTS, ["shop/web"], whole=True)["shop/web"]

    first = made()
    source.put("shop", "db", entry("2"))
    assert made() is first
    source.put("shop", "web", entry("1"), entry("3"))
    assert made() is not first
