"""A container's spec as the keys of a service in a compose file. Its place in the cluster is not known here.

Every entry is there or None: what has its default is not written.
"""

from __future__ import annotations

from collections.abc import Mapping

from bayplan.model import (
    BlockIo,
    ContainerSpec,
    Device,
    DeviceRate,
    FileKind,
    FileMount,
    HealthCheck,
    Hook,
    LogConfig,
    Mount,
    MountKind,
    NetworkAttachment,
    PortMode,
    PortSpec,
    Protocol,
    PullPolicy,
    Ulimit,
    VolumeSpec,
)
from bayplan.render.compose_names import Names
from bayplan.units import exact_bytes, format_duration_ms

Entries = dict[str, object]

_USUAL = ContainerSpec(image="")
_FILE_MODE = FileMount(kind=FileKind.CONFIG, source="", target="").mode
_USUAL_TARGET = {FileKind.CONFIG: "/", FileKind.SECRET: "/run/secrets/"}


def written(entries: Mapping[str, object]) -> Entries | None:
    """The entries that are there; None when none is."""
    return {key: value for key, value in entries.items() if value is not None} or None


def duration_unless(amount_ms: int, usual_ms: int) -> str | None:
    """The duration as it is written; None when it is the usual one."""
    return None if amount_ms == usual_ms else format_duration_ms(amount_ms)


def container(spec: ContainerSpec, service: str, names: Names) -> Entries:
    """The service's keys that tell of its container, in the order in which people write them."""
    return {
        "image": spec.image,
        "platform": spec.platform or None,
        "pull_policy": None if spec.pull_policy is PullPolicy.MISSING else str(spec.pull_policy),
        **_process(spec),
        **_surroundings(spec, service, names),
        "healthcheck": _health_check(spec),
        "post_start": [_hook(hook) for hook in spec.post_start] or None,
        "pre_stop": [_hook(hook) for hook in spec.pre_stop] or None,
        "stop_signal": spec.stop_signal or None,
        "stop_grace_period": duration_unless(spec.stop_grace_ms, _USUAL.stop_grace_ms),
        "logging": _logging(spec.log),
        **_rights(spec),
        **_tuning(spec),
    }


def _process(spec: ContainerSpec) -> Entries:
    return {
        "entrypoint": None if spec.entrypoint is None else list(spec.entrypoint),
        "command": None if spec.command is None else list(spec.command),
        "hostname": spec.hostname or None,
        "domainname": spec.domainname or None,
        "user": spec.user or None,
        "group_add": list(spec.group_add) or None,
        "working_dir": spec.working_dir or None,
        "environment": environment(spec.environment),
        "labels": spec.labels or None,
        "annotations": spec.annotations or None,
        "init": spec.init or None,
        "tty": spec.tty or None,
        "stdin_open": spec.stdin_open or None,
        "read_only": spec.read_only or None,
    }


def _surroundings(spec: ContainerSpec, service: str, names: Names) -> Entries:
    files = {
        kind: [_file(each, names) for each in spec.files if each.kind is kind] or None for kind in FileKind
    }
    return {
        "ports": [_port(port) for port in spec.ports] or None,
        "expose": [_exposed(port) for port in spec.expose] or None,
        "volumes": [_mount(each, names) for each in spec.mounts if not each.tuned] or None,
        "tmpfs": [_tmpfs(each) for each in spec.mounts if each.tuned] or None,
        "configs": files[FileKind.CONFIG],
        "secrets": files[FileKind.SECRET],
        "network_mode": spec.network_mode or None,
        "networks": _networks(spec.networks, service, names),
        "mac_address": spec.mac_address or None,
        "dns": list(spec.dns) or None,
        "dns_search": list(spec.dns_search) or None,
        "dns_opt": list(spec.dns_options) or None,
        "extra_hosts": [_host(line) for line in spec.extra_hosts] or None,
    }


def _rights(spec: ContainerSpec) -> Entries:
    return {
        "privileged": spec.privileged or None,
        "cap_add": list(spec.cap_add) or None,
        "cap_drop": list(spec.cap_drop) or None,
        "security_opt": list(spec.security_options) or None,
        "devices": [_device(device) for device in spec.devices] or None,
        "device_cgroup_rules": list(spec.device_cgroup_rules) or None,
        "ipc": spec.ipc_mode or None,
        "pid": spec.pid_mode or None,
        "uts": spec.uts_mode or None,
        "userns_mode": spec.userns_mode or None,
        "cgroup": spec.cgroup_mode or None,
        "cgroup_parent": spec.cgroup_parent or None,
        "sysctls": spec.sysctls or None,
    }


