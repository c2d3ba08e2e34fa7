"""One example for each key that is honoured: what is written arrives in the model.

A key without an example here fails the first test; so does an example of a key that is not honoured.
"""

from __future__ import annotations

from textwrap import dedent, indent
from typing import Any

import pytest

from bayplan.compose.fields import Support
from bayplan.compose.schema import TABLES
from bayplan.model import (
    BlockIo,
    Dependency,
    DependencyCondition,
    Device,
    DeviceRate,
    DeviceRequest,
    FailureAction,
    FileKind,
    Hook,
    IpamPool,
    Mount,
    MountKind,
    PortSpec,
    PullPolicy,
    RestartCondition,
    ServiceMode,
    Ulimit,
    UpdateOrder,
)
from tests.unit.compose.world import loaded

MIB = 1024**2
FILES = {
    "a.env": "A=1\nB='x y'\n",
    "seccomp.json": '{"defaultAction": "SCMP_ACT_ALLOW"}',
    "other.yml": "services: {base: {image: base:1, user: u}}",
}
BIND, VOLUME, TMPFS = MountKind.BIND, MountKind.VOLUME, MountKind.TMPFS

Example = tuple[str, str, Any]

# Of a service: what is written in it, the field of its spec, the value there.
SERVICES: dict[str, dict[str, Example]] = {
    "services.*": {
        "image": ("image: team/app:2", "container.image", "team/app:2"),
        "build": ("image: a\nbuild: ./app", "container.image", "a"),
        "pull_policy": ("pull_policy: always", "container.pull_policy", PullPolicy.ALWAYS),
        "platform": ("platform: linux/arm64/v8", "container.platform", "linux/arm64/v8"),
        "command": ("command: run 'a b'", "container.command", ("run", "a b")),
        "entrypoint": ("entrypoint: ['/e', 1]", "container.entrypoint", ("/e", "1")),
        "environment": (
            "environment: {A: 1, S: '{{.Task.Slot}}'}",
            "container.environment",
            ("A=1", "S={{.Task.Slot}}"),
        ),
        "env_file": ("env_file: a.env", "container.environment", ("A=1", "B=x y")),
        "labels": ("labels: [a=1]", "container.labels", {"a": "1"}),
        "label_file": ("label_file: ./a.env\nlabels: {A: 2}", "container.labels", {"A": "2", "B": "x y"}),
        "annotations": ("annotations: {a: 1}", "container.annotations", {"a": "1"}),
        "container_name": ("container_name: box", "container.networks.0.aliases", ("web", "box")),
        "hostname": ("hostname: '{{.Node.Hostname}}'", "container.hostname", "{{.Node.Hostname}}"),
        "domainname": ("domainname: example.org", "container.domainname", "example.org"),
        "user": ("user: 1000:1000", "container.user", "1000:1000"),
        "group_add": ("group_add: [mail, 998]", "container.group_add", ("mail", "998")),
        "working_dir": ("working_dir: /app", "container.working_dir", "/app"),
        "tty": ("tty: true", "container.tty", True),
        "stdin_open": ("stdin_open: 'true'", "container.stdin_open", True),
        "read_only": ("read_only: true", "container.read_only", True),
        "init": ("init: true", "container.init", True),
        "stop_signal": ("stop_signal: sigint", "container.stop_signal", "SIGINT"),
        "stop_grace_period": ("stop_grace_period: 1d", "container.stop_grace_ms", 86_400_000),
        "healthcheck": ("healthcheck: {test: true}", "container.health_check.test", ("CMD-SHELL", "true")),
        "post_start": ("post_start: [{command: a}]", "container.post_start", (Hook(command=("a",)),)),
        "pre_stop": ("pre_stop: [{command: [a, b]}]", "container.pre_stop", (Hook(command=("a", "b")),)),
        "ports": ("ports: [8080:80]", "container.ports", (PortSpec(target=80, published=8080),)),
        "expose": ("expose: [80]", "container.expose", (PortSpec(target=80),)),
        "networks": ("networks: [back]", "container.networks.0.network", "shop_back"),
        "network_mode": ("network_mode: host", "container.network_mode", "host"),
        "mac_address": ("mac_address: '02:42:ac:11:00:03'", "container.mac_address", "02:42:ac:11:00:03"),
        "links": ("links: [db:database]", "depends_on", (Dependency(service="db", required=True),)),
        "dns": ("dns: 1.1.1.1", "container.dns", ("1.1.1.1",)),
        "dns_search": ("dns_search: [a.b, c.d]", "container.dns_search", ("a.b", "c.d")),
        "dns_opt": ("dns_opt: ['ndots:1']", "container.dns_options", ("ndots:1",)),
        "extra_hosts": ("extra_hosts: ['a=host-gateway']", "container.extra_hosts", ("a:host-gateway",)),
        "volumes": (
            "volumes: [/a:/b]",
            "container.mounts",
            (Mount(kind=BIND, source="/a", target="/b", create_source=True),),
        ),
        "volumes_from": ("volumes_from: [db:ro]", "container.mounts.0.source", "shop_data"),
        "tmpfs": (
            "tmpfs: '/t:mode=1777'",
            "container.mounts",
            (Mount(kind=TMPFS, target="/t", tmpfs_mode=0o1777),),
        ),
        "configs": ("configs: [c]", "container.files.0.source", "shop_c"),
        "secrets": ("secrets: [s]", "container.files.0.kind", FileKind.SECRET),
        "depends_on": ("depends_on: [db]", "depends_on", (Dependency(service="db", required=True),)),
        "restart": ("restart: on-failure:3", "restart.max_attempts", 3),
        "scale": ("scale: 3", "replicas", 3),
        "deploy": ("deploy: {replicas: 2}", "replicas", 2),
        "logging": ("logging: {driver: none}", "container.log.driver", "none"),
        "cap_add": ("cap_add: [CAP_SYS_ADMIN]", "container.cap_add", ("SYS_ADMIN",)),
        "cap_drop": ("cap_drop: [all]", "container.cap_drop", ("ALL",)),
        "security_opt": (
            "security_opt: [no-new-privileges:true, seccomp:unconfined, label:type:t, seccomp=seccomp.json]",
            "container.security_options",
            (
                "no-new-privileges=true",
                "seccomp=unconfined",
                "label=type:t",
                'seccomp={"defaultAction":"SCMP_ACT_ALLOW"}',
            ),
        ),
        "privileged": ("privileged: true", "container.privileged", True),
        "devices": (
            "devices: [/dev/a, '/dev/a:/dev/b:r', '/dev/c:rw']",
            "container.devices",
            (
                Device(source="/dev/a", target="/dev/a"),
                Device(source="/dev/a", target="/dev/b", permissions="r"),
                Device(source="/dev/c", target="/dev/c", permissions="rw"),
            ),
        ),
        "device_cgroup_rules": (
            "device_cgroup_rules: ['c 1:3 mr']",
            "container.device_cgroup_rules",
            ("c 1:3 mr",),
        ),
        "gpus": ("gpus: all", "container.device_requests", (DeviceRequest(capabilities=("gpu",), count=-1),)),
        "ipc": ("ipc: shareable", "container.ipc_mode", "shareable"),
        "pid": ("pid: host", "container.pid_mode", "host"),
        "uts": ("uts: host", "container.uts_mode", "host"),
        "userns_mode": ("userns_mode: host", "container.userns_mode", "host"),
        "cgroup": ("cgroup: private", "container.cgroup_mode", "private"),
        "cgroup_parent": ("cgroup_parent: m.slice", "container.cgroup_parent", "m.slice"),
        "sysctls": (
            "sysctls: [net.core.somaxconn=1024]",
            "container.sysctls",
            {"net.core.somaxconn": "1024"},
        ),
        "ulimits": (
            "ulimits: {nproc: 65535, memlock: -1}",
            "container.ulimits",
            (Ulimit(name="nproc", soft=65535, hard=65535), Ulimit(name="memlock", soft=-1, hard=-1)),
        ),
        "shm_size": ("shm_size: 64m", "container.memory.shm_bytes", 64 * MIB),
        "pids_limit": ("pids_limit: 100", "container.pids_limit", 100),
        "mem_limit": ("mem_limit: 1gb", "container.limits.memory_bytes", 1024 * MIB),
        "mem_reservation": ("mem_reservation: 2G", "reservations.memory_bytes", 2048 * MIB),
        "mem_swappiness": ("mem_swappiness: 0", "container.memory.swappiness", 0),
        "memswap_limit": ("mem_limit: 1g\nmemswap_limit: -1", "container.memory.swap_bytes", -1),
        "oom_kill_disable": ("oom_kill_disable: true", "container.memory.oom_kill_disabled", True),
        "oom_score_adj": ("oom_score_adj: -500", "container.memory.oom_score_adjustment", -500),
        "cpus": ("cpus: '0.5'", "container.limits.cpu_millis", 500),
        "cpu_shares": ("cpu_shares: 73", "container.cpu.shares", 73),
        "cpu_quota": ("cpu_quota: 50000", "container.cpu.quota_us", 50_000),
        "cpu_period": ("cpu_period: 20ms", "container.cpu.period_us", 20_000),
        "cpu_rt_runtime": ("cpu_rt_runtime: 95us", "container.cpu.realtime_runtime_us", 95),
        "cpu_rt_period": ("cpu_rt_period: '1400us'", "container.cpu.realtime_period_us", 1_400),
        "cpuset": ("cpuset: 0-3,5", "container.cpu.set", "0-3,5"),
        "blkio_config": ("blkio_config: {weight: 300}", "container.block_io", BlockIo(weight=300)),
        "storage_opt": ("storage_opt: {size: 1G}", "container.storage_options", {"size": "1G"}),
        "runtime": ("runtime: runc", "container.runtime", "runc"),
        "isolation": ("isolation: default", "container.isolation", "default"),
        "extends": ("extends: {file: other.yml, service: base}", "container.user", "u"),
        "profiles": ("profiles: [debug]", "name", "web"),
    },
    "services.*.env_file[]": {
        "path": ("env_file: [{path: a.env}]", "container.environment", ("A=1", "B=x y")),
        "required": ("env_file: [{path: none.env, required: false}]", "container.environment", ()),
        "format": ("env_file: [{path: a.env, format: raw}]", "container.environment", ("A=1", "B='x y'")),
    },
    "services.*.healthcheck": {
        "test": ("healthcheck: {test: [CMD, a]}", "container.health_check.test", ("CMD", "a")),
        "interval": ("healthcheck: {interval: 1m30s}", "container.health_check.interval_ms", 90_000),
        "timeout": ("healthcheck: {timeout: 1s}", "container.health_check.timeout_ms", 1_000),
        "start_period": ("healthcheck: {start_period: 1s}", "container.health_check.start_period_ms", 1_000),
        "start_interval": (
            "healthcheck: {start_interval: 1s}",
            "container.health_check.start_interval_ms",
            1_000,
        ),
        "retries": ("healthcheck: {retries: '5'}", "container.health_check.retries", 5),
        "disable": ("healthcheck: {disable: true}", "container.health_check_disabled", True),
    },
    "services.*.ports[]": {
        "target": ("ports: [{target: 80}]", "container.ports", (PortSpec(target=80),)),
        "published": ("ports: [{target: 80, published: '8080'}]", "container.ports.0.published", 8080),
        "protocol": ("ports: [{target: 80, protocol: udp}]", "container.ports.0.protocol", "udp"),
        "host_ip": ("ports: [{target: 80, host_ip: '::1'}]", "container.ports.0.host_ip", "::1"),
        "mode": ("ports: [{target: 80, mode: host}]", "container.ports", (PortSpec(target=80),)),
    },
    "services.*.networks.*": {
        "aliases": ("networks: {back: {aliases: [a.b, '']}}", "container.networks.0.aliases", ("web", "a.b")),
        "ipv4_address": (
            "networks: {back: {ipv4_address: 10.9.0.5}}",
            "container.networks.0.ipv4_address",
            "10.9.0.5",
        ),
        "ipv6_address": (
            "networks: {back: {ipv6_address: 'fd00::5'}}",
            "container.networks.0.ipv6_address",
            "fd00::5",
        ),
        "link_local_ips": (
            "networks: {back: {link_local_ips: [169.254.8.8]}}",
            "container.networks.0.link_local_addresses",
            ("169.254.8.8",),
        ),
        "mac_address": (
            "networks: {back: {mac_address: '02:42:ac:11:00:03'}}",
            "container.networks.0.mac_address",
            "02:42:ac:11:00:03",
        ),
        "priority": ("networks: {back: {priority: 1000}}", "container.networks.0.priority", 1_000),
        "gw_priority": ("networks: {back: {gw_priority: -1}}", "container.networks.0.gateway_priority", -1),
        "driver_opts": (
            "networks: {back: {driver_opts: {a: 1}}}",
            "container.networks.0.driver_options",
            {"a": "1"},
        ),
    },
    "services.*.volumes[]": {
        "type": (
            "volumes: [{type: tmpfs, target: /t}]",
            "container.mounts",
            (Mount(kind=TMPFS, target="/t"),),
        ),
        "source": (
            "volumes: [{type: volume, source: data, target: /t}]",
            "container.mounts.0.source",
            "shop_data",
        ),
        "target": ("volumes: [{type: volume, target: /t/}]", "container.mounts.0.target", "/t"),
        "read_only": (
            "volumes: [{type: volume, target: /t, read_only: true}]",
            "container.mounts.0.read_only",
            True,
        ),
        "bind": (
            "volumes: [{type: bind, source: /a, target: /t, bind: {}}]",
            "container.mounts",
            (Mount(kind=BIND, source="/a", target="/t", create_source=True),),
        ),
        "volume": (
            "volumes: [{type: volume, target: /t, volume: {}}]",
            "container.mounts",
            (Mount(kind=VOLUME, target="/t"),),
        ),
        "tmpfs": (
            "volumes: [{type: tmpfs, target: /t, tmpfs: {size: 64m}}]",
            "container.mounts",
            (Mount(kind=TMPFS, target="/t", tmpfs_size_bytes=64 * MIB),),
        ),
    },
    "services.*.volumes[].bind": {
        "create_host_path": (
            "volumes: [{type: bind, source: /a, target: /t, bind: {create_host_path: false}}]",
            "container.mounts.0.create_source",
            False,
        ),
        "propagation": (
            "volumes: [{type: bind, source: /a, target: /t, bind: {propagation: rslave}}]",
            "container.mounts.0.propagation",
            "rslave",
        ),
        "recursive": (
            "volumes: [{type: bind, source: /a, target: /t, bind: {recursive: enabled}}]",
            "container.mounts.0.kind",
            BIND,
        ),
    },
    "services.*.volumes[].volume": {
        "nocopy": (
            "volumes: [{type: volume, target: /t, volume: {nocopy: true}}]",
            "container.mounts.0.no_copy",
            True,
        ),
        "subpath": (
            "volumes: [{type: volume, source: data, target: /t, volume: {subpath: a/b}}]",
            "container.mounts.0.subpath",
            "a/b",
        ),
        "labels": (
            "volumes: [{type: volume, source: data, target: /t, volume: {labels: {a: 1}}}]",
            "container.mounts.0.volume.labels",
            {"a": "1"},
        ),
    },
    "services.*.volumes[].tmpfs": {
        "size": (
            "volumes: [{type: tmpfs, target: /t, tmpfs: {size: 1024}}]",
            "container.mounts.0.tmpfs_size_bytes",
            1_024,
        ),
        "mode": (
            "volumes: [{type: tmpfs, target: /t, tmpfs: {mode: 0o755}}]",
            "container.mounts.0.tmpfs_mode",
            0o755,
        ),
    },
    "services.*.configs[]": {
        "source": ("configs: [{source: c}]", "container.files.0.source", "shop_c"),
        "target": ("configs: [{source: c, target: /etc/c}]", "container.files.0.target", "/etc/c"),
        "uid": ("configs: [{source: c, uid: '10'}]", "container.files.0.uid", 10),
        "gid": ("configs: [{source: c, gid: 11}]", "container.files.0.gid", 11),
        "mode": ("configs: [{source: c, mode: 0440}]", "container.files.0.mode", 0o440),
    },
    "services.*.depends_on.*": {
        "condition": (
            "depends_on: {db: {condition: service_healthy}}",
            "depends_on.0.condition",
            DependencyCondition.HEALTHY,
        ),
        "restart": ("depends_on: {db: {restart: true}}", "depends_on.0.restart", True),
        "required": ("depends_on: {db: {required: false}}", "depends_on.0.required", False),
    },
    "services.*.logging": {
        "driver": ("logging: {driver: syslog}", "container.log.driver", "syslog"),
        "options": ("logging: {options: {max-file: 3}}", "container.log.options", {"max-file": "3"}),
    },
    "services.*.devices[]": {
        "source": (
            "devices: [{source: /dev/a}]",
            "container.devices",
            (Device(source="/dev/a", target="/dev/a"),),
        ),
        "target": ("devices: [{source: /dev/a, target: /dev/b}]", "container.devices.0.target", "/dev/b"),
        "permissions": (
            "devices: [{source: /dev/a, permissions: r}]",
            "container.devices.0.permissions",
            "r",
        ),
    },
    "services.*.gpus[]": {
        "capabilities": (
            "gpus: [{capabilities: [compute]}]",
            "container.device_requests.0.capabilities",
            ("gpu", "compute"),
        ),
        "count": ("gpus: [{count: 2}]", "generic", {"gpu": 2}),
        "device_ids": (
            "gpus: [{device_ids: ['0', '3']}]",
            "container.device_requests.0.device_ids",
            ("0", "3"),
        ),
        "driver": ("gpus: [{driver: nvidia}]", "container.device_requests.0.driver", "nvidia"),
        "options": ("gpus: [{options: {a: b}}]", "container.device_requests.0.options", {"a": "b"}),
    },
    "services.*.ulimits.nofile": {
        "soft": ("ulimits: {nofile: {soft: 10, hard: 20}}", "container.ulimits.0.soft", 10),
        "hard": (
            "ulimits: {nofile: {hard: 20}}",
            "container.ulimits",
            (Ulimit(name="nofile", soft=20, hard=20),),
        ),
    },
    "services.*.blkio_config": {
        "weight": ("blkio_config: {weight: 300}", "container.block_io.weight", 300),
        "weight_device": (
            "blkio_config: {weight_device: [{path: /dev/a, weight: 400}]}",
            "container.block_io.weight_device",
            (DeviceRate(path="/dev/a", rate=400),),
        ),
        "device_read_bps": (
            "blkio_config: {device_read_bps: [{path: /dev/a, rate: 12mb}]}",
            "container.block_io.read_bytes",
            (DeviceRate(path="/dev/a", rate=12 * MIB),),
        ),
        "device_read_iops": (
            "blkio_config: {device_read_iops: [{path: /dev/a, rate: 120}]}",
            "container.block_io.read_operations",
            (DeviceRate(path="/dev/a", rate=120),),
        ),
        "device_write_bps": (
            "blkio_config: {device_write_bps: [{path: /dev/a, rate: '1024'}]}",
            "container.block_io.write_bytes",
            (DeviceRate(path="/dev/a", rate=1_024),),
        ),
        "device_write_iops": (
            "blkio_config: {device_write_iops: [{path: /dev/a, rate: 30}]}",
            "container.block_io.write_operations",
            (DeviceRate(path="/dev/a", rate=30),),
        ),
    },
    "services.*.deploy": {
        "mode": ("deploy: {mode: global-job}", "mode", ServiceMode.GLOBAL_JOB),
        "replicas": ("deploy: {replicas: '2'}", "replicas", 2),
        "labels": ("deploy: {labels: {a: 1}}", "labels", {"a": "1"}),
        "endpoint_mode": ("deploy: {endpoint_mode: dnsrr}", "endpoint_mode", "dnsrr"),
        "resources": ("deploy: {resources: {limits: {cpus: 1}}}", "container.limits.cpu_millis", 1_000),
        "restart_policy": (
            "deploy: {restart_policy: {condition: none}}",
            "restart.condition",
            RestartCondition.NONE,
        ),
        "update_config": ("deploy: {update_config: {parallelism: 3}}", "update.parallelism", 3),
        "rollback_config": ("deploy: {rollback_config: {parallelism: 0}}", "rollback.parallelism", 0),
        "placement": ("deploy: {placement: {max_replicas_per_node: 1}}", "max_replicas_per_node", 1),
    },
    "services.*.deploy.resources": {
        "limits": ("deploy: {resources: {limits: {memory: 64M}}}", "container.limits.memory_bytes", 64 * MIB),
        "reservations": ("deploy: {resources: {reservations: {cpus: .5}}}", "reservations.cpu_millis", 500),
    },
    "services.*.deploy.resources.limits": {
        "cpus": ("deploy: {resources: {limits: {cpus: 1.5}}}", "container.limits.cpu_millis", 1_500),
        "memory": ("deploy: {resources: {limits: {memory: 64M}}}", "container.limits.memory_bytes", 64 * MIB),
        "pids": ("deploy: {resources: {limits: {pids: -1}}}", "container.pids_limit", -1),
    },
    "services.*.deploy.resources.reservations": {
        "cpus": ("deploy: {resources: {reservations: {cpus: '2'}}}", "reservations.cpu_millis", 2_000),
        "memory": (
            "deploy: {resources: {reservations: {memory: 1g}}}",
            "reservations.memory_bytes",
            1024 * MIB,
        ),
        "devices": (
            "deploy: {resources: {reservations: {devices: [{capabilities: [gpu]}]}}}",
            "generic",
            {"gpu": 1},
        ),
        "generic_resources": (
            "deploy: {resources: {reservations: {generic_resources: "
            "[{discrete_resource_spec: {kind: fpga, value: 2}}]}}}",
            "generic",
            {"fpga": 2},
        ),
    },
    "services.*.deploy.restart_policy": {
        "condition": (
            "deploy: {restart_policy: {condition: on-failure}}",
            "restart.condition",
            RestartCondition.ON_FAILURE,
        ),
        "delay": ("deploy: {restart_policy: {delay: 5s}}", "restart.delay_ms", 5_000),
        "max_attempts": ("deploy: {restart_policy: {max_attempts: 2}}", "restart.max_attempts", 2),
        "window": ("deploy: {restart_policy: {window: 2m}}", "restart.window_ms", 120_000),
    },
    "services.*.deploy.update_config": {
        "parallelism": ("deploy: {update_config: {parallelism: 2}}", "update.parallelism", 2),
        "delay": ("deploy: {update_config: {delay: 10s}}", "update.delay_ms", 10_000),
        "order": ("deploy: {update_config: {order: start-first}}", "update.order", UpdateOrder.START_FIRST),
        "monitor": ("deploy: {update_config: {monitor: 0s}}", "update.monitor_ms", 0),
        "max_failure_ratio": (
            "deploy: {update_config: {max_failure_ratio: 0.3}}",
            "update.max_failure_ratio",
            0.3,
        ),
        "failure_action": (
            "deploy: {update_config: {failure_action: rollback}}",
            "update.failure_action",
            FailureAction.ROLLBACK,
        ),
    },
    "services.*.deploy.placement": {
        "constraints": (
            "deploy: {placement: {constraints: [node.role==worker]}}",
            "constraints",
            ("node.role == worker",),
        ),
        "preferences": (
            "deploy: {placement: {preferences: [{spread: node.labels.zone}]}}",
            "preferences",
            ("node.labels.zone",),
        ),
        "max_replicas_per_node": (
            "deploy: {placement: {max_replicas_per_node: 2}}",
            "max_replicas_per_node",
            2,
        ),
    },
    "services.*.deploy.placement.preferences[]": {
        "spread": ("deploy: {placement: {preferences: [{spread: node.id}]}}", "preferences", ("node.id",)),
    },
}
SERVICES["services.*.secrets[]"] = {
    key: (body.replace("configs: [{source: c", "secrets: [{source: s"), field, value)
    for key, (body, field, value) in SERVICES["services.*.configs[]"].items()
} | {"source": ("secrets: [{source: s}]", "container.files.0.source", "shop_s")}
SERVICES["services.*.deploy.rollback_config"] = {
    key: (body.replace("update_config", "rollback_config"), field.replace("update.", "rollback."), value)
    for key, (body, field, value) in SERVICES["services.*.deploy.update_config"].items()
} | {
    "failure_action": (
        "deploy: {rollback_config: {failure_action: continue}}",
        "rollback.failure_action",
        FailureAction.CONTINUE,
    )
}
SERVICES["services.*.deploy.resources.reservations.devices[]"] = {
    key: (
        f"deploy: {{resources: {{reservations: {{devices: [{{capabilities: [tpu], {entry}}}]}}}}}}",
        f"container.device_requests.0.{field}",
        value,
    )
    for key, entry, field, value in [
        ("capabilities", "count: 1", "capabilities", ("tpu",)),
        ("count", "count: all", "count", -1),
        ("device_ids", "device_ids: [a]", "device_ids", ("a",)),
        ("driver", "driver: d", "driver", "d"),
        ("options", "options: {o: 1}", "options", {"o": "1"}),
    ]
}
for path, key in [
    ("generic_resources[]", "discrete_resource_spec"),
    ("generic_resources[].discrete_resource_spec", "kind"),
    ("generic_resources[].discrete_resource_spec", "value"),
]:
    SERVICES.setdefault(f"services.*.deploy.resources.reservations.{path}", {})[key] = SERVICES[
        "services.*.deploy.resources.reservations"
    ]["generic_resources"]
