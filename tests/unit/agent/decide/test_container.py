"""A container spec as the engine's create request."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from bayplan.model import (
    HealthCheck,
    LogConfig,
    PortMode,
    PortSpec,
    Protocol,
    Resources,
)
from tests.unit.agent.decide.world import config, host


def test_a_bare_spec_leaves_the_image_its_defaults() -> None:
    made = config()
    for left_out in (
        "Cmd",
        "Entrypoint",
        "User",
        "WorkingDir",
        "Healthcheck",
        "StopSignal",
        "NetworkingConfig",
    ):
        assert left_out not in made
    for left_out in ("NanoCpus", "Memory", "CapAdd", "NetworkMode"):
        assert left_out not in made["HostConfig"]
    assert made["HostConfig"]["RestartPolicy"] == {"Name": "no"}


def test_our_labels_win_over_the_users() -> None:
    labels = config(labels={"mine": "yes", "bayplan.node": "forged"})["Labels"]
    assert labels == {
        "mine": "yes",
        "bayplan.node": "n1",
        "bayplan.cluster": "c1",
        "bayplan.task": "t1",
        "bayplan.service": "shop_web",
        "bayplan.stack": "shop",
        "bayplan.slot": "2",
        "bayplan.version": "3",
    }


@pytest.mark.parametrize(("given", "made"), [(None, None), ((), [""]), (("sh", "-c"), ["sh", "-c"])])
def test_an_empty_entrypoint_is_told_from_none(given: tuple[str, ...] | None, made: list[str] | None) -> None:
    assert config(entrypoint=given).get("Entrypoint") == made


def test_an_empty_command_is_told_from_none() -> None:
    assert "Cmd" not in config(command=None)
    assert config(command=())["Cmd"] == []


def test_limits_are_in_the_engines_units() -> None:
    made = host(limits=Resources(cpu_millis=1_500, memory_bytes=1 << 30))
    assert (made["NanoCpus"], made["Memory"]) == (1_500_000_000, 1 << 30)


def test_ports_keep_protocol_address_and_freedom_of_choice() -> None:
    made = config(
        ports=(
            PortSpec(target=80, published=8080),
            PortSpec(target=80, published=8081, host_ip="127.0.0.1"),
            PortSpec(target=53, protocol=Protocol.UDP),
        ),
        expose=(PortSpec(target=9000),),
    )
    assert set(made["ExposedPorts"]) == {"80/tcp", "53/udp", "9000/tcp"}
    assert made["HostConfig"]["PortBindings"] == {
        "80/tcp": [
            {"HostIp": "", "HostPort": "8080"},
            {"HostIp": "127.0.0.1", "HostPort": "8081"},
        ],
        "53/udp": [{"HostIp": "", "HostPort": ""}],
    }


def test_the_engine_chooses_the_port_of_a_container_at_whose_port_every_node_answers() -> None:
    ports = [
        PortSpec(target=80, published=8080, mode=PortMode.INGRESS),
        PortSpec(target=81, published=8081, mode=PortMode.INGRESS, host_ip="10.0.0.5"),
        PortSpec(target=82, published=8082, mode=PortMode.INGRESS, host_ip="127.0.0.1"),
        PortSpec(target=83, mode=PortMode.INGRESS, host_ip="127.0.0.1"),
    ]
    bindings = config(ports=tuple(ports))["HostConfig"]["PortBindings"]
    assert {port: bound[0]["HostIp"] for port, bound in bindings.items()} == {
        "80/tcp": "",
        "81/tcp": "",
        "82/tcp": "127.0.0.1",
        "83/tcp": "127.0.0.1",
    }
    assert {bound[0]["HostPort"] for bound in bindings.values()} == {""}


def test_health_checks_are_in_nanoseconds_and_can_be_switched_off() -> None:
    check = HealthCheck(test=("CMD", "true"), interval_ms=5, timeout_ms=6, start_period_ms=7, retries=8)
    assert config(health_check=check)["Healthcheck"] == {
        "Test": ["CMD", "true"],
        "Interval": 5_000_000,
        "Timeout": 6_000_000,
        "StartPeriod": 7_000_000,
        "Retries": 8,
    }
    assert config(health_check=check, health_check_disabled=True)["Healthcheck"] == {"Test": ["NONE"]}
    often = config(health_check=replace(check, start_interval_ms=2))["Healthcheck"]
    assert often["StartInterval"] == 2_000_000


@pytest.mark.parametrize(
    ("log", "made"),
    [
        (LogConfig(), {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}}),
        (
            LogConfig(options={"max-size": "1m"}),
            {"Type": "json-file", "Config": {"max-size": "1m", "max-file": "3"}},
        ),
        (LogConfig(driver="none"), {"Type": "none", "Config": {}}),
    ],
)
def test_output_is_rotated_unless_the_user_says_otherwise(log: LogConfig, made: dict[str, Any]) -> None:
    assert host(log=log)["LogConfig"] == made


def test_a_broken_second_of_grace_is_rounded_up() -> None:
    assert config(stop_grace_ms=1_500)["StopTimeout"] == 2
    assert config(stop_grace_ms=0)["StopTimeout"] == 0
