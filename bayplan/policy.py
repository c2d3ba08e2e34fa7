"""What a container may be given beyond the ordinary, each under a word that a controller allows or not.

Whoever holds one of these can leave the container and act on its node. Pure: finds them in a spec; who
allows what is not known here.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple

from bayplan.model import ContainerSpec
from bayplan.nearest import did_you_mean


class Privilege(StrEnum):
    """The words of `bayplan-controller init --allow`."""

    PRIVILEGED = "privileged"
    DEVICES = "devices"
    CAPABILITIES = "capabilities"
    SECURITY_OPTIONS = "security-options"
    HOST_NETWORK = "host-network"
    HOST_NAMESPACES = "host-namespaces"


def parse(text: str) -> tuple[Privilege, ...]:
    """The privileges of `privileged,host-network`. Raises ValueError for another word."""
    words = [word.strip().lower().replace("_", "-") for word in text.split(",") if word.strip()]
    known = [privilege.value for privilege in Privilege]
    for word in words:
        if word not in known:
            hint = did_you_mean(word, known, f"there are {', '.join(known)}")
            raise ValueError(f"{word[:40]!r} is no privilege; {hint}")
    return tuple(sorted({Privilege(word) for word in words}))


class Found(NamedTuple):
    """A privilege that a container asks for: by which key of its service, and what is written there."""

    privilege: Privilege
    field: str
    text: str


#: What Docker gives to every container (https://docs.docker.com/engine/containers/run/, "Runtime privilege
#: and Linux capabilities").
DEFAULT_CAPABILITIES = frozenset(
    {
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
        "NET_RAW",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
    }
)

#: Values that keep a container within its own walls; every other one is a privilege.
_OWN_IPC = frozenset({"", "none", "private", "shareable"})
_OWN_CGROUP = frozenset({"", "private"})
#: Security options that do not loosen: these, and SELinux labels other than the two kinds below.
_TIGHT_OPTIONS = frozenset(
    {"no-new-privileges", "no-new-privileges=true", "apparmor=docker-default", "seccomp=builtin"}
)
_LOOSE_LABELS = ("label=disable", "label=type=")
_LABEL = "label="


def privileges(container: ContainerSpec) -> Iterator[Found]:
    """Every privilege that a container asks for, in the order of the words."""
    if container.privileged:
        yield Found(Privilege.PRIVILEGED, "privileged", "privileged: true")
    for field, hooks in (("post_start", container.post_start), ("pre_stop", container.pre_stop)):
        if any(hook.privileged for hook in hooks):
            yield Found(Privilege.PRIVILEGED, field, f"{field} with privileged: true")
    for device in container.devices:
        yield Found(Privilege.DEVICES, "devices", f"device {device.source}")
    for rule in container.device_cgroup_rules:
        yield Found(Privilege.DEVICES, "device_cgroup_rules", f"device rule {rule!r}")
    for name in container.cap_add:
        if _capability(name) not in DEFAULT_CAPABILITIES:
            yield Found(Privilege.CAPABILITIES, "cap_add", f"capability {name}")
    for option in container.security_options:
        if _loosens(option):
            yield Found(Privilege.SECURITY_OPTIONS, "security_opt", f"security option {option}")
    if container.network_mode == "host":
        yield Found(Privilege.HOST_NETWORK, "network_mode", "network_mode: host")
    yield from _namespaces(container)


def _namespaces(container: ContainerSpec) -> Iterator[Found]:
    shared = (
        ("pid", container.pid_mode, not container.pid_mode),
        ("ipc", container.ipc_mode, container.ipc_mode in _OWN_IPC),
        ("uts", container.uts_mode, not container.uts_mode),
        ("userns_mode", container.userns_mode, not container.userns_mode),
        ("cgroup", container.cgroup_mode, container.cgroup_mode in _OWN_CGROUP),
        ("cgroup_parent", container.cgroup_parent, not container.cgroup_parent),
    )
    for field, value, own in shared:
        if not own:
            yield Found(Privilege.HOST_NAMESPACES, field, f"{field}: {value}")


def _capability(name: str) -> str:
    return name.upper().removeprefix("CAP_")


def _loosens(option: str) -> bool:
    """Docker takes `key=value` and the older `key:value`."""
    key, separator, value = option.replace(":", "=", 1).partition("=")
    normal = f"{key.strip().lower()}{separator}{value.strip().lower().replace(':', '=', 1)}"
    if normal.startswith(_LABEL):
        return normal.startswith(_LOOSE_LABELS)
    return normal not in _TIGHT_OPTIONS