for path in ("post_start", "pre_stop"):
    SERVICES[f"services.*.{path}[]"] = {
        key: (f"{path}: [{{command: a, {entry}}}]", f"container.{path}.0.{key}", value)
        for key, entry, value in [
            ("command", "user: ''", ("a",)),
            ("user", "user: root", "root"),
            ("privileged", "privileged: true", True),
            ("working_dir", "working_dir: /w", "/w"),
            ("environment", "environment: [A=1]", ("A=1",)),
        ]
    }

# Of the rest of a file: what is written, the field of the first service's spec, the value there.
_NET, _VOL = "container.networks.0", "container.mounts.0"
REST: dict[str, dict[str, Example]] = {
    "": {
        "version": ("version: '3.8'", "name", "web"),
        "name": ("name: other", "name", "web"),
        "include": ("include: [other.yml]", "name", "web"),
        "services": ("", "name", "web"),
        "networks": ("networks: {n: }", f"{_NET}.network", "shop_n"),
        "volumes": ("volumes: {v: }", f"{_VOL}.source", "shop_v"),
        "configs": ("configs: {x: {content: a}}", "container.files.0.source", "shop_x"),
        "secrets": ("secrets: {x: {file: ./a.env}}", "container.files.0.source", "shop_x"),
    },
    "networks.*": {
        "name": ("networks: {n: {name: full}}", f"{_NET}.network", "full"),
        "driver": ("networks: {n: {driver: macvlan}}", f"{_NET}.spec.driver", "macvlan"),
        "driver_opts": ("networks: {n: {driver_opts: {a: 1}}}", f"{_NET}.spec.driver_options", {"a": "1"}),
        "external": ("networks: {n: {external: {name: old}}}", f"{_NET}.network", "old"),
        "internal": ("networks: {n: {internal: true}}", f"{_NET}.spec.internal", True),
        "attachable": ("networks: {n: {attachable: true}}", f"{_NET}.spec.attachable", True),
        "enable_ipv4": ("networks: {n: {enable_ipv4: true}}", f"{_NET}.network", "shop_n"),
        "enable_ipv6": ("networks: {n: {enable_ipv6: true}}", f"{_NET}.spec.ipv6", True),
        "ipam": (
            "networks: {n: {ipam: {driver: default, config: [{subnet: 10.1.0.0/16}]}}}",
            f"{_NET}.spec.pools",
            (IpamPool(subnet="10.1.0.0/16"),),
        ),
        "labels": ("networks: {n: {labels: [a=1]}}", f"{_NET}.spec.labels", {"a": "1"}),
    },
    "networks.*.ipam": {
        "driver": ("networks: {n: {ipam: {driver: d}}}", f"{_NET}.spec.ipam_driver", "d"),
        "config": (
            "networks: {n: {ipam: {config: [{subnet: 10.1.0.1/16}]}}}",
            f"{_NET}.spec.pools.0.subnet",
            "10.1.0.0/16",
        ),
        "options": ("networks: {n: {ipam: {options: {a: 1}}}}", f"{_NET}.spec.ipam_options", {"a": "1"}),
    },
    "networks.*.ipam.config[]": {
        "subnet": (
            "networks: {n: {ipam: {config: [{subnet: 'fd00::/8'}]}}}",
            f"{_NET}.spec.pools.0.subnet",
            "fd00::/8",
        ),
        "gateway": (
            "networks: {n: {ipam: {config: [{gateway: 10.1.0.1}]}}}",
            f"{_NET}.spec.pools.0.gateway",
            "10.1.0.1",
        ),
        "ip_range": (
            "networks: {n: {ipam: {config: [{ip_range: 10.1.2.0/24}]}}}",
            f"{_NET}.spec.pools.0.ip_range",
            "10.1.2.0/24",
        ),
        "aux_addresses": (
            "networks: {n: {ipam: {config: [{aux_addresses: {a: 10.1.0.2}}]}}}",
            f"{_NET}.spec.pools.0.aux_addresses",
            {"a": "10.1.0.2"},
        ),
    },
    "volumes.*": {
        "name": ("volumes: {v: {name: 'v-{{.Task.Slot}}'}}", f"{_VOL}.source", "v-{{.Task.Slot}}"),
        "driver": ("volumes: {v: {driver: rexray}}", f"{_VOL}.volume.driver", "rexray"),
        "driver_opts": (
            "volumes: {v: {driver: local, driver_opts: {type: nfs, o: 'addr=10.0.0.1', device: ':/x'}}}",
            f"{_VOL}.volume.driver_options",
            {"type": "nfs", "o": "addr=10.0.0.1", "device": ":/x"},
        ),
        "external": ("volumes: {v: {external: true, name: theirs}}", f"{_VOL}.source", "theirs"),
        "labels": ("volumes: {v: {labels: {a: 1}}}", f"{_VOL}.volume.labels", {"a": "1"}),
    },
}
# What has tests of its own: builds, and where the content of configs and secrets comes from.
ELSEWHERE = ("services.*.build", "configs.*", "secrets.*")


