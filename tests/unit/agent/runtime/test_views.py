"""The engine's JSON as values."""

from __future__ import annotations

from typing import Any

import pytest

from agent.decide.status import PROBE_OUTPUT_CHARS_MAX, unhealthy_message
from agent.events import Container
from agent.runtime.kernel import EngineBridge
from agent.runtime.views import bound_ports, container_view, engine_bridge


def shown(*probes: tuple[int, str]) -> Container:
    """A running container whose health checks ended so."""
    log: list[dict[str, Any]] = [{"ExitCode": code, "Output": output} for code, output in probes]
    state = {
        "Status": "running",
        "StartedAt": "2026-01-02T03:04:05.678Z",
        "FinishedAt": "0001-01-01T00:00:00Z",
        "Health": {"Status": "unhealthy", "Log": log},
    }
    config = {"Labels": {"bayplan.task": "t1"}}
    return container_view(
        {"Id": "c1", "State": state, "Config": config, "HostConfig": {}, "NetworkSettings": {}}
    )


@pytest.mark.parametrize(
    ("probes", "output", "message"),
    [
        ([], "", "unhealthy: its health check failed"),
        ([(0, "fine")], "", "unhealthy: its health check failed"),
        ([(1, "no\n")], "no\n(exit code 1)", "unhealthy: no"),
        ([(1, "a"), (0, "fine"), (2, "b")], "b\n(exit code 2)\na\n(exit code 1)", "unhealthy: b"),
        ([(1, "no")] * 5, "no\n(exit code 1, 3 times in a row)", "unhealthy: no"),
        ([(1, "")], "(exit code 1)", "unhealthy: (exit code 1)"),
        ([(-1, "exceeded timeout (1s)")], "exceeded timeout (1s)", "unhealthy: exceeded timeout (1s)"),
    ],
)
def test_the_last_failed_checks_are_told_newest_first(
    probes: list[tuple[int, str]], output: str, message: str
) -> None:
    container = shown(*probes)
    assert container.probe_output == output
    assert unhealthy_message(container) == message


def test_three_long_outputs_fit_into_what_is_told() -> None:
    container = shown(*((code, str(code) * 9_999) for code in (1, 2, 3)))
    assert len(container.probe_output) <= PROBE_OUTPUT_CHARS_MAX
    assert container.probe_output.endswith("(exit code 1)")


def bound(**ports: list[tuple[str, int]]) -> set[tuple[int, int, str]]:
    """(target, published, host_ip) of what the engine shows as bound."""
    shown_ports = {
        f"{target.removeprefix('p')}/tcp": [{"HostIp": ip, "HostPort": str(port)} for ip, port in bindings]
        for target, bindings in ports.items()
    }
    return {(each.target, each.published, each.host_ip) for each in bound_ports(shown_ports)}


def test_a_port_of_both_families_is_one_port() -> None:
    assert bound(p80=[("0.0.0.0", 8080), ("::", 8080)]) == {(80, 8080, "")}
    assert bound(p80=[("::", 8080)]) == {(80, 8080, "")}


def test_another_port_that_the_engine_chose_for_ipv6_is_told_apart() -> None:
    # It draws them one by one: after a race between two containers each may have the other's for IPv6.
    assert bound(p80=[("0.0.0.0", 32778), ("::", 32777)]) == {(80, 32778, ""), (80, 32777, "::")}


def test_a_port_of_one_address_keeps_it() -> None:
    assert bound(p80=[("127.0.0.1", 80), ("::1", 80)]) == {(80, 80, "127.0.0.1"), (80, 80, "::1")}


def test_a_containers_addresses_are_those_it_has_and_those_it_will_have() -> None:
    networks = {
        "runs": {"IPAddress": "10.1.0.2", "IPAMConfig": None},
        "fixed": {"IPAddress": "", "IPAMConfig": {"IPv4Address": "10.2.0.2"}},
        "free": {"IPAddress": "", "IPAMConfig": {}},
    }
    state = {"Status": "created", "StartedAt": "0001-01-01T00:00:00Z", "FinishedAt": "0001-01-01T00:00:00Z"}
    config = {"Labels": {"bayplan.task": "t1"}}
    seen = container_view(
        {
            "Id": "c1",
            "State": state,
            "Config": config,
            "HostConfig": {},
            "NetworkSettings": {"Networks": networks},
        }
    )
    assert seen.addresses == {"runs": "10.1.0.2", "fixed": "10.2.0.2"}


def test_the_engines_default_bridge_is_known_by_name_and_address() -> None:
    options = {"com.docker.network.bridge.name": "docker0"}
    shown = {"Options": options, "IPAM": {"Config": [{"Gateway": "172.17.0.1"}]}}
    assert engine_bridge(shown) == EngineBridge("docker0", "172.17.0.1")
    assert engine_bridge({"Options": {}, "IPAM": {"Config": None}}) == EngineBridge()
