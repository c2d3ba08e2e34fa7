"""Where containers look names up, and as whom they ask."""

from __future__ import annotations

import pytest

from agent.decide.resolving import Caller, caller, resolv_conf
from bayplan.model import ContainerSpec, FileKind, FileMount, Mount, MountKind, NetworkAttachment, Overlay


def overlay(name: str, number: int, *, internal: bool = False) -> Overlay:
    subnet = f"10.{number}.0.0/20"
    return Overlay(network=name, vni=number, subnet=subnet, gateway=f"10.{number}.0.1", internal=internal)


OVERLAYS = {each.network: each for each in (overlay("front", 64), overlay("back", 65, internal=True))}


def spec(*networks: str, **more: object) -> ContainerSpec:
    joined = tuple(NetworkAttachment(network=name) for name in networks)
    return ContainerSpec(image="i", networks=joined, **more)  # type: ignore[arg-type]


def test_the_name_server_is_the_gateway_of_the_first_network() -> None:
    assert resolv_conf(spec("back", "front"), OVERLAYS) == "nameserver 10.65.0.1\noptions ndots:0\n"
    joined = (NetworkAttachment(network="back"), NetworkAttachment(network="front", priority=5))
    assert "10.64.0.1" in resolv_conf(ContainerSpec(image="i", networks=joined), OVERLAYS)


def test_what_the_user_says_of_it_stands_in_it() -> None:
    wanted = spec("front", dns_search=("corp.example", "."), dns_options=("ndots:2", "timeout:1"))
    assert resolv_conf(wanted, OVERLAYS) == (
        "nameserver 10.64.0.1\nsearch corp.example\noptions ndots:2 timeout:1\n"
    )


_OWN = Mount(kind=MountKind.BIND, source="/my/resolv.conf", target="/etc/resolv.conf")
_CONFIG = FileMount(kind=FileKind.CONFIG, source="r", target="/etc/resolv.conf", digest="d")


@pytest.mark.parametrize(
    "other",
    [
        spec("local"),
        spec(network_mode="host"),
        spec("front", network_mode="none"),
        spec("front", mounts=(_OWN,)),
        spec("front", files=(_CONFIG,)),
    ],
)
def test_other_networks_and_files_of_the_user_s_own_are_left_alone(other: ContainerSpec) -> None:
    assert resolv_conf(other, OVERLAYS) == ""


def test_a_task_asks_as_what_it_is() -> None:
    asked = caller(spec("back", "front", "local", dns=("192.0.2.53",)), "shop", OVERLAYS)
    assert asked == Caller(("back", "front"), "shop", ("192.0.2.53",))


def test_only_who_is_on_internal_networks_alone_is_closed_in() -> None:
    assert caller(spec("back"), "shop", OVERLAYS).closed
    assert not caller(spec("back", "front"), "shop", OVERLAYS).closed
    assert not caller(spec("back", "local"), "shop", OVERLAYS).closed
