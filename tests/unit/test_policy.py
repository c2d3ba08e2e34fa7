"""Which containers ask for more than the ordinary, by which word."""

from __future__ import annotations

from typing import Any

import pytest

from bayplan.model import ContainerSpec, Device, DeviceRequest, Hook
from bayplan.policy import Privilege, parse, privileges


def found(**fields: Any) -> list[tuple[str, str]]:
    return [(each.privilege.value, each.field) for each in privileges(ContainerSpec(image="app:1", **fields))]


@pytest.mark.parametrize(
    ("fields", "word", "field"),
    [
        ({"privileged": True}, "privileged", "privileged"),
        ({"post_start": (Hook(command=("x",), privileged=True),)}, "privileged", "post_start"),
        ({"devices": (Device(source="/dev/sda", target="/dev/sda"),)}, "devices", "devices"),
        ({"device_cgroup_rules": ("c 1:3 mr",)}, "devices", "device_cgroup_rules"),
        ({"cap_add": ("SYS_ADMIN",)}, "capabilities", "cap_add"),
        ({"cap_add": ("cap_net_admin",)}, "capabilities", "cap_add"),
        ({"cap_add": ("ALL",)}, "capabilities", "cap_add"),
        ({"security_options": ("seccomp=unconfined",)}, "security-options", "security_opt"),
        ({"security_options": ("seccomp:unconfined",)}, "security-options", "security_opt"),
        ({"security_options": ("apparmor=unconfined",)}, "security-options", "security_opt"),
        ({"security_options": ("systempaths=unconfined",)}, "security-options", "security_opt"),
        ({"security_options": ("label=disable",)}, "security-options", "security_opt"),
        ({"security_options": ("label:type:spc_t",)}, "security-options", "security_opt"),
        ({"security_options": ('seccomp={"defaultAction":"ALLOW"}',)}, "security-options", "security_opt"),
        ({"network_mode": "host"}, "host-network", "network_mode"),
        ({"pid_mode": "host"}, "host-namespaces", "pid"),
        ({"ipc_mode": "host"}, "host-namespaces", "ipc"),
        ({"ipc_mode": "container:x"}, "host-namespaces", "ipc"),
        ({"uts_mode": "host"}, "host-namespaces", "uts"),
        ({"userns_mode": "host"}, "host-namespaces", "userns_mode"),
        ({"cgroup_mode": "host"}, "host-namespaces", "cgroup"),
        ({"cgroup_parent": "/"}, "host-namespaces", "cgroup_parent"),
    ],
)  # fmt: skip
def test_what_leads_out_of_a_container_is_a_privilege(fields: dict[str, Any], word: str, field: str) -> None:
    assert found(**fields) == [(word, field)]


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"cap_add": ("NET_BIND_SERVICE", "cap_chown"), "cap_drop": ("ALL",)},
        {"security_options": ("no-new-privileges:true", "no-new-privileges", "label=level:s0:c1")},
        {"network_mode": "none", "ipc_mode": "shareable", "cgroup_mode": "private"},
        {"device_requests": (DeviceRequest(capabilities=("gpu",), count=1),)},
        {"sysctls": {"net.core.somaxconn": "1024"}},
    ],
)
def test_the_ordinary_is_none(fields: dict[str, Any]) -> None:
    assert found(**fields) == []


def test_the_words_are_read_with_either_dash() -> None:
    assert parse(" host_network,DEVICES, ") == (Privilege.DEVICES, Privilege.HOST_NETWORK)
    assert parse("") == ()


def test_a_misspelt_word_is_told_the_nearest() -> None:
    with pytest.raises(ValueError, match="did you mean privileged"):
        parse("priviledged")
