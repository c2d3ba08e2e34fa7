"""The engine's JSON as our values. Pure."""

from __future__ import annotations

import itertools
import os
import platform
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from msgspec.structs import replace

from agent.events import Container, Phase
from agent.goods import Goods
from agent.labels import LABEL_TASK
from agent.runtime.kernel import EngineBridge, KernelAbility
from bayplan.model import BoundPort, Health, Inventory, Protocol, Resources

#: The default of the engine for a container that was made without one.
_STOP_TIMEOUT_S = 10
#: Labels of an engine that are told.
ENGINE_LABELS_MAX = 100
#: Of so many failed health checks the outputs are told, each cut to this many characters.
PROBES_MAX = 3
PROBE_CHARS_MAX = 1_300
_ANY_ADDRESS = ("0.0.0.0", "::")
_UNTRIED = KernelAbility()
_PHASES = {"created": Phase.CREATED, "running": Phase.RUNNING, "paused": Phase.RUNNING}


def container_view(shown: dict[str, Any]) -> Container:
    """A container from `GET /containers/{id}/json`; it must carry our task label."""
    state, settings = shown["State"], shown["NetworkSettings"]
    phase = _PHASES.get(state["Status"], Phase.EXITED)
    exited = phase is Phase.EXITED
    health = state.get("Health") or {}
    stop_timeout_s = shown["Config"].get("StopTimeout")
    return Container(
        task_id=shown["Config"]["Labels"][LABEL_TASK],
        container_id=shown["Id"],
        phase=phase,
        health=_health(health),
        probe_output=_probe_output(health),
        exit_code=state["ExitCode"] if exited else None,
        oom_killed=state["OOMKilled"] if exited else False,
        address=_address(settings, shown["HostConfig"].get("NetworkMode", "")),
        ports=bound_ports(settings.get("Ports") or {}),
        networks=tuple(sorted(settings.get("Networks") or ())),
        addresses=_addresses(settings),
        changed_ms=time_ms(state["FinishedAt"] if exited else state["StartedAt"]),
        stop_grace_ms=(_STOP_TIMEOUT_S if stop_timeout_s is None else stop_timeout_s) * 1000,
    )


def bound_ports(ports: dict[str, list[dict[str, str]] | None]) -> tuple[BoundPort, ...]:
    """Ports as bound; one that is bound for IPv4 and IPv6 alike is one port of all addresses.

    Where the engine chooses it may choose another for IPv6: that one is told as bound to `::`.
    """
    bound: set[tuple[int, int, str, str]] = set()
    for key, bindings in ports.items():
        target, _, protocol = key.partition("/")
        on_ipv4 = {binding["HostPort"] for binding in bindings or () if binding["HostIp"] == "0.0.0.0"}
        for binding in bindings or ():
            apart = binding["HostIp"] == "::" and on_ipv4 and binding["HostPort"] not in on_ipv4
            host_ip = binding["HostIp"] if apart or binding["HostIp"] not in _ANY_ADDRESS else ""
            bound.add((int(target), int(binding["HostPort"]), protocol, host_ip))
    return tuple(
        BoundPort(target=target, published=published, protocol=Protocol(protocol), host_ip=host_ip)
        for target, published, protocol, host_ip in sorted(bound)
    )


def inventory_view(
    info: Mapping[str, Any],
    agent_version: str,
    goods: Goods,
    found: Resources,
    kernel: KernelAbility = _UNTRIED,
    tunnel_key: str = "",
) -> Inventory:
    """What the machine is and has, from `GET /info` and what is found beside it: goods, disk, processes, and
    what its kernel can do for networks that span nodes."""
    labels = (label.partition("=") for label in info.get("Labels") or ())
    return Inventory(
        hostname=info.get("Name") or platform.node(),
        capacity=replace(found, cpu_millis=info["NCPU"] * 1000, memory_bytes=info["MemTotal"]),
        generic=goods.kinds,
        named=goods.named,
        engine_labels={key: value for key, _, value in itertools.islice(labels, ENGINE_LABELS_MAX)},
        engine_version=info.get("ServerVersion", ""),
        agent_version=agent_version,
        os=info.get("OSType", ""),
        arch=info.get("Architecture") or os.uname().machine,
        overlay_fault=kernel.fault,
        tunnel_key="" if kernel.fault or kernel.tunnel_fault else tunnel_key,
        tunnel_fault=kernel.tunnel_fault,
        routes=kernel.routes,
    )


def engine_bridge(shown: Mapping[str, Any]) -> EngineBridge:
    """From `GET /networks/bridge`."""
    pools = (shown.get("IPAM") or {}).get("Config") or [{}]
    name = (shown.get("Options") or {}).get("com.docker.network.bridge.name", "")
    return EngineBridge(name, pools[0].get("Gateway", ""))


def time_ms(text: str) -> int:
    """Unix ms of the engine's RFC 3339 time with up to nine decimals; 0 for its zero time."""
    if text.startswith("0001-"):
        return 0
    return time_ns(text) // 1_000_000


def time_ns(text: str) -> int:
    """Unix ns of the engine's RFC 3339 time. Raises ValueError."""
    head, _, tail = text.partition(".")
    if not tail:
        return int(datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()) * 1_000_000_000
    digits = tail[: len(tail) - len(tail.lstrip("0123456789"))]
    zone = tail[len(digits) :].replace("Z", "+00:00")
    seconds = int(datetime.fromisoformat(head + zone).timestamp())
    return seconds * 1_000_000_000 + int(digits[:9].ljust(9, "0"))


def _health(health: dict[str, Any]) -> Health:
    return Health(health.get("Status") or Health.NONE)


def _probe_output(health: dict[str, Any]) -> str:
    """The last outputs of health checks that failed, newest first, each followed by how it ended.

    Equal ones in a row are told once. A check that did not end in time has the exit code -1, and words
    of the engine's that say so.
    """
    failed = [probe for probe in health.get("Log") or () if probe["ExitCode"] != 0]
    told = [(probe["Output"].strip()[:PROBE_CHARS_MAX], probe["ExitCode"]) for probe in failed[-PROBES_MAX:]]
    lines: list[str] = []
    for (output, code), equals in itertools.groupby(reversed(told)):
        times = len(list(equals))
        notes = [f"exit code {code}"] if code > 0 else []
        notes += [f"{times} times in a row"] if times > 1 else []
        lines += [output] if output else []
        lines += [f"({', '.join(notes)})"] if notes else []
    return "\n".join(lines)


def _addresses(settings: dict[str, Any]) -> dict[str, str]:
    """By network, where it has one or will have a certain one once it runs."""
    found = {}
    for name, endpoint in (settings.get("Networks") or {}).items():
        asked = (endpoint.get("IPAMConfig") or {}).get("IPv4Address")
        if address := endpoint.get("IPAddress") or asked:
            found[name] = address
    return found


def _address(settings: dict[str, Any], network_mode: str) -> str:
    """The address on the network that the container was made with; the first one that has any."""
    networks = settings.get("Networks") or {}
    own = networks.get("bridge" if network_mode == "default" else network_mode)
    candidates = [own, *(networks[name] for name in sorted(networks))]
    return next((found["IPAddress"] for found in candidates if found and found.get("IPAddress")), "")
