"""What is wrong with a container's spec, whoever wrote it. Pure.

Each fault is a pair: the key of a compose service under which the user wrote the field, and the words.
What only the engine can know (whether an image or a driver is there) is not asked here.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

import msgspec

from bayplan.limits import PORT_MAX, PROBE_COUNT_MAX, PROBE_MS_MAX, PROBE_MS_MIN
from bayplan.model import ContainerSpec, MountKind, Probe, ServiceSpec
from bayplan.placeholders import PLACEHOLDER
from bayplan.units import INT64_MAX
from controller.decide import files

#: Items of one list or map of a spec.
ITEMS_MAX = 1_000
#: Longest name of an image.
IMAGE_CHARS_MAX = 512
#: Largest id of a user or group (32 bits without the last: -1).
OWNER_MAX = 2**32 - 2
MODE_MAX = 0o7777

#: Numbers that may be below 0, by struct and field, with the least.
_LEAST = {
    ("MemoryTuning", "swap_bytes"): -1,
    ("MemoryTuning", "oom_score_adjustment"): -1_000,
    ("DeviceRequest", "count"): -1,
    ("Ulimit", "soft"): -1,
    ("Ulimit", "hard"): -1,
    ("NetworkAttachment", "priority"): -(2**31),
    ("NetworkAttachment", "gateway_priority"): -(2**31),
}
_MOST = {
    ("MemoryTuning", "oom_score_adjustment"): 1_000,
    ("MemoryTuning", "swappiness"): 100,
    ("BlockIo", "weight"): 1_000,
    ("FileMount", "uid"): OWNER_MAX,
    ("FileMount", "gid"): OWNER_MAX,
    ("FileMount", "mode"): MODE_MAX,
    ("Mount", "tmpfs_mode"): MODE_MAX,
    ("PortSpec", "target"): PORT_MAX,
    ("Probe", "port"): PORT_MAX,
    ("Probe", "rise"): PROBE_COUNT_MAX,
    ("Probe", "fall"): PROBE_COUNT_MAX,
    ("Probe", "interval_ms"): PROBE_MS_MAX,
    ("Probe", "timeout_ms"): PROBE_MS_MAX,
    ("PortSpec", "published"): PORT_MAX,
}
#: The keys of a compose service, where they differ from the fields' names.
_KEYS = {
    "mounts": "volumes",
    "health_check": "healthcheck",
    "stop_grace_ms": "stop_grace_period",
    "log": "logging",
    "limits": "resources",
    "reservations": "resources",
    "generic": "resources",
    "security_options": "security_opt",
    "dns_options": "dns_opt",
    "pid_mode": "pid",
    "ipc_mode": "ipc",
    "uts_mode": "uts",
    "cgroup_mode": "cgroup",
    "restart": "restart_policy",
    "update": "update_config",
    "rollback": "rollback_config",
    "drain_ms": "drain",
    "ttl_ms": "ttl",
    "files": "secrets",
    "affinities": "affinity",
}
_VOLUME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,254}")
_SIGNAL = re.compile(r"[A-Za-z0-9+-]{1,20}")
_NETWORK_MODES = ("", "host", "none")

Faults = Iterator[tuple[str, str]]


def unfit_values(spec: ServiceSpec) -> Faults:
    """Values that no field of their kind may have: numbers out of range, NUL in a text, endless lists."""
    for owner in (spec, spec.container):
        kind = type(owner).__name__
        for field in owner.__struct_fields__:
            if field == "container" or not (value := getattr(owner, field)):
                continue  # what is empty or 0 is no fault
            for text in _value(value, kind, field):
                yield _KEYS.get(field, field), text


def _value(value: Any, owner: str, field: str) -> Iterator[str]:
    """The faults at and below one field that is not empty."""
    if isinstance(value, msgspec.Struct):
        kind = type(value).__name__
        for name in value.__struct_fields__:
            if inner := getattr(value, name):
                yield from _value(inner, kind, name)
    elif isinstance(value, dict | tuple):
        if len(value) > ITEMS_MAX:
            yield f"{field} has {len(value)} items; at most {ITEMS_MAX}"
            return
        items = (*value, *value.values()) if isinstance(value, dict) else value
        for item in items:
            yield from _value(item, owner, field)
    elif isinstance(value, str):
        if "\0" in value:
            yield f"{field} has a NUL character in its text"
    elif isinstance(value, int) and not isinstance(value, bool):
        least = _LEAST.get((owner, field), 0)
        most = _MOST.get((owner, field), INT64_MAX)
        if not least <= value <= most:
            yield f"{field} {value} is out of range: {least} to {most}"


def unfit(container: ContainerSpec, declared: set[str]) -> Faults:
    """Faults of a container whose values are each in range; `declared` are the keys of the stack's files."""
    image = container.image
    if not image or len(image) > IMAGE_CHARS_MAX or any(letter.isspace() for letter in image):
        wrong = f"image {image[:80]!r} is no image's name" if image else "it has no image"
        yield "image", wrong
    if container.stop_signal and not _SIGNAL.fullmatch(container.stop_signal):
        yield "stop_signal", f"{container.stop_signal[:80]!r} is no signal"
    for entry in container.environment:
        if entry.startswith("=") or not entry:
            yield "environment", "a variable has no name"
    for field, hooks in (("post_start", container.post_start), ("pre_stop", container.pre_stop)):
        if not all(hook.command for hook in hooks):
            yield field, f"a command of {field} is empty"
    check = container.health_check
    if check is not None and not check.test:
        yield "healthcheck", "the health check has no command"
    if container.probe is not None:
        yield from _probe(container.probe)
    yield from _ports(container)
    yield from _networks(container)
    yield from _targets(container, declared)
    yield from _devices(container)


