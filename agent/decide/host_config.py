"""What a container may use and how far it is kept apart, as fields of the engine's HostConfig.

Fields that the user did not set are left out: the engine's own defaults count, but for the number of
processes, which it does not bound.
"""

from __future__ import annotations

from typing import Any

from bayplan.model import ContainerSpec, Device, DeviceRate, DeviceRequest

#: Most processes and threads of a container that sets no limit. The default for pods of OpenShift since
#: 4.11 (podPidsLimit): enough for big JVMs, and a fork bomb does not take the node with it.
DEFAULT_PIDS_LIMIT = 4_096

_NANO_CPUS_PER_MILLI = 1_000_000


def amounts(spec: ContainerSpec) -> dict[str, Any]:
    """CPU, memory, processes, block I/O."""
    cpu, memory, block_io = spec.cpu, spec.memory, spec.block_io
    made = {
        "PidsLimit": spec.pids_limit or DEFAULT_PIDS_LIMIT,
        "NanoCpus": spec.limits.cpu_millis * _NANO_CPUS_PER_MILLI,
        "CpuShares": cpu.shares,
        "CpuQuota": cpu.quota_us,
        "CpuPeriod": cpu.period_us,
        "CpuRealtimeRuntime": cpu.realtime_runtime_us,
        "CpuRealtimePeriod": cpu.realtime_period_us,
        "CpusetCpus": cpu.set,
        "Memory": spec.limits.memory_bytes,
        "MemorySwap": memory.swap_bytes,
        "OomKillDisable": memory.oom_kill_disabled,
        "OomScoreAdj": memory.oom_score_adjustment,
        "ShmSize": memory.shm_bytes,
        "BlkioWeight": block_io.weight,
        "BlkioWeightDevice": _rates(block_io.weight_device, "Weight"),
        "BlkioDeviceReadBps": _rates(block_io.read_bytes),
        "BlkioDeviceReadIOps": _rates(block_io.read_operations),
        "BlkioDeviceWriteBps": _rates(block_io.write_bytes),
        "BlkioDeviceWriteIOps": _rates(block_io.write_operations),
        "Ulimits": [{"Name": each.name, "Soft": each.soft, "Hard": each.hard} for each in spec.ulimits],
        "StorageOpt": spec.storage_options,
    }
    # Here 0 is a wish of its own: do not swap.
    swappiness = {} if memory.swappiness is None else {"MemorySwappiness": memory.swappiness}
    return given(made) | swappiness


def isolation(spec: ContainerSpec) -> dict[str, Any]:
    """Privileges, namespaces, devices, cgroup."""
    return given(
        {
            "CapAdd": list(spec.cap_add),
            "CapDrop": list(spec.cap_drop),
            "SecurityOpt": [_security_option(option) for option in spec.security_options],
            "Privileged": spec.privileged,
            "GroupAdd": list(spec.group_add),
            "Sysctls": spec.sysctls,
            "Devices": [_device(device) for device in spec.devices],
            "DeviceCgroupRules": list(spec.device_cgroup_rules),
            "DeviceRequests": [_device_request(request) for request in spec.device_requests],
            "IpcMode": spec.ipc_mode,
            "PidMode": spec.pid_mode,
            "UTSMode": spec.uts_mode,
            "UsernsMode": spec.userns_mode,
            "CgroupnsMode": spec.cgroup_mode,
            "CgroupParent": spec.cgroup_parent,
            "Runtime": spec.runtime,
            "Isolation": spec.isolation,
            "Annotations": spec.annotations,
        }
    )


def names(spec: ContainerSpec) -> dict[str, Any]:
    """Where the container looks names up."""
    return given(
        {
            "Dns": list(spec.dns),
            "DnsSearch": list(spec.dns_search),
            "DnsOptions": list(spec.dns_options),
            "ExtraHosts": list(spec.extra_hosts),
        }
    )


def given(fields: dict[str, Any]) -> dict[str, Any]:
    """Without those that say nothing."""
    return {key: value for key, value in fields.items() if value}


def _rates(rates: tuple[DeviceRate, ...], unit: str = "Rate") -> list[dict[str, Any]]:
    return [{"Path": each.path, unit: each.rate} for each in rates]


def _security_option(option: str) -> str:
    """`key:value` is an old form that engines are about to forget."""
    key, colon, value = option.partition(":")
    return f"{key}={value}" if colon and "=" not in key else option


def _device(device: Device) -> dict[str, str]:
    return {
        "PathOnHost": device.source,
        "PathInContainer": device.target,
        "CgroupPermissions": device.permissions,
    }


def _device_request(request: DeviceRequest) -> dict[str, Any]:
    return {
        "Driver": request.driver,
        "Count": request.count,
        "DeviceIDs": list(request.device_ids),
        "Capabilities": [list(request.capabilities)],
        "Options": request.options,
    }