def _tuning(spec: ContainerSpec) -> Entries:
    cpu, memory = spec.cpu, spec.memory
    return {
        "ulimits": {ulimit.name: _ulimit(ulimit) for ulimit in spec.ulimits} or None,
        "pids_limit": spec.pids_limit or None,
        "shm_size": exact_bytes(memory.shm_bytes) if memory.shm_bytes else None,
        "memswap_limit": _swap(memory.swap_bytes),
        "mem_swappiness": memory.swappiness,
        "oom_kill_disable": memory.oom_kill_disabled or None,
        "oom_score_adj": memory.oom_score_adjustment or None,
        "cpu_shares": cpu.shares or None,
        "cpu_quota": cpu.quota_us or None,
        "cpu_period": cpu.period_us or None,
        "cpu_rt_runtime": cpu.realtime_runtime_us or None,
        "cpu_rt_period": cpu.realtime_period_us or None,
        "cpuset": cpu.set or None,
        "blkio_config": _block_io(spec.block_io),
        "storage_opt": spec.storage_options or None,
        "runtime": spec.runtime or None,
        "isolation": spec.isolation or None,
    }


def _device(device: Device) -> str | Entries:
    """`/dev/a`, `/dev/a:/dev/b` or `/dev/a:/dev/b:r`, or the long form for a path with a colon."""
    if ":" in device.source + device.target:
        return {"source": device.source, "target": device.target, "permissions": device.permissions}
    usual = Device(source=device.source, target=device.source)
    parts = [device.source]
    if device != usual:
        parts.append(device.target)
    if device.permissions != usual.permissions:
        parts.append(device.permissions)
    return ":".join(parts)


def environment(variables: tuple[str, ...]) -> Entries | None:
    """NAME=value by name; nothing for a name without a value."""
    split = (variable.partition("=") for variable in variables)
    return {name: value if equals else None for name, equals, value in split} or None


def _port(port: PortSpec) -> str | Entries:
    """`host:published:target/protocol`; the long form where a port is of the host or has a name."""
    if port.mode is PortMode.HOST or port.name:
        return _long_port(port)
    host = f"[{port.host_ip}]:" if ":" in port.host_ip else f"{port.host_ip}:" if port.host_ip else ""
    published = f"{port.published or ''}:" if port.published or host else ""
    return f"{host}{published}{_exposed(port)}"


def _long_port(port: PortSpec) -> Entries:
    protocol = None if port.protocol is Protocol.TCP else str(port.protocol)
    entries: Entries = {
        "name": port.name or None,
        "target": port.target,
        "published": str(port.published) if port.published else None,
        "host_ip": port.host_ip or None,
        "protocol": protocol,
        "mode": str(port.mode),
    }
    return written(entries) or {}


def _exposed(port: PortSpec) -> str:
    return f"{port.target}" if port.protocol is Protocol.TCP else f"{port.target}/{port.protocol}"


def _mount(mount: Mount, names: Names) -> str | Entries:
    """`source:target[:ro]` where that says all, else the long form."""
    named = mount.kind is MountKind.VOLUME and mount.source
    source = names.of_volume(mount) if named else mount.source
    options = written(_mount_options(mount, names))
    parts = [part for part in (source, mount.target, "ro" if mount.read_only else "") if part]
    plain = options is None and mount.kind is not MountKind.TMPFS and (source or not mount.read_only)
    if plain and not any(":" in part for part in parts):
        return ":".join(parts)
    entries: Entries = {
        "type": str(mount.kind),
        "source": source or None,
        "target": mount.target,
        "read_only": mount.read_only or None,
        str(mount.kind): options,
    }
    return written(entries) or {}


def _mount_options(mount: Mount, names: Names) -> Entries:
    """What the long form has under the name of its type."""
    match mount.kind:
        case MountKind.BIND:
            return {
                "propagation": mount.propagation or None,
                "create_host_path": None if mount.create_source else False,
            }
        case MountKind.VOLUME:
            return {
                "nocopy": mount.no_copy or None,
                "subpath": mount.subpath or None,
                "labels": _mount_labels(mount, names),
            }
        case MountKind.TMPFS:
            return {
                "size": exact_bytes(mount.tmpfs_size_bytes) if mount.tmpfs_size_bytes else None,
                "mode": f"0{mount.tmpfs_mode:o}" if mount.tmpfs_mode else None,
            }


def _tmpfs(mount: Mount) -> str:
    size = [f"size={exact_bytes(mount.tmpfs_size_bytes)}"] if mount.tmpfs_size_bytes else []
    mode = [f"mode=0{mount.tmpfs_mode:o}"] if mount.tmpfs_mode else []
    read_only = ["ro"] if mount.read_only else []
    return f"{mount.target}:{','.join((*size, *mode, *read_only, *mount.tmpfs_options))}"


