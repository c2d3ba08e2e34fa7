"""Networks that span nodes, from a deploy to what each node is told of them."""

from __future__ import annotations

import random

import pytest
from msgspec import structs

from bayplan.errors import ProblemError
from bayplan.lifecycle import TaskState
from bayplan.model import IpamPool, NetworkAttachment, NetworkSpec, Overlay, ServiceSpec
from controller.core import network_requests
from controller.core.turn import Turn
from controller.decide.addresses import QUARANTINE_MS
from controller.events import NodeRemoveAsked
from controller.listings import listing
from controller.records import Network
from tests.unit.controller.world import Node, World, service, stack


def joined(
    name: str = "web", *networks: str, spec: NetworkSpec | None = None, **fields: object
) -> ServiceSpec:
    """A service in networks of its stack."""
    attachments = tuple(
        NetworkAttachment(network=f"shop_{each}", aliases=(name,), spec=spec or NetworkSpec())
        for each in networks or ("default",)
    )
    return service(name, container={"networks": attachments}, **fields)


def told(node: Node, network: str = "shop_default") -> Overlay | None:
    return next((each for each in node.assigned.overlays if each.network == network), None)


def the(world: World, name: str = "shop_default") -> Network:
    found = world.state.networks.named(name)
    assert found is not None, name
    return found


def test_the_nodes_of_a_stack_are_told_of_its_network_and_of_each_other() -> None:
    world = World()
    a, b, c = world.node("a"), world.node("b"), world.node("c")
    world.deploy(stack(joined(replicas=2, max_replicas_per_node=1, constraints=("node.hostname != c",))))
    first, second = told(a), told(b)
    assert first is not None and second is not None
    assert (first.vni, first.subnet) == (second.vni, second.subnet) == (0xBA0001, "10.64.0.0/20")
    assert not set(first.blocks) & set(second.blocks)
    assert first.peers == ("10.0.0.2",) and second.peers == ("10.0.0.1",)
    assert told(c) is None


def test_a_stack_without_networks_that_span_nodes_makes_none() -> None:
    world = World()
    node = world.node("a")
    world.deploy(stack(service(), joined("db", spec=NetworkSpec(driver="macvlan"))))
    assert not world.state.networks and not node.assigned.overlays


def test_a_service_has_a_virtual_address_and_its_names_in_the_directory() -> None:
    world = World()
    world.node("a")
    world.deploy(stack(joined("web", "front", "back"), joined("db", "back", endpoint_mode="dnsrr")))
    web, db = listing(world.state, "shop", "web"), listing(world.state, "shop", "db")
    assert web is not None and db is not None
    assert web.facade.names == {"shop_front": ("web",), "shop_back": ("web",)}
    assert web.facade.vips == {"shop_front": "10.64.0.1", "shop_back": "10.64.16.1"}
    assert db.facade.names == {"shop_back": ("db",)} and not db.facade.vips


def test_another_name_or_another_mode_is_news_for_the_directory() -> None:
    world = World()
    world.node("a")
    world.deploy(stack(joined()))
    before = listing(world.state, "shop", "web")
    world.deploy(stack(joined(endpoint_mode="dnsrr")))
    after = listing(world.state, "shop", "web")
    assert before is not None and after is not None
    assert after.revision > before.revision and not after.facade.vips


def test_the_addresses_in_further_networks_are_news_for_the_directory() -> None:
    world = World()
    node = world.node("a")
    world.deploy(stack(joined("web", "front", "back")))
    (task,) = world.wanted()
    node.reports(task.id, TaskState.RUNNING, address="10.64.0.18", addresses={"shop_back": "10.64.16.18"})
    first = listing(world.state, "shop", "web")
    node.reports(task.id, TaskState.RUNNING, address="10.64.0.18", addresses={"shop_back": "10.64.16.19"})
    second = listing(world.state, "shop", "web")
    assert first is not None and second is not None
    assert first.entries[0].networks == {"shop_front": "10.64.0.18", "shop_back": "10.64.16.18"}
    assert second.entries[0].networks["shop_back"] == "10.64.16.19"
    assert second.revision > first.revision