def _probe(probe: Probe) -> Faults:
    """What a probe must say; what is too much is found by its numbers' limits."""
    if not probe.port:
        yield "probe", "the probe has no port"
    if min(probe.interval_ms, probe.timeout_ms) < PROBE_MS_MIN:
        yield "probe", f"the probe's interval and timeout are at least {PROBE_MS_MIN} ms"
    if not (probe.rise and probe.fall):
        yield "probe", "the probe's rise and fall are at least 1"
    if not probe.path.startswith("/"):
        yield "probe", f"the probe's path {probe.path[:80]!r} does not begin with /"
    if any(not text.isprintable() for text in (probe.path, probe.host, probe.service)):
        yield "probe", "the probe has unprintable characters"


def _ports(container: ContainerSpec) -> Faults:
    for port in (*container.ports, *container.expose):
        if not port.target:
            yield "ports", f"port {port.published}:{port.target} is out of range"
        if port.host_ip and not _is_address(port.host_ip):
            yield "ports", f"{port.host_ip[:80]!r} is no address of a node"
    taken = Counter((port.published, port.protocol, port.host_ip) for port in container.ports)
    for (number, protocol, _), count in taken.items():
        if number and count > 1:
            yield "ports", f"port {number}/{protocol.value} is published twice"


def _networks(container: ContainerSpec) -> Faults:
    if container.network_mode not in _NETWORK_MODES:
        yield "network_mode", f"network_mode {container.network_mode[:80]!r} is not host or none"
    elif container.network_mode and container.networks:
        yield "network_mode", f"network_mode {container.network_mode} and networks exclude each other"
    names = [each.network for each in container.networks]
    for name, count in Counter(names).items():
        if not name or count > 1:
            yield "networks", f"network {name[:80]!r} is there twice" if name else "a network has no name"


def _targets(container: ContainerSpec, declared: set[str]) -> Faults:
    for mount in container.mounts:
        if mount.kind is MountKind.BIND and not mount.source.startswith("/"):
            yield "volumes", f"the bind's source {mount.source[:80]!r} is no absolute path"
        name = PLACEHOLDER.sub("x", mount.source)  # filled in on the node
        if mount.kind is MountKind.VOLUME and name and not _VOLUME.fullmatch(name):
            yield "volumes", f"{mount.source[:80]!r} is no volume's name"
    for file in container.files:
        if files.key_of(file.kind, file.source) not in declared:
            yield f"{file.kind.value}s", f"the stack has no {file.kind.value} {file.source[:80]!r}"
    targets = [("volumes", mount.target) for mount in container.mounts]
    targets += [(f"{file.kind.value}s", file.target) for file in container.files]
    taken: set[str] = set()
    for field, target in targets:
        if not target.startswith("/") or target.strip("/") == "" or ".." in target.split("/"):
            yield field, f"the target {target[:80]!r} is no absolute path within the container"
        elif target.rstrip("/") in taken:
            yield field, f"two mounts have the target {target[:80]!r}"
        taken.add(target.rstrip("/"))


def _devices(container: ContainerSpec) -> Faults:
    for device in container.devices:
        if not device.source.startswith("/") or not device.target.startswith("/"):
            yield "devices", f"device {device.source[:80]!r}: write it as absolute paths"
    for limit in container.ulimits:
        if not limit.name:
            yield "ulimits", "a ulimit has no name"
    if 0 < container.block_io.weight < 10:
        yield "blkio_config", f"the weight {container.block_io.weight} is not between 10 and 1000"


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
