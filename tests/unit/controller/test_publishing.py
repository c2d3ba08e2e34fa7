"""Ports at which every node answers, from a deploy to the nodes' questions."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from bayplan.model import PortMode, PortSpec, ServiceSpec, StackSpec
from tests.unit.controller.world import World, service, stack


def publishing(mode: PortMode = PortMode.INGRESS, number: int = 8080, **fields: Any) -> ServiceSpec:
    port = PortSpec(target=80, published=number, mode=mode)
    spec = service(**fields)
    return replace(spec, container=replace(spec.container, ports=(port,)))


def blog(*services: ServiceSpec) -> StackSpec:
    return StackSpec(name="blog", services=services)


def test_a_port_of_every_node_takes_no_node_for_itself() -> None:
    world = World()
    world.node("a")
    reply = world.deploy(stack(publishing(replicas=3)))
    assert reply.problem is None and len(world.tasks()) == 3


def test_a_second_stack_is_refused_the_port_that_every_node_answers_at() -> None:
    world = World()
    world.node("a")
    world.deploy(stack(publishing()))
    reply = world.deploy(blog(publishing(PortMode.HOST)))
    assert reply.problem is not None
    assert "blog_web would publish port 8080/tcp on the nodes of its tasks" in reply.problem.summary
    assert "shop_web has it on every node" in reply.problem.summary
    assert world.deploy(blog(publishing(number=8081))).problem is None


def test_a_stack_keeps_its_port_and_another_gets_it_when_it_is_gone() -> None:
    world = World()
    world.node("a")
    world.deploy(stack(publishing()))
    assert world.deploy(stack(publishing(replicas=2))).problem is None
    world.remove("shop")
    assert world.deploy(blog(publishing())).problem is None


def test_a_port_goes_over_to_another_service_of_the_stack_by_prune() -> None:
    world = World()
    world.node("a")
    world.deploy(stack(publishing()))
    moved = StackSpec(name="shop", services=(ServiceSpec(name="front", container=publishing().container),))
    assert world.deploy(moved).problem is not None
    assert world.deploy(moved, prune=True).problem is None


def test_nodes_are_asked_for_a_port_that_no_node_answers_at_yet_and_only_then() -> None:
    world = World()
    node = world.node("a")
    world.deploy(stack(publishing()))
    world.deploy(stack(publishing(replicas=2)))
    assert [each.port for each in node.asked[0].ports] == [8080]
    assert not any(question.ports for question in node.asked[1:])