def _mount_labels(mount: Mount, names: Names) -> dict[str, str] | None:
    """The labels that the volume's own entry does not give it already."""
    own = names.volume_specs.get(mount.source) or VolumeSpec()
    labels = mount.volume.labels if mount.volume is not None else {}
    return {key: value for key, value in labels.items() if own.labels.get(key) != value} or None


def _file(file: FileMount, names: Names) -> str | Entries:
    key = names.of_file(file)
    options = {
        "target": None if file.target == _USUAL_TARGET[file.kind] + key else file.target,
        "uid": str(file.uid) if file.uid else None,
        "gid": str(file.gid) if file.gid else None,
        "mode": None if file.mode == _FILE_MODE else f"0{file.mode:o}",
    }
    special = written(options)
    return key if special is None else {"source": key, **special}


def _networks(
    attachments: tuple[NetworkAttachment, ...], service: str, names: Names
) -> list[str] | Entries | None:
    """The memberships; None for the default one alone."""
    entries = {names.of_network(each): _attachment(each, service) for each in attachments}
    if any(entries.values()):
        return {key: entry or {} for key, entry in entries.items()}
    keys = list(entries)
    alone = keys == ["default"] and attachments[0].network == names.default_network
    return None if alone else keys or None


def _attachment(each: NetworkAttachment, service: str) -> Entries | None:
    # The service's name is its first alias in any case.
    aliases = each.aliases[1:] if each.aliases[:1] == (service,) else each.aliases
    return written(
        {
            "aliases": list(aliases) or None,
            "ipv4_address": each.ipv4_address or None,
            "ipv6_address": each.ipv6_address or None,
            "link_local_ips": list(each.link_local_addresses) or None,
            "mac_address": each.mac_address or None,
            "priority": each.priority or None,
            "gw_priority": each.gateway_priority or None,
            "driver_opts": each.driver_options or None,
        }
    )


def _host(line: str) -> str:
    name, _, address = line.partition(":")
    return f"{name}={address}" if ":" in address else line


#: What a check without a test leaves to the image.
_CHECK_OF_IMAGE = HealthCheck(test=(), interval_ms=0, timeout_ms=0, retries=0)


def _health_check(spec: ContainerSpec) -> Entries | None:
    check = spec.health_check
    if spec.health_check_disabled:
        return {"disable": True}
    if check is None:
        return None
    usual = HealthCheck(test=check.test) if check.test else _CHECK_OF_IMAGE
    entries = written(
        {
            "test": _test(check.test),
            "interval": duration_unless(check.interval_ms, usual.interval_ms),
            "timeout": duration_unless(check.timeout_ms, usual.timeout_ms),
            "start_period": duration_unless(check.start_period_ms, usual.start_period_ms),
            "start_interval": duration_unless(check.start_interval_ms, usual.start_interval_ms),
            "retries": None if check.retries == usual.retries else check.retries,
        }
    )
    return entries or {}


def _test(test: tuple[str, ...]) -> str | list[str] | None:
    """A shell's line alone, where it cannot be taken for something else."""
    line = test[1] if len(test) == 2 and test[0] == "CMD-SHELL" else ""
    return line if line not in ("", "NONE") else list(test) or None


def _hook(hook: Hook) -> Entries | None:
    return written(
        {
            "command": list(hook.command),
            "user": hook.user or None,
            "privileged": hook.privileged or None,
            "working_dir": hook.working_dir or None,
            "environment": environment(hook.environment),
        }
    )


def _logging(log: LogConfig) -> Entries | None:
    return written({"driver": log.driver or None, "options": log.options or None})


def _ulimit(ulimit: Ulimit) -> int | Entries:
    return ulimit.soft if ulimit.soft == ulimit.hard else {"soft": ulimit.soft, "hard": ulimit.hard}


def _swap(amount: int) -> str | int | None:
    return (amount if amount < 0 else exact_bytes(amount)) if amount else None


def _block_io(io: BlockIo) -> Entries | None:
    return written(
        {
            "weight": io.weight or None,
            "weight_device": _rates(io.weight_device, "weight"),
            "device_read_bps": _rates(io.read_bytes),
            "device_read_iops": _rates(io.read_operations),
            "device_write_bps": _rates(io.write_bytes),
            "device_write_iops": _rates(io.write_operations),
        }
    )


def _rates(rates: tuple[DeviceRate, ...], key: str = "rate") -> list[Entries] | None:
    return [{"path": rate.path, key: rate.rate} for rate in rates] or None
