"""One example for each key that is honoured: what is written arrives in the model.

A key without an example here fails the first test; so does an example of a key that is not honoured.
"""

from __future__ import annotations

from typing import Any

import pytest

from bayplan.compose.fields import Support
from bayplan.compose.schema import TABLES
from bayplan.model import (
    Affinity,
    BlockIo,
    Dependency,
    DependencyCondition,
    Device,
    DeviceRate,
    DeviceRequest,
    FailureAction,
    FileKind,
    HomePolicy,
    Hook,
    IpamPool,
    Mount,
    MountKind,
    NetworkSpec,
    PortMode,
    PortSpec,
    ProbeKind,
    PullPolicy,
    RestartCondition,
    Schedule,
    ServiceMode,
    Strategy,
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

# By the path of a table and a key: what is written (with what it needs beside it), the field of the spec of
# the service `web`, the value there.
_NET, _VOL = "container.networks.0", "container.mounts.0"
EXAMPLES: dict[str, dict[str, Example]] = {
    "": {
        "version": ("3.8", "name", "web"),
        "name": ("other", "name", "web"),
        "include": ("[other.yml]", "name", "web"),
        "services": ("", "name", "web"),
        "networks": ("{n: }", f"{_NET}.network", "shop_n"),
        "volumes": ("{v: }", f"{_VOL}.source", "shop_v"),
        "configs": ("{x: {content: a}}", "container.files.0.source", "shop_x"),
        "secrets": ("{x: {file: ./a.env}}", "container.files.0.source", "shop_x"),
    },
    "networks.*": {
        "name": ("full", f"{_NET}.network", "full"),
        "driver": ("macvlan", f"{_NET}.spec.driver", "macvlan"),
        "driver_opts": ("{a: 1}, driver: macvlan", f"{_NET}.spec.driver_options", {"a": "1"}),
        "external": ("{name: old}", f"{_NET}.network", "old"),
        "internal": ("true", f"{_NET}.spec.internal", True),
        "attachable": ("true", f"{_NET}.spec.attachable", True),
        "enable_ipv4": ("true", f"{_NET}.network", "shop_n"),
        "enable_ipv6": ("true, driver: macvlan", f"{_NET}.spec.ipv6", True),
        "x-bayplan": ("{encrypted: true}", f"{_NET}.spec", NetworkSpec(encrypted=True)),
        "ipam": (
            "{driver: default, config: [{subnet: 10.1.0.0/16}]}",
            f"{_NET}.spec.pools",
            (IpamPool(subnet="10.1.0.0/16"),),
        ),
        "labels": ("[a=1]", f"{_NET}.spec.labels", {"a": "1"}),
    },
    "networks.*.x-bayplan": {
        "scope": ("node", f"{_NET}.spec.node_local", True),
        "encrypted": ("true", f"{_NET}.spec.encrypted", True),
    },
    "networks.*.ipam": {
        "driver": ("d", f"{_NET}.spec.ipam_driver", "d"),
        "config": ("[{subnet: 10.1.0.1/16}]", f"{_NET}.spec.pools.0.subnet", "10.1.0.0/16"),
        "options": ("{a: 1}", f"{_NET}.spec.ipam_options", {"a": "1"}),
    },
    "networks.*.ipam.config[]": {
        "subnet": ("'fd00::/8'", f"{_NET}.spec.pools.0.subnet", "fd00::/8"),
        "gateway": ("10.1.0.1", f"{_NET}.spec.pools.0.gateway", "10.1.0.1"),
        "ip_range": ("10.1.2.0/24", f"{_NET}.spec.pools.0.ip_range", "10.1.2.0/24"),
        "aux_addresses": ("{a: 10.1.0.2}", f"{_NET}.spec.pools.0.aux_addresses", {"a": "10.1.0.2"}),
    },
    "volumes.*": {
        "name": ("'v-{{.Task.Slot}}'", f"{_VOL}.source", "v-{{.Task.Slot}}"),
        "driver": ("rexray", f"{_VOL}.volume.driver", "rexray"),
        "driver_opts": (
            "{type: nfs, o: addr=10.0.0.1, device: ':/x'}, driver: local",
            f"{_VOL}.volume.driver_options",
            {"type": "nfs", "o": "addr=10.0.0.1", "device": ":/x"},
        ),
        "external": ("true, name: theirs", f"{_VOL}.source", "theirs"),
        "labels": ("{a: 1}", f"{_VOL}.volume.labels", {"a": "1"}),
    },
    "services.*": {
        "image": ("'team/app:2'", "container.image", "team/app:2"),
        "build": ("./app", "container.image", "nginx"),
        "pull_policy": ("always", "container.pull_policy", PullPolicy.ALWAYS),
        "platform": ("linux/arm64/v8", "container.platform", "linux/arm64/v8"),
        "command": ("'run ''a b'''", "container.command", ("run", "a b")),
        "entrypoint": ("[/e, 1]", "container.entrypoint", ("/e", "1")),
        "environment": ("{A: 1, S: '{{.Task.Slot}}'}", "container.environment", ("A=1", "S={{.Task.Slot}}")),
        "env_file": ("a.env", "container.environment", ("A=1", "B=x y")),
        "labels": ("[a=1]", "container.labels", {"a": "1"}),
        "label_file": ("./a.env, labels: {A: 2}", "container.labels", {"A": "2", "B": "x y"}),
        "annotations": ("{a: 1}", "container.annotations", {"a": "1"}),
        "container_name": ("box", "container.networks.0.aliases", ("web", "box")),
        "hostname": ("'{{.Node.Hostname}}'", "container.hostname", "{{.Node.Hostname}}"),
        "domainname": ("example.org", "container.domainname", "example.org"),
        "user": ("'1000:1000'", "container.user", "1000:1000"),
        "group_add": ("[mail, 998]", "container.group_add", ("mail", "998")),
        "working_dir": ("/app", "container.working_dir", "/app"),
        "tty": ("true", "container.tty", True),
        "stdin_open": ("true", "container.stdin_open", True),
        "read_only": ("true", "container.read_only", True),
        "init": ("true", "container.init", True),
        "x-bayplan": ("{fence: true}", "fence", True),
        "stop_signal": ("sigint", "container.stop_signal", "SIGINT"),
        "stop_grace_period": ("1d", "container.stop_grace_ms", 86_400_000),
        "healthcheck": ("{test: true}", "container.health_check.test", ("CMD-SHELL", "true")),
        "post_start": ("[{command: a}]", "container.post_start", (Hook(command=("a",)),)),
        "pre_stop": ("[{command: [a, b]}]", "container.pre_stop", (Hook(command=("a", "b")),)),
        "ports": (
            "['8080:80']",
            "container.ports",
            (PortSpec(target=80, published=8080, mode=PortMode.INGRESS),),
        ),
        "expose": ("[80]", "container.expose", (PortSpec(target=80),)),
        "networks": ("[back]", "container.networks.0.network", "shop_back"),
        "network_mode": ("host", "container.network_mode", "host"),
        "mac_address": ("'02:42:ac:11:00:03'", "container.mac_address", "02:42:ac:11:00:03"),
        "links": ("['db:database']", "depends_on", (Dependency(service="db", required=True),)),
        "dns": ("1.1.1.1", "container.dns", ("1.1.1.1",)),
        "dns_search": ("[a.b, c.d]", "container.dns_search", ("a.b", "c.d")),
        "dns_opt": ("['ndots:1']", "container.dns_options", ("ndots:1",)),
        "extra_hosts": ("[a=host-gateway]", "container.extra_hosts", ("a:host-gateway",)),
        "volumes": (
            "['/a:/b']",
            "container.mounts",
            (Mount(kind=BIND, source="/a", target="/b", create_source=True),),
        ),
        "volumes_from": ("['db:ro']", "container.mounts.0.source", "shop_data"),
        "tmpfs": (
            "'/t:mode=1777,exec,uid=7'",
            "container.mounts",
            (Mount(kind=TMPFS, target="/t", tmpfs_mode=0o1777, tmpfs_options=("exec", "uid=7")),),
        ),
        "configs": ("[c]", "container.files.0.source", "shop_c"),
        "secrets": ("[s]", "container.files.0.kind", FileKind.SECRET),
        "depends_on": ("[db]", "depends_on", (Dependency(service="db", required=True),)),
        "restart": ("'on-failure:3'", "restart.max_attempts", 3),
        "scale": ("3", "replicas", 3),
        "deploy": ("{replicas: 2}", "replicas", 2),
        "logging": ("{driver: none}", "container.log.driver", "none"),
        "cap_add": ("[CAP_SYS_ADMIN]", "container.cap_add", ("SYS_ADMIN",)),
        "cap_drop": ("[all]", "container.cap_drop", ("ALL",)),
        "security_opt": (
            "['no-new-privileges:true', 'seccomp:unconfined', 'label:type:t', seccomp=seccomp.json]",
            "container.security_options",
            (
                "no-new-privileges=true",
                "seccomp=unconfined",
                "label=type:t",
                'seccomp={"defaultAction":"SCMP_ACT_ALLOW"}',
            ),
        ),
        "privileged": ("true", "container.privileged", True),
        "devices": (
            "[/dev/a, '/dev/a:/dev/b:r', '/dev/c:rw']",
            "container.devices",
            (
                Device(source="/dev/a", target="/dev/a"),
                Device(source="/dev/a", target="/dev/b", permissions="r"),
                Device(source="/dev/c", target="/dev/c", permissions="rw"),
            ),
        ),
        "device_cgroup_rules": ("['c 1:3 mr']", "container.device_cgroup_rules", ("c 1:3 mr",)),
        "gpus": ("all", "container.device_requests", (DeviceRequest(capabilities=("gpu",), count=-1),)),
        "ipc": ("shareable", "container.ipc_mode", "shareable"),
        "pid": ("host", "container.pid_mode", "host"),
        "uts": ("host", "container.uts_mode", "host"),
        "userns_mode": ("host", "container.userns_mode", "host"),
        "cgroup": ("private", "container.cgroup_mode", "private"),
        "cgroup_parent": ("m.slice", "container.cgroup_parent", "m.slice"),
        "sysctls": ("[net.core.somaxconn=1024]", "container.sysctls", {"net.core.somaxconn": "1024"}),
        "ulimits": (
            "{nproc: 65535, memlock: '-1'}",
            "container.ulimits",
            (Ulimit(name="nproc", soft=65535, hard=65535), Ulimit(name="memlock", soft=-1, hard=-1)),
        ),
        "shm_size": ("64m", "container.memory.shm_bytes", 64 * MIB),
        "pids_limit": ("100", "container.pids_limit", 100),
        "mem_limit": ("1gb", "container.limits.memory_bytes", 1024 * MIB),
        "mem_reservation": ("2G", "reservations.memory_bytes", 2048 * MIB),
        "mem_swappiness": ("0", "container.memory.swappiness", 0),
        "memswap_limit": ("'-1', mem_limit: 1g", "container.memory.swap_bytes", -1),
        "oom_kill_disable": ("true", "container.memory.oom_kill_disabled", True),
        "oom_score_adj": ("'-500'", "container.memory.oom_score_adjustment", -500),
        "cpus": ("0.5", "container.limits.cpu_millis", 500),
        "cpu_shares": ("73", "container.cpu.shares", 73),
        "cpu_quota": ("50000", "container.cpu.quota_us", 50_000),
        "cpu_period": ("20ms", "container.cpu.period_us", 20_000),
        "cpu_rt_runtime": ("95us", "container.cpu.realtime_runtime_us", 95),
        "cpu_rt_period": ("1400us", "container.cpu.realtime_period_us", 1_400),
        "cpuset": ("'0-3,5'", "container.cpu.set", "0-3,5"),
        "blkio_config": ("{weight: 300}", "container.block_io", BlockIo(weight=300)),
        "storage_opt": ("{size: 1G}", "container.storage_options", {"size": "1G"}),
        "runtime": ("runc", "container.runtime", "runc"),
        "isolation": ("default", "container.isolation", "default"),
        "extends": ("{file: other.yml, service: base}", "container.user", "u"),
        "profiles": ("[debug]", "name", "web"),
    },
    "services.*.env_file[]": {
        "path": ("a.env", "container.environment", ("A=1", "B=x y")),
        "required": ("false, path: none.env", "container.environment", ()),
        "format": ("raw, path: a.env", "container.environment", ("A=1", "B='x y'")),
    },
    "services.*.healthcheck": {
        "test": ("[CMD, a]", "container.health_check.test", ("CMD", "a")),
        "interval": ("1m30s", "container.health_check.interval_ms", 90_000),
        "timeout": ("1s", "container.health_check.timeout_ms", 1_000),
        "start_period": ("1s", "container.health_check.start_period_ms", 1_000),
        "start_interval": ("1s", "container.health_check.start_interval_ms", 1_000),
        "retries": ("5", "container.health_check.retries", 5),
        "disable": ("true", "container.health_check_disabled", True),
    },
    "services.*.ports[]": {
        "name": ("http, target: 80", "container.ports.0.name", "http"),
        "target": ("80", "container.ports", (PortSpec(target=80, mode=PortMode.INGRESS),)),
        "published": ("8080, target: 80", "container.ports.0.published", 8080),
        "protocol": ("udp, target: 80", "container.ports.0.protocol", "udp"),
        "host_ip": ("'::1', target: 80", "container.ports.0.host_ip", "::1"),
        "mode": ("host, target: 80", "container.ports", (PortSpec(target=80),)),
    },
    "services.*.networks.*": {
        "aliases": ("[a.b, '']", "container.networks.0.aliases", ("web", "a.b")),
        "ipv4_address": ("10.9.0.5", "container.networks.0.ipv4_address", "10.9.0.5"),
        "ipv6_address": ("'fd00::5'", "container.networks.0.ipv6_address", "fd00::5"),
        "link_local_ips": ("[169.254.8.8]", "container.networks.0.link_local_addresses", ("169.254.8.8",)),
        "mac_address": ("'02:42:ac:11:00:03'", "container.networks.0.mac_address", "02:42:ac:11:00:03"),
        "priority": ("1000", "container.networks.0.priority", 1_000),
        "gw_priority": ("'-1'", "container.networks.0.gateway_priority", -1),
        "driver_opts": ("{a: 1}", "container.networks.0.driver_options", {"a": "1"}),
    },
    "services.*.volumes[]": {
        "type": ("tmpfs, target: /t", "container.mounts", (Mount(kind=TMPFS, target="/t"),)),
        "source": ("data, type: volume, target: /t", "container.mounts.0.source", "shop_data"),
        "target": ("/t/, type: volume", "container.mounts.0.target", "/t"),
        "read_only": ("true, type: volume, target: /t", "container.mounts.0.read_only", True),
        "bind": (
            "{}, type: bind, source: /a, target: /t",
            "container.mounts",
            (Mount(kind=BIND, source="/a", target="/t", create_source=True),),
        ),
        "volume": ("{}, type: volume, target: /t", "container.mounts", (Mount(kind=VOLUME, target="/t"),)),
        "tmpfs": (
            "{size: 64m}, type: tmpfs, target: /t",
            "container.mounts",
            (Mount(kind=TMPFS, target="/t", tmpfs_size_bytes=64 * MIB),),
        ),
    },
    "services.*.volumes[].bind": {
        "create_host_path": ("false", "container.mounts.0.create_source", False),
        "propagation": ("rslave", "container.mounts.0.propagation", "rslave"),
        "recursive": ("enabled", "container.mounts.0.kind", BIND),
    },
    "services.*.volumes[].volume": {
        "nocopy": ("true", "container.mounts.0.no_copy", True),
        "subpath": ("a/b", "container.mounts.0.subpath", "a/b"),
        "labels": ("{a: 1}", "container.mounts.0.volume.labels", {"a": "1"}),
    },
    "services.*.volumes[].tmpfs": {
        "size": ("1024", "container.mounts.0.tmpfs_size_bytes", 1_024),
        "mode": ("0o755", "container.mounts.0.tmpfs_mode", 0o755),
    },
    "services.*.configs[]": {
        "source": ("c", "container.files.0.source", "shop_c"),
        "target": ("/etc/c, source: c", "container.files.0.target", "/etc/c"),
        "uid": ("10, source: c", "container.files.0.uid", 10),
        "gid": ("11, source: c", "container.files.0.gid", 11),
        "mode": ("0440, source: c", "container.files.0.mode", 0o440),
    },
    "services.*.depends_on.*": {
        "condition": ("service_healthy", "depends_on.0.condition", DependencyCondition.HEALTHY),
        "restart": ("true", "depends_on.0.restart", True),
        "required": ("false", "depends_on.0.required", False),
    },
    "services.*.logging": {
        "driver": ("syslog", "container.log.driver", "syslog"),
        "options": ("{max-file: 3}", "container.log.options", {"max-file": "3"}),
    },
    "services.*.devices[]": {
        "source": ("/dev/a", "container.devices", (Device(source="/dev/a", target="/dev/a"),)),
        "target": ("/dev/b, source: /dev/a", "container.devices.0.target", "/dev/b"),
        "permissions": ("r, source: /dev/a", "container.devices.0.permissions", "r"),
    },
    "services.*.gpus[]": {
        "capabilities": ("[compute]", "container.device_requests.0.capabilities", ("gpu", "compute")),
        "count": ("2", "generic", {"gpu": 2}),
        "device_ids": ("[0, 3]", "container.device_requests.0.device_ids", ("0", "3")),
        "driver": ("nvidia", "container.device_requests.0.driver", "nvidia"),
        "options": ("{a: b}", "container.device_requests.0.options", {"a": "b"}),
    },
    "services.*.ulimits.nofile": {
        "soft": ("10, hard: 20", "container.ulimits.0.soft", 10),
        "hard": ("20", "container.ulimits", (Ulimit(name="nofile", soft=20, hard=20),)),
    },
    "services.*.blkio_config": {
        "weight": ("300", "container.block_io.weight", 300),
        "weight_device": (
            "[{path: /dev/a, weight: 400}]",
            "container.block_io.weight_device",
            (DeviceRate(path="/dev/a", rate=400),),
        ),
        "device_read_bps": (
            "[{path: /dev/a, rate: 12mb}]",
            "container.block_io.read_bytes",
            (DeviceRate(path="/dev/a", rate=12 * MIB),),
        ),
        "device_read_iops": (
            "[{path: /dev/a, rate: 120}]",
            "container.block_io.read_operations",
            (DeviceRate(path="/dev/a", rate=120),),
        ),
        "device_write_bps": (
            "[{path: /dev/a, rate: 1024}]",
            "container.block_io.write_bytes",
            (DeviceRate(path="/dev/a", rate=1_024),),
        ),
        "device_write_iops": (
            "[{path: /dev/a, rate: 30}]",
            "container.block_io.write_operations",
            (DeviceRate(path="/dev/a", rate=30),),
        ),
    },
    "services.*.deploy": {
        "mode": ("global-job", "mode", ServiceMode.GLOBAL_JOB),
        "replicas": ("2", "replicas", 2),
        "labels": ("{a: 1}", "labels", {"a": "1"}),
        "endpoint_mode": ("dnsrr", "endpoint_mode", "dnsrr"),
        "resources": ("{limits: {cpus: 1}}", "container.limits.cpu_millis", 1_000),
        "restart_policy": ("{condition: none}", "restart.condition", RestartCondition.NONE),
        "update_config": ("{parallelism: 3}", "update.parallelism", 3),
        "rollback_config": ("{parallelism: 0}", "rollback.parallelism", 0),
        "placement": ("{max_replicas_per_node: 1}", "max_replicas_per_node", 1),
    },
    "services.*.deploy.resources": {
        "limits": ("{memory: 64M}", "container.limits.memory_bytes", 64 * MIB),
        "reservations": ("{cpus: .5}", "reservations.cpu_millis", 500),
    },
    "services.*.deploy.resources.limits": {
        "cpus": ("1.5", "container.limits.cpu_millis", 1_500),
        "memory": ("64M", "container.limits.memory_bytes", 64 * MIB),
        "pids": ("'-1'", "container.pids_limit", -1),
    },
    "services.*.deploy.resources.reservations": {
        "cpus": ("2", "reservations.cpu_millis", 2_000),
        "memory": ("1g", "reservations.memory_bytes", 1024 * MIB),
        "devices": ("[{capabilities: [gpu]}]", "generic", {"gpu": 1}),
        "generic_resources": ("[{discrete_resource_spec: {kind: fpga, value: 2}}]", "generic", {"fpga": 2}),
    },
    "services.*.deploy.restart_policy": {
        "condition": ("on-failure", "restart.condition", RestartCondition.ON_FAILURE),
        "delay": ("5s", "restart.delay_ms", 5_000),
        "max_attempts": ("2", "restart.max_attempts", 2),
        "window": ("2m", "restart.window_ms", 120_000),
    },
    "services.*.deploy.update_config": {
        "parallelism": ("2", "update.parallelism", 2),
        "delay": ("10s", "update.delay_ms", 10_000),
        "order": ("start-first", "update.order", UpdateOrder.START_FIRST),
        "monitor": ("0s", "update.monitor_ms", 0),
        "max_failure_ratio": ("0.3", "update.max_failure_ratio", 0.3),
        "failure_action": ("rollback", "update.failure_action", FailureAction.ROLLBACK),
    },
    "services.*.deploy.placement": {
        "constraints": ("[node.role==worker]", "constraints", ("node.role == worker",)),
        "preferences": ("[{spread: node.labels.zone}]", "preferences", ("node.labels.zone",)),
        "max_replicas_per_node": ("2", "max_replicas_per_node", 2),
    },
    "services.*.deploy.placement.preferences[]": {
        "spread": ("node.id", "preferences", ("node.id",)),
    },
    "services.*.x-bayplan": {
        "fence": ("true", "fence", True),
        "drain": ("0s", "drain_ms", 0),
        "schedule": ("{cron: '0 3 * * *'}", "schedule", Schedule(cron="0 3 * * *")),
        "ttl": ("1h", "ttl_ms", 3_600_000),
        "update": ("{deadline: 1m}", "update.deadline_ms", 60_000),
        "rollback": ("{deadline: 1m}", "rollback.deadline_ms", 60_000),
        "strategy": ("spread", "strategy", Strategy.SPREAD),
        "affinity": ("db", "affinities", (Affinity(service="db"),)),
        "anti_affinity": ("[shop_db]", "affinities", (Affinity(service="shop_db", anti=True),)),
        "prefer": ("local", "local_first", True),
        "priority": ("0", "priority", 0),
        "reservations": ("{disk: 1k}", "reservations.disk_bytes", 1024),
        "volumes": ("stay", "homes", HomePolicy.STAY),
        "tags": ("[canary, a.b=c=d]", "labels", {"bayplan.tag.canary": "", "bayplan.tag.a.b": "c=d"}),
        "weight": ("0", "labels", {"bayplan.weight": "0"}),
        "probe": ("{type: tcp, port: 5432}", "container.probe.port", 5432),
    },
    "services.*.x-bayplan.probe": {
        "type": ("grpc, port: 1", "container.probe.kind", ProbeKind.GRPC),
        "port": ("81, type: tcp", "container.probe.port", 81),
        "path": ("/health?x=1, type: http, port: 1", "container.probe.path", "/health?x=1"),
        "host": ("shop.example, type: http, port: 1", "container.probe.host", "shop.example"),
        "tls": ("yes, type: http, port: 1", "container.probe.tls", True),
        "service": ("shop.Cart, type: grpc, port: 1", "container.probe.service", "shop.Cart"),
        "interval": ("500ms, type: tcp, port: 1", "container.probe.interval_ms", 500),
        "timeout": ("5s, type: tcp, port: 1", "container.probe.timeout_ms", 5_000),
        "rise": ("1, type: tcp, port: 1", "container.probe.rise", 1),
        "fall": ("1, type: tcp, port: 1", "container.probe.fall", 1),
        "start_period": ("1m, type: tcp, port: 1", "container.probe.start_period_ms", 60_000),
    },
    "services.*.x-bayplan.affinity[]": {
        "service": ("db", "affinities.0.service", "db"),
        "topology": ("node.labels.zone, service: db", "affinities.0.topology", "node.labels.zone"),
        "required": ("yes, service: db", "affinities.0.required", True),
    },
    "services.*.x-bayplan.anti_affinity[]": {
        "service": ("a_b", "affinities", (Affinity(service="a_b", anti=True),)),
        "topology": ("node, service: db", "affinities.0.topology", ""),
        "required": ("no, service: db", "affinities.0.required", False),
    },
    "services.*.x-bayplan.reservations": {
        "disk": ("10g", "reservations.disk_bytes", 10 << 30),
        "pids": ("100", "reservations.pids", 100),
    },
    "services.*.x-bayplan.schedule": {
        "cron": ("'*/5  * * JAN MON#1'", "schedule.cron", "*/5 * * JAN MON#1"),
        "timezone": ("Europe/Berlin, cron: '0 3 * * *'", "schedule.timezone", "Europe/Berlin"),
        "catch_up": ("10m, cron: '0 3 * * *'", "schedule.catch_up_ms", 600_000),
    },
    "services.*.x-bayplan.update": {
        "deadline": ("0s", "update.deadline_ms", 0),
        "canaries": ("2", "update.canaries", 2),
        "auto_promote": ("true", "update.auto_promote", True),
    },
    "services.*.x-bayplan.rollback": {"deadline": ("1m", "rollback.deadline_ms", 60_000)},
}
EXAMPLES |= {
    "services.*.secrets[]": {
        key: (written.replace("source: c", "source: s"), field, value)
        for key, (written, field, value) in EXAMPLES["services.*.configs[]"].items()
    }
    | {"source": ("s", "container.files.0.source", "shop_s")},
    "services.*.deploy.rollback_config": {
        key: (written, field.replace("update", "rollback"), value)
        for key, (written, field, value) in EXAMPLES["services.*.deploy.update_config"].items()
    }
    | {"failure_action": ("continue", "rollback.failure_action", FailureAction.CONTINUE)},
    **{
        f"services.*.{hook}[]": {
            "command": ("a", f"container.{hook}.0.command", ("a",)),
            "user": ("root, command: a", f"container.{hook}.0.user", "root"),
            "privileged": ("true, command: a", f"container.{hook}.0.privileged", True),
            "working_dir": ("/w, command: a", f"container.{hook}.0.working_dir", "/w"),
            "environment": ("[A=1], command: a", f"container.{hook}.0.environment", ("A=1",)),
        }
        for hook in ("post_start", "pre_stop")
    },
}
_DEVICES = "services.*.deploy.resources.reservations.devices[]"
EXAMPLES[_DEVICES] = {
    "capabilities": ("[tpu]", "container.device_requests.0.capabilities", ("tpu",)),
    "count": ("all, capabilities: [gpu]", "container.device_requests.0.count", -1),
    "device_ids": ("[a], capabilities: [gpu]", "container.device_requests.0.device_ids", ("a",)),
    "driver": ("d, capabilities: [gpu]", "container.device_requests.0.driver", "d"),
    "options": ("{o: 1}, capabilities: [gpu]", "container.device_requests.0.options", {"o": "1"}),
}
_GENERIC = "services.*.deploy.resources.reservations.generic_resources[]"
EXAMPLES[_GENERIC] = {"discrete_resource_spec": ("{kind: fpga, value: 2}", "generic", {"fpga": 2})}
EXAMPLES[f"{_GENERIC}.discrete_resource_spec"] = {
    "kind": ("fpga, value: 1", "generic", {"fpga": 1}),
    "value": ("3, kind: fpga", "generic", {"fpga": 3}),
}
# What `*` stands for, and what stands beside a mapping that needs something there.
NAMES = {
    "services.*": "web",
    "services.*.networks.*": "back",
    "services.*.depends_on.*": "db",
    "networks.*": "n",
    "volumes.*": "v",
}
BESIDE = {
    "services.*.volumes[].bind": ", type: bind, source: /a, target: /t",
    "services.*.volumes[].volume": ", type: volume, source: data, target: /t",
    "services.*.volumes[].tmpfs": ", type: tmpfs, target: /t",
    "services.*.x-bayplan": ", deploy: {mode: replicated-job}",
}
# How `web` uses what an example describes at the top of the file.
USES = {"networks": "networks: [n]", "volumes": "volumes: ['v:/v']", "configs": "configs: [x]"}
USES |= {"secrets": "secrets: [x]", "": ""}
AROUND = """
networks: {back: {driver: macvlan, ipam: {config: [{subnet: 10.9.0.0/16}, {subnet: "fd00::/64"}]}}}
volumes: {data: }
configs: {c: {content: x}}
secrets: {s: {content: y}}
"""
# What has tests of its own: builds, and where the content of configs and secrets comes from.
ELSEWHERE = ("services.*.build", "configs.*", "secrets.*")


def in_service(path: str, key: str, written: str) -> str:
    """A file whose service `web` has the example."""
    text = f"{key}: {written}"
    steps = path.split(".")
    for depth in range(len(steps), 2, -1):
        here = ".".join(steps[:depth])
        name, of_list, _ = steps[depth - 1].partition("[]")
        text = f"[{{{text}}}]" if of_list else f"{{{text}}}"
        text = f"{NAMES.get(here, name)}: {text}{BESIDE.get(here, '')}"
    image = "" if text.startswith(("image", "extends")) else "image: nginx, "
    other = 'db: {image: postgres, volumes: ["data:/db"], networks: [default]}'
    return f"services: {{web: {{{image}{text}}}, {other}}}{AROUND}"


def at_the_top(path: str, key: str, written: str) -> str:
    """A file whose service `web` uses the example."""
    text = f"{key}: {written}"
    steps = path.split(".") if path else []
    for depth in range(len(steps), 0, -1):
        name, of_list, _ = steps[depth - 1].partition("[]")
        text = f"[{{{text}}}]" if of_list else f"{{{text}}}"
        text = f"{NAMES.get('.'.join(steps[:depth]), name)}: {text}"
    use = USES.get(steps[0] if steps else key, "")
    service = f"services: {{web: {{image: nginx, {use}}}}}\n"
    # An engine's own driver takes what a network over all nodes has not.
    engines = text.replace("n: {ipam", "n: {driver: macvlan, ipam")
    return service if key == "services" else service + engines


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
    assert honoured == {(path, key) for path, keys in EXAMPLES.items() for key in keys}


@pytest.mark.parametrize(
    ("path", "key"),
    [
        pytest.param(path, key, id=f"{path}.{key}".lstrip("."))
        for path, keys in EXAMPLES.items()
        for key in keys
    ],
)
def test_an_honoured_key_arrives(path: str, key: str) -> None:
    written, field, value = EXAMPLES[path][key]
    text = (in_service if path.startswith("services") else at_the_top)(path, key, written)
    stack = loaded(text, FILES, COMPOSE_PROFILES="debug").stack
    web = next(service for service in stack.services if service.name == "web")
    assert value_at(web, field) == value