def value_at(thing: Any, path: str) -> Any:
    for step in path.split("."):
        thing = thing[int(step)] if step.isdigit() else getattr(thing, step)
    return thing


def test_each_honoured_key_has_an_example() -> None:
    honoured = {
        (path, name)
        for path, keys in TABLES.items()
        for name, key in keys.items()
        if key.support in (Support.YES, Support.MAPPED) and path not in ELSEWHERE
    }
    examples = {(path, key) for table in (SERVICES, REST) for path, keys in table.items() for key in keys}
    assert honoured == examples


@pytest.mark.parametrize(
    ("body", "field", "value"),
    [
        pytest.param(*example, id=f"{path}.{key}")
        for path, keys in SERVICES.items()
        for key, example in keys.items()
    ],
)
def test_a_key_of_a_service_arrives(body: str, field: str, value: Any) -> None:
    image = "" if body.startswith(("image", "extends")) else "    image: nginx\n"
    text = f"services:\n  web:\n{image}{indent(body, '    ')}\n" + dedent(
        """\
          db: {image: postgres, volumes: ["data:/db"], networks: [default]}
        networks: {back: {ipam: {config: [{subnet: 10.9.0.0/16}, {subnet: "fd00::/64"}]}}}
        volumes: {data: }
        configs: {c: {content: x}}
        secrets: {s: {content: y}}
        """
    )
    assert value_at(loaded(text, FILES, COMPOSE_PROFILES="debug").stack.services[0], field) == value


@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        pytest.param(*example, id=f"{path}.{key}")
        for path, keys in REST.items()
        for key, example in keys.items()
    ],
)
def test_a_key_of_a_file_arrives(text: str, field: str, value: Any) -> None:
    uses = [
        f"{use}: [{item}]"
        for part, use, item in [
            ("networks:", "networks", "n"),
            ("volumes:", "volumes", "'v:/v'"),
            ("configs:", "configs", "x"),
            ("secrets:", "secrets", "x"),
        ]
        if text.startswith(part)
    ]
    service = f"services: {{web: {{image: nginx, {', '.join(uses)}}}}}\n"
    assert value_at(loaded(service + text, FILES).stack.services[0], field) == value