def test_a_network_goes_with_its_stack() -> None:
    world = World()
    node = world.node("a")
    world.deploy(stack(joined()))
    world.remove("shop")
    world.pass_time(2_000)
    assert not world.state.networks and not node.assigned.overlays


def test_a_network_stays_until_a_silent_node_has_heard_that_it_goes() -> None:
    world = World()
    nodes = [world.node(name) for name in "abc"]
    world.deploy(stack(joined(replicas=3, max_replicas_per_node=1)))
    nodes[0].disconnect()
    world.remove("shop")
    world.pass_time(120_000)
    assert the(world).blocks.keys() >= {nodes[0].id}
    nodes[0].connect()
    world.pass_time(2_000)
    assert not world.state.networks and not nodes[0].assigned.overlays


def test_a_network_that_is_gone_is_waited_for_no_more() -> None:
    # Simulator, seed 365: the last of all networks went, and blocks of its nodes stayed due for ever.
    world = World()
    _, b = world.node("a"), world.node("b")
    world.deploy(stack(joined(replicas=2, max_replicas_per_node=1)))
    b.disconnect()
    world.remove("shop")
    world.pass_time(10_000)
    assert list(world.state.idle_blocks) == [(the(world).id, b.id)]
    b.connect()
    world.pass_time(2_000)
    assert not world.state.networks and not world.state.idle_blocks


