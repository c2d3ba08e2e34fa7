"""What a container may use and how far it is kept apart."""

from __future__ import annotations

from typing import Any

import pytest

from agent.decide.host_config import DEFAULT_PIDS_LIMIT
from bayplan.model import (
    BlockIo,
    CpuTuning,
    Device,
    DeviceRate,
    DeviceRequest,
    MemoryTuning,
    Ulimit,
)
from tests.unit.agent.decide.world import host


@pytest.mark.parametrize(("asked", "made"), [(0, DEFAULT_PIDS_LIMIT), (-1, -1), (7, 7)])
def test_processes_are_bounded_unless_the_user_says_otherwise(asked: int, made: int) -> None:
    assert host(pids_limit=asked)["PidsLimit"] == made


def test_no_swap_is_told_from_the_default() -> None:
    assert "MemorySwappiness" not in host()
    assert host(memory=MemoryTuning(swappiness=0))["MemorySwappiness"] == 0


RATE = (DeviceRate(path="/dev/sda", rate=9),)


@pytest.mark.parametrize(
    ("fields", "made"),
    [
        (
            {"cpu": CpuTuning(shares=1, quota_us=2, period_us=3, set="0-1")},
            {"CpuShares": 1, "CpuQuota": 2, "CpuPeriod": 3, "CpusetCpus": "0-1"},
        ),
        (
            {"cpu": CpuTuning(realtime_runtime_us=4, realtime_period_us=5)},
            {"CpuRealtimeRuntime": 4, "CpuRealtimePeriod": 5},
        ),
        (
            {"memory": MemoryTuning(swap_bytes=-1, shm_bytes=64, oom_score_adjustment=-5)},
            {"MemorySwap": -1, "ShmSize": 64, "OomScoreAdj": -5},
        ),
        ({"memory": MemoryTuning(oom_kill_disabled=True)}, {"OomKillDisable": True}),
        (
            {"block_io": BlockIo(weight=300, weight_device=RATE, read_bytes=RATE, write_operations=RATE)},
            {
                "BlkioWeight": 300,
                "BlkioWeightDevice": [{"Path": "/dev/sda", "Weight": 9}],
                "BlkioDeviceReadBps": [{"Path": "/dev/sda", "Rate": 9}],
                "BlkioDeviceWriteIOps": [{"Path": "/dev/sda", "Rate": 9}],
            },
        ),
        (
            {"block_io": BlockIo(read_operations=RATE, write_bytes=RATE)},
            {
                "BlkioDeviceReadIOps": [{"Path": "/dev/sda", "Rate": 9}],
                "BlkioDeviceWriteBps": [{"Path": "/dev/sda", "Rate": 9}],
            },
        ),
        (
            {"ulimits": (Ulimit(name="nofile", soft=1, hard=-1),)},
            {"Ulimits": [{"Name": "nofile", "Soft": 1, "Hard": -1}]},
        ),
        (
            {"devices": (Device(source="/dev/a", target="/dev/b", permissions="r"),)},
            {"Devices": [{"PathOnHost": "/dev/a", "PathInContainer": "/dev/b", "CgroupPermissions": "r"}]},
        ),
        (
            {"device_requests": (DeviceRequest(capabilities=("gpu",), count=-1, options={"k": "v"}),)},
            {
                "DeviceRequests": [
                    {
                        "Driver": "",
                        "Count": -1,
                        "DeviceIDs": [],
                        "Capabilities": [["gpu"]],
                        "Options": {"k": "v"},
                    }
                ]
            },
        ),
        (
            {"ipc_mode": "host", "pid_mode": "host", "uts_mode": "host", "userns_mode": "host"},
            {"IpcMode": "host", "PidMode": "host", "UTSMode": "host", "UsernsMode": "host"},
        ),
        (
            {"cgroup_mode": "private", "cgroup_parent": "/p", "runtime": "runc", "isolation": "default"},
            {"CgroupnsMode": "private", "CgroupParent": "/p", "Runtime": "runc", "Isolation": "default"},
        ),
        (
            {"privileged": True, "group_add": ("mail",), "device_cgroup_rules": ("c 1:3 r",)},
            {"Privileged": True, "GroupAdd": ["mail"], "DeviceCgroupRules": ["c 1:3 r"]},
        ),
        (
            {"sysctls": {"a": "1"}, "storage_options": {"size": "1g"}, "annotations": {"k": "v"}},
            {"Sysctls": {"a": "1"}, "StorageOpt": {"size": "1g"}, "Annotations": {"k": "v"}},
        ),
        (
            {"dns": ("1.1.1.1",), "dns_search": ("a.b",), "dns_options": ("ndots:1",)},
            {"Dns": ["1.1.1.1"], "DnsSearch": ["a.b"], "DnsOptions": ["ndots:1"]},
        ),
    ],
)
def test_what_was_asked_for_and_nothing_else_is_in_the_request(
    fields: dict[str, Any], made: dict[str, Any]
) -> None:
    plain, asked = host(), host(**fields)
    assert {key: value for key, value in asked.items() if key not in plain} == made


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("no-new-privileges", "no-new-privileges"),
        ("no-new-privileges:true", "no-new-privileges=true"),
        ("seccomp:unconfined", "seccomp=unconfined"),
        ("label=type:a:b", "label=type:a:b"),
    ],
)
def test_security_options_are_sent_in_the_form_that_every_engine_takes(written: str, sent: str) -> None:
    assert host(security_options=(written,))["SecurityOpt"] == [sent]
