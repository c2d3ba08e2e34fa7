"""Compose keys, each with a look at a container that shows it: the process, its limits, its isolation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from tests.engine.compose_world import SLEEP, Case, Look, as_on_the_host, cgroup, inside, said, shown

_MIB = 1 << 20
_DEVICES = "services.*.deploy.resources.reservations.devices[]"
_OPEN_FILES = "grep 'open files' /proc/1/limits | tr -s ' '"
_PROCESS_1 = "tr '\\0' '\\n' </proc/1/cmdline"


def _request(index: int, part: str) -> Look:
    """A part of a device request."""
    return shown("HostConfig", "DeviceRequests", index, part)


PROCESS = Case(
    "process",
    """
    services:
      web:
        image: bayplan/demo:1
        entrypoint: [/bin/sh, -c]
        command: ["trap 'exit 0' INT; sleep 1000 & wait"]
        environment: {COLOUR: blue, WHERE: "{{.Node.Hostname}}"}
        env_file: [{path: web.env, format: raw}, {path: absent.env, required: false}]
        labels: {team: a}
        label_file: web.labels
        user: "65534:65533"
        group_add: ["7", "9"]
        working_dir: /tmp
        hostname: "web-{{.Task.Slot}}"
        domainname: example.org
        tty: true
        stdin_open: true
        init: true
        stop_signal: SIGINT
        stop_grace_period: 1500ms
        logging: {driver: local, options: {max-size: 1m}}
        oom_score_adj: 77
    """,
    {
        "services.*.image": (shown("Config", "Image"), "bayplan/demo:1"),
        "services.*.entrypoint": (inside(f"{_PROCESS_1} | sed -n 3,4p"), "/bin/sh\n-c"),
        "services.*.command": (inside(f"{_PROCESS_1} | sed -n 5p"), "trap 'exit 0' INT; sleep 1000 & wait"),
        "services.*.environment": (inside("echo $COLOUR $WHERE"), "blue node-1"),
        "services.*.env_file[].path": (inside("echo $SIZE"), "large"),
        "services.*.env_file[].format": (inside("echo $QUOTED"), "'as it is'"),
        "services.*.env_file[].required": (inside("echo $SIZE"), "large"),
        "services.*.labels": (shown("Config", "Labels", "team"), "a"),
        "services.*.label_file": (shown("Config", "Labels", "cost"), "centre-7"),
        "services.*.user": (inside("id -u; id -g"), "65534\n65533"),
        "services.*.group_add": (inside("grep Groups /proc/1/status | tr '\\t' ' '"), "Groups: 7 9 65533"),
        "services.*.working_dir": (inside("pwd"), "/tmp"),
        "services.*.hostname": (inside("hostname"), "web-3"),
        "services.*.domainname": (inside("cat /proc/sys/kernel/domainname"), "example.org"),
        "services.*.tty": (inside("readlink /proc/1/fd/1"), "/dev/pts/0"),
        "services.*.stdin_open": (shown("Config", "OpenStdin"), True),
        "services.*.init": (inside(f"{_PROCESS_1} | head -n 1"), "/sbin/docker-init"),
        "services.*.stop_signal": (shown("Config", "StopSignal"), "SIGINT"),
        "services.*.stop_grace_period": (shown("Config", "StopTimeout"), 2),
        "services.*.logging.driver": (shown("HostConfig", "LogConfig", "Type"), "local"),
        "services.*.logging.options": (shown("HostConfig", "LogConfig", "Config", "max-size"), "1m"),
        "services.*.oom_score_adj": (inside("cat /proc/1/oom_score_adj"), "77"),
    },
    {"web.env": "SIZE=large\nQUOTED='as it is'\n", "web.labels": "cost=centre-7\n"},
)

LIMITS = Case(
    "limits",
    f"""
    services:
      web:
        image: bayplan/demo:1
        command: {SLEEP}
        mem_limit: 64m
        memswap_limit: 96m
        mem_swappiness: 10
        cpus: "0.5"
        cpu_shares: 512
        cpuset: "0"
        pids_limit: 99
        oom_kill_disable: true
        cgroup_parent: /$CGROUP
        ulimits: {{nofile: {{soft: 1000, hard: 2000}}, core: 0}}
        blkio_config:
          device_read_bps: [{{path: /dev/vda, rate: 1m}}]
          device_read_iops: [{{path: /dev/vda, rate: 101}}]
          device_write_bps: [{{path: /dev/vda, rate: 2m}}]
          device_write_iops: [{{path: /dev/vda, rate: 102}}]
    """,
    {
        "services.*.mem_limit": (cgroup("memory/memory.limit_in_bytes"), str(64 * _MIB)),
        "services.*.memswap_limit": (cgroup("memory/memory.memsw.limit_in_bytes"), str(96 * _MIB)),
        "services.*.mem_swappiness": (cgroup("memory/memory.swappiness"), "10"),
        "services.*.cpus": (cgroup("cpu/cpu.cfs_quota_us"), "50000"),
        "services.*.cpu_shares": (cgroup("cpu/cpu.shares"), "512"),
        "services.*.cpuset": (cgroup("cpuset/cpuset.cpus"), "0"),
        "services.*.pids_limit": (cgroup("pids/pids.max"), "99"),
        "services.*.oom_kill_disable": (shown("HostConfig", "OomKillDisable"), True),
        "services.*.cgroup_parent": (inside("grep -o -m 1 -e -h1-keys/ /proc/1/cgroup"), "-h1-keys/"),
        "services.*.ulimits": (
            inside("grep 'core file' /proc/1/limits | tr -s ' ' | cut -d' ' -f5,6"),
            "0 0",
        ),
        "services.*.ulimits.nofile.soft": (inside(f"{_OPEN_FILES} | cut -d' ' -f4"), "1000"),
        "services.*.ulimits.nofile.hard": (inside(f"{_OPEN_FILES} | cut -d' ' -f5"), "2000"),
        "services.*.blkio_config.device_read_bps": (
            inside("cut -d' ' -f2 /sys/fs/cgroup/blkio/blkio.throttle.read_bps_device"),
            str(_MIB),
        ),
        "services.*.blkio_config.device_read_iops": (
            inside("cut -d' ' -f2 /sys/fs/cgroup/blkio/blkio.throttle.read_iops_device"),
            "101",
        ),
        "services.*.blkio_config.device_write_bps": (
            inside("cut -d' ' -f2 /sys/fs/cgroup/blkio/blkio.throttle.write_bps_device"),
            str(2 * _MIB),
        ),
        "services.*.blkio_config.device_write_iops": (
            inside("cut -d' ' -f2 /sys/fs/cgroup/blkio/blkio.throttle.write_iops_device"),
            "102",
        ),
    },
)

DEPLOY = Case(
    "deploy",
    f"""
    services:
      web:
        image: bayplan/demo:1
        command: {SLEEP}
        cpu_period: 50ms
        cpu_quota: 20ms
        cpu_rt_runtime: 3ms
        cpu_rt_period: 900ms
        deploy: {{resources: {{limits: {{memory: 48M, pids: 55}}}}}}
    """,
    {
        "services.*.cpu_period": (cgroup("cpu/cpu.cfs_period_us"), "50000"),
        "services.*.cpu_quota": (cgroup("cpu/cpu.cfs_quota_us"), "20000"),
        "services.*.cpu_rt_runtime": (cgroup("cpu/cpu.rt_runtime_us"), "3000"),
        "services.*.cpu_rt_period": (cgroup("cpu/cpu.rt_period_us"), "900000"),
        "services.*.deploy.resources.limits.memory": (
            cgroup("memory/memory.limit_in_bytes"),
            str(48 * _MIB),
        ),
        "services.*.deploy.resources.limits.pids": (cgroup("pids/pids.max"), "55"),
    },
)

DEFAULTS = Case(
    "defaults",
    f"""
    services:
      web:
        image: bayplan/demo:1
        command: {SLEEP}
        deploy: {{resources: {{limits: {{cpus: "0.25"}}}}}}
        healthcheck: {{disable: true}}
    """,
    {
        "services.*.deploy.resources.limits.cpus": (cgroup("cpu/cpu.cfs_quota_us"), "25000"),
        "services.*.healthcheck.disable": (shown("Config", "Healthcheck", "Test"), ["NONE"]),
        "(no pids_limit)": (cgroup("pids/pids.max"), "4096"),
    },
)

SECURITY = Case(
    "security",
    f"""
    services:
      web:
        image: bayplan/demo:1
        command: {SLEEP}
        cap_drop: [ALL]
        cap_add: [NET_ADMIN]
        security_opt: ["no-new-privileges:true", "seccomp:unconfined"]
        sysctls: {{net.core.somaxconn: 321}}
        devices: ["/dev/loop7:/dev/disk:r", {{source: /dev/loop6, target: /dev/tape, permissions: w}}]
        device_cgroup_rules: ["c 13:5 rw"]
        userns_mode: host
        ipc: shareable
        isolation: default
        runtime: io.containerd.runc.v2
        cgroup: private
    """,
    {
        "services.*.cap_drop": (inside("grep CapBnd /proc/1/status | cut -f2"), "0000000000001000"),
        "services.*.cap_add": (inside("grep CapEff /proc/1/status | cut -f2"), "0000000000001000"),
        "services.*.security_opt": (
            inside("grep -E 'NoNewPrivs|Seccomp:' /proc/1/status | cut -f2 | tr '\\n' ' '"),
            "1 0",
        ),
        "services.*.sysctls": (inside("cat /proc/sys/net/core/somaxconn"), "321"),
        "services.*.devices": (
            inside("ls /dev/disk; grep 'b 7:7 ' /sys/fs/cgroup/devices/devices.list"),
            "/dev/disk\nb 7:7 r",
        ),
        "services.*.devices[].source": (inside("stat -c %t:%T /dev/tape"), "7:6"),
        "services.*.devices[].target": (inside("ls /dev/tape"), "/dev/tape"),
        "services.*.devices[].permissions": (
            inside("grep -o 'b 7:6 .*' /sys/fs/cgroup/devices/devices.list"),
            "b 7:6 w",
        ),
        "services.*.device_cgroup_rules": (
            inside("grep -c 'c 13:5 rw' /sys/fs/cgroup/devices/devices.list"),
            "1",
        ),
        "services.*.userns_mode": (shown("HostConfig", "UsernsMode"), "host"),
        "services.*.ipc": (shown("HostConfig", "IpcMode"), "shareable"),
        "services.*.isolation": (shown("HostConfig", "Isolation"), "default"),
        "services.*.runtime": (shown("HostConfig", "Runtime"), "io.containerd.runc.v2"),
        "services.*.cgroup": (as_on_the_host("cgroup"), False),
    },
)

HOST = Case(
    "host",
    f"""
    services:
      web:
        image: bayplan/demo:1
        command: {SLEEP}
        network_mode: host
        pid: host
        uts: host
    """,
    {
        "services.*.network_mode": (as_on_the_host("net"), True),
        "services.*.pid": (as_on_the_host("pid"), True),
        "services.*.uts": (as_on_the_host("uts"), True),
    },
)

HEALTH = Case(
    "health",
    f"""
    services:
      web:
        image: bayplan/demo:1
        command: {SLEEP}
        healthcheck:
          test: [CMD, "true"]
          interval: 1m30s
          timeout: 7s
          start_period: 11s
          retries: 4
    """,
    {
        "services.*.healthcheck": (shown("State", "Health", "Status"), "starting"),
        "services.*.healthcheck.test": (shown("Config", "Healthcheck", "Test"), ["CMD", "true"]),
        "services.*.healthcheck.interval": (shown("Config", "Healthcheck", "Interval"), 90_000_000_000),
        "services.*.healthcheck.timeout": (shown("Config", "Healthcheck", "Timeout"), 7_000_000_000),
        "services.*.healthcheck.start_period": (
            shown("Config", "Healthcheck", "StartPeriod"),
            11_000_000_000,
        ),
        "services.*.healthcheck.retries": (shown("Config", "Healthcheck", "Retries"), 4),
    },
)

GOODS = Case(
    "goods",
    f"""
    services:
      web:
        image: bayplan/demo:1
        command: {SLEEP}
        gpus: [{{driver: nosuch, count: 2, capabilities: [utility], options: {{a: b}}}}]
        deploy:
          resources:
            reservations:
              devices: [{{driver: other, capabilities: [tpu], device_ids: ["0", "3"], options: {{c: d}}}}]
              generic_resources: [{{discrete_resource_spec: {{kind: ssd, value: 1}}}}]
    """,
    {
        "services.*.gpus[].driver": (_request(0, "Driver"), "nosuch"),
        "services.*.gpus[].count": (_request(0, "Count"), 2),
        "services.*.gpus[].capabilities": (_request(0, "Capabilities"), [["gpu", "utility"]]),
        "services.*.gpus[].options": (_request(0, "Options"), {"a": "b"}),
        f"{_DEVICES}.driver": (_request(1, "Driver"), "other"),
        f"{_DEVICES}.count": (_request(1, "Count"), 0),
        f"{_DEVICES}.capabilities": (_request(1, "Capabilities"), [["tpu"]]),
        f"{_DEVICES}.device_ids": (_request(1, "DeviceIDs"), ["0", "3"]),
        f"{_DEVICES}.options": (_request(1, "Options"), {"c": "d"}),
        "services.*.gpus[].device_ids": (_request(1, "DeviceIDs"), ["0", "3"]),
    },
    refusal="could not select device driver",
)

STORAGE_LIMIT = Case(
    "storage limit",
    f"""
    services: {{web: {{image: "bayplan/demo:1", command: {SLEEP}, storage_opt: {{size: 1G}}}}}}
    """,
    {"services.*.storage_opt": (said, True)},
    refusal="--storage-opt is supported only for overlay over xfs",
)

SUBPATH = Case(
    "subpath",
    f"""
    services:
      web:
        image: bayplan/demo:1
        command: {SLEEP}
        volumes: [{{type: volume, source: data, target: /d, volume: {{subpath: a}}}}]
    volumes: {{data: {{}}}}
    """,
    {"services.*.volumes[].volume.subpath": (said, True)},
    refusal="volumes.subpath needs Docker 26.0; this node has 20.10.24",
)

GATEWAY = Case(
    "gateway",
    f"""
    services:
      web:
        image: bayplan/demo:1
        command: {SLEEP}
        networks: {{default: {{gw_priority: 1}}, back: {{}}}}
    networks: {{back: {{}}}}
    """,
    {"services.*.networks.*.gw_priority": (said, True)},
    refusal="networks.gw_priority needs Docker 28.0; this node has 20.10.24",
)


class Unseen(NamedTuple):
    """Keys that this engine (20.10) or this kernel drops, each with the reason."""

    keys: Mapping[str, str]


UNSEEN = Unseen(
    {
        "services.*.annotations": "engines from 24.0 know them; they are left out of older ones",
        "services.*.healthcheck.start_interval": "engines from 25.0 know it; older ones probe each interval",
        "services.*.blkio_config.weight": "the kernel has no weights of block I/O",
        "services.*.blkio_config.weight_device": "the kernel has no weights of block I/O",
    }
)

CASES = (
    PROCESS, LIMITS, DEPLOY, DEFAULTS, SECURITY, HOST, HEALTH, GOODS, STORAGE_LIMIT, SUBPATH, GATEWAY,
)  # fmt: skip