def test_blocks_rest_before_another_node_gets_them() -> None:
    world = World()
    a, b = world.node("a"), world.node("b")
    world.deploy(stack(joined(constraints=("node.hostname == a",))))
    held = the(world).blocks[a.id]
    world.deploy(stack(joined(constraints=("node.hostname == b",))))
    world.pass_time(QUARANTINE_MS // 2)
    assert told(a) is None and the(world).blocks[a.id] == held
    assert not set(held) & set(the(world).blocks[b.id])
    world.pass_time(QUARANTINE_MS)
    assert a.id not in the(world).blocks
    assert told(b).peers == ()  # type: ignore[union-attr]


def test_a_node_that_is_away_keeps_its_blocks() -> None:
    world = World()
    a, b, _ = world.node("a"), world.node("b"), world.node("c")
    world.deploy(stack(joined(constraints=("node.hostname != c",))))
    holder = next(node for node in (a, b) if told(node))
    holder.disconnect()
    world.pass_time(5 * QUARANTINE_MS)
    assert holder.id in the(world).blocks


def test_a_removed_node_has_no_blocks_and_is_nobodys_peer() -> None:
    world = World()
    a, b = world.node("a"), world.node("b")
    world.deploy(stack(joined(replicas=2, max_replicas_per_node=1)))
    world.ask(NodeRemoveAsked(ticket="", node="b", force=True))
    assert b.id not in the(world).blocks
    assert told(a).peers == ()  # type: ignore[union-attr]


def test_a_node_with_many_tasks_has_room_for_twice_as_many() -> None:
    world = World()
    node = world.node("a")
    world.deploy(stack(joined(replicas=20)))
    assert len(told(node).blocks) * 16 >= 41  # type: ignore[union-attr]


def test_a_restarted_controller_tells_the_same() -> None:
    world = World()
    node = world.node("a")
    world.deploy(stack(joined(replicas=2)))
    before = told(node)
    again = world.restarted()
    node.connect()
    again.pass_time(3 * QUARANTINE_MS)
    assert told(node) == before


def test_who_can_take_part_in_no_such_network_gets_none_of_its_tasks() -> None:
    world = World()
    a, b = world.node("a"), world.node("b")
    a.inventory = structs.replace(a.inventory, overlay_fault="no module vxlan")
    a.connect()
    world.deploy(stack(joined(replicas=3), service("db", constraints=("node.hostname == a",))))
    assert {task.node_id for task in world.wanted("shop_web")} == {b.id}
    assert {task.node_id for task in world.wanted("shop_db")} == {a.id}


def test_a_deploy_that_only_unable_nodes_could_take_says_why() -> None:
    world = World()
    node = world.node("a")
    node.inventory = structs.replace(node.inventory, overlay_fault="no module vxlan")
    node.connect()
    reply = world.deploy(stack(joined()))
    assert "cannot take part in networks that span nodes" in "\n".join(reply.problem.lines())


SECRET = NetworkSpec(encrypted=True)


def able(node: Node, key: str) -> None:
    node.inventory = structs.replace(node.inventory, tunnel_key=key)
    node.connect()


def test_nodes_of_an_encrypted_network_are_told_of_each_others_keys_and_hear_of_new_ones() -> None:
    world = World()
    a, b, c = world.node("a"), world.node("b"), world.node("c")
    able(a, "key of a")
    able(b, "key of b")
    world.deploy(stack(joined(replicas=4, spec=SECRET), joined("db", "back", replicas=4)))
    assert {task.node_id for task in world.wanted("shop_web")} == {a.id, b.id}, "c cannot encrypt"
    first, second, open_one = told(a), told(b), told(c, "shop_back")
    assert first is not None and second is not None and first.encrypted and second.encrypted
    assert (first.keys, second.keys) == ({"10.0.0.2": "key of b"}, {"10.0.0.1": "key of a"})
    assert open_one is None or (not open_one.encrypted and not open_one.keys)
    able(b, "another key of b")
    first = told(a)
    assert first is not None and first.keys == {"10.0.0.2": "another key of b"}


def test_a_service_that_joins_an_encrypted_network_of_others_goes_where_there_is_a_key() -> None:
    world = World()
    able(world.node("a"), "key of a")
    world.node("b")
    world.deploy(stack(joined(spec=SECRET)))
    outside = NetworkAttachment(network="shop_default", spec=NetworkSpec(external=True))
    world.deploy(stack(service(replicas=3, container={"networks": (outside,)}), name="other"))
    nodes = {world.state.nodes[task.node_id].name for task in world.wanted("other_web")}
    assert nodes == {"a"}


def test_where_nobody_can_encrypt_a_deploy_says_why() -> None:
    world = World()
    node = world.node("a")
    node.inventory = structs.replace(node.inventory, tunnel_fault="the program wg is missing")
    node.connect()
    reply = world.deploy(stack(joined(spec=SECRET)))
    said = "\n".join(reply.problem.lines())
    assert "needs to take part in an encrypted network" in said and "1 cannot take part" in said


def pooled(subnet: str, **fields: str) -> NetworkSpec:
    return NetworkSpec(pools=(IpamPool(subnet=subnet, **fields),))  # type: ignore[arg-type]


def test_a_subnet_that_overlaps_another_is_refused_with_what_is_in_the_way() -> None:
    world = World()
    world.node("a")
    world.deploy(stack(joined(spec=pooled("10.9.0.0/24"))))
    reply = world.deploy(stack(at("other", "10.9.0.128/25"), name="other"))
    assert reply.problem is not None and not world.state.stack("other")
    assert "the network shop_default (10.9.0.0/24)" in "\n".join(reply.problem.lines())


def at(stack_name: str, subnet: str, **fields: object) -> ServiceSpec:
    attachment = NetworkAttachment(network=f"{stack_name}_default", spec=pooled(subnet))
    return service(container={"networks": (attachment,)}, **fields)


def test_a_network_that_is_in_use_is_not_made_anew() -> None:
    world = World()
    world.node("a")
    world.deploy(stack(joined(spec=pooled("10.9.0.0/24"))))
    reply = world.deploy(stack(joined(spec=pooled("10.8.0.0/24"))))
    assert "another one than the one that is in use" in reply.problem.summary
    world.scale("shop_web", 0)
    world.pass_time(2_000)
    assert world.deploy(stack(joined(spec=pooled("10.8.0.0/24"), replicas=0))).problem is None
    assert the(world).subnet == "10.8.0.0/24"


def test_more_tasks_than_addresses_are_refused() -> None:
    world = World()
    world.node("a")
    reply = world.deploy(stack(joined(spec=pooled("10.9.0.0/28"), replicas=20)))
    assert "has 14 addresses, and 22 would be needed" in reply.problem.summary
    assert world.deploy(stack(joined(spec=pooled("10.9.0.0/28"), replicas=2))).problem is None
    assert "would be needed" in world.scale("shop_web", 20).problem.summary


def fixed(name: str, address: str) -> ServiceSpec:
    attachment = NetworkAttachment(
        network="shop_default", ipv4_address=address, spec=pooled("10.9.0.0/24", gateway="10.9.0.1")
    )
    return service(name, container={"networks": (attachment,)})


def test_an_address_that_somebody_has_is_refused() -> None:
    world = World()
    node = world.node("a")
    assert world.deploy(stack(fixed("web", "10.9.0.77"))).problem is None
    assert told(node).reserved == ("10.9.0.1", "10.9.0.77")  # type: ignore[union-attr]
    gateway = told(node).gateway  # type: ignore[union-attr]
    for address, whose in (
        ("10.9.0.77", "shop_web"),
        (gateway, "the node a"),
        ("10.9.0.2", "the service shop_web itself"),
        ("10.9.0.1", "sets aside"),
        ("10.7.0.1", "10.9.0.0/24"),
    ):
        reply = world.deploy(stack(fixed("web", "10.9.0.77"), fixed("db", address)))
        assert reply.problem is not None and whose in "\n".join(reply.problem.lines())


def test_an_external_network_is_the_clusters_own_where_it_has_one() -> None:
    world = World()
    node = world.node("a")
    external = NetworkSpec(external=True)
    turn = Turn(world.state, random.Random(1), world.settings, world.now)
    network_requests.create(turn, "shop_shared", NetworkSpec(attachable=True))
    world.deploy(stack(joined("web", "shared", "lan", spec=external)))
    assert [each.network for each in node.assigned.overlays] == ["shop_shared"]
    for name, words in (("shop_shared", "in use: shop_web"), ("none", "there is no network none")):
        with pytest.raises(ProblemError, match=words):
            network_requests.remove(turn, name)
    with pytest.raises(ProblemError, match="would lose it"):
        network_requests.create(turn, "shop_lan", NetworkSpec())
    world.remove("shop")
    world.pass_time(2_000)
    network_requests.remove(turn, "shop_shared")
    assert not world.state.networks


def test_the_address_of_a_service_rests_before_another_gets_it() -> None:
    world = World()
    world.node("a")
    world.deploy(stack(joined("web"), joined("db")))
    place = the(world).vips[world.state.service_named("shop_web").id]  # type: ignore[union-attr]
    world.deploy(stack(joined("db")), prune=True)
    world.deploy(stack(joined("db"), joined("new")))
    assert place not in the(world).vips.values()
    world.pass_time(QUARANTINE_MS)
    world.deploy(stack(joined("db"), joined("new"), joined("late")))
    assert place in the(world).vips.values()


def test_a_removed_service_keeps_its_address_while_older_tasks_of_it_stop() -> None:
    world = World()
    node = world.node("a")
    world.node("b")
    world.deploy(stack(joined(constraints=("node.hostname == a",))))
    node.obedient = False
    world.deploy(stack(joined(constraints=("node.hostname == b",))))
    vips = the(world).vips
    world.remove("shop")
    world.pass_time(5_000)
    assert {task.version for task in world.state.tasks.values()} == {1}
    assert the(world).vips == vips
    node.obedient = True
    node.obey()
    world.pass_time(5_000)
    assert not world.state.networks and not world.state.services
