"""A port at which every node answers is one service's."""

import pytest

from bayplan.model import ContainerSpec, PortMode, PortSpec, Protocol, ServiceSpec
from controller.decide.publishing import Holder, faults, holder

EVERYWHERE, HOST = PortMode.INGRESS, PortMode.HOST


def publishing(name: str, *ports: PortSpec) -> Holder:
    container = ContainerSpec(image="a", ports=ports)
    spec = ServiceSpec(name="x", container=container, places={"ports": f"{name}.yml:7"})
    found = holder(name, spec)
    assert found is not None
    return found


def port(mode: PortMode, number: int = 80, host_ip: str = "", protocol: Protocol = Protocol.TCP) -> PortSpec:
    return PortSpec(target=80, published=number, mode=mode, host_ip=host_ip, protocol=protocol)


@pytest.mark.parametrize(
    ("wanted", "there"),
    [
        (port(EVERYWHERE), port(EVERYWHERE)),
        (port(EVERYWHERE), port(HOST)),
        (port(HOST), port(EVERYWHERE)),
        (port(EVERYWHERE, host_ip="10.0.0.1"), port(EVERYWHERE)),
        (port(EVERYWHERE), port(HOST, host_ip="127.0.0.1")),
    ],
)
def test_a_port_of_every_node_is_refused_to_another_service(wanted: PortSpec, there: PortSpec) -> None:
    (problem,) = faults([publishing("shop_web", wanted)], [publishing("blog_web", there)])
    assert "shop_web would publish port" in problem.summary and "blog_web has it" in problem.summary
    assert problem.place == "shop_web.yml:7" and "blog_web.yml:7" in problem.details[0]


@pytest.mark.parametrize(
    ("wanted", "there"),
    [
        (port(HOST), port(HOST)),
        (port(EVERYWHERE), port(EVERYWHERE, 81)),
        (port(EVERYWHERE), port(EVERYWHERE, protocol=Protocol.UDP)),
        (port(EVERYWHERE, host_ip="10.0.0.1"), port(EVERYWHERE, host_ip="127.0.0.1")),
    ],
)
def test_ports_that_cannot_meet_or_that_placing_keeps_apart_are_allowed(
    wanted: PortSpec, there: PortSpec
) -> None:
    assert not list(faults([publishing("shop_web", wanted)], [publishing("blog_web", there)]))


def test_two_wished_services_cannot_have_one_port() -> None:
    wished = [publishing("shop_a", port(EVERYWHERE)), publishing("shop_b", port(EVERYWHERE))]
    assert [problem.place for problem in faults(wished, [])] == ["shop_b.yml:7"]


def test_a_service_that_publishes_nothing_fixed_holds_nothing() -> None:
    container = ContainerSpec(image="a", ports=(PortSpec(target=80, mode=EVERYWHERE),))
    assert holder("shop_web", ServiceSpec(name="web", container=container)) is None
