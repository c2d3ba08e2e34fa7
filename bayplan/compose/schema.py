"""The keys of the Compose specification, as tables: what becomes of each, and how it is read.

The one place to add a key: a row here, a field in `typed`, its meaning in `build`. What the
specification knows and bayplan does not is refused by name, never dropped in silence.
"""

from __future__ import annotations

from bayplan.compose import decoders as read
from bayplan.compose import typed
from bayplan.compose.fields import (
    Decoder,
    Keys,
    anything,
    choice,
    each,
    flag,
    labels,
    mapped,
    refused,
    struct,
    text,
    via,
    warned,
    whole,
    words,
    yes,
)
from bayplan.compose.file_keys import CONFIG, FILE_USE, SECRET, config, file_uses, secret
from bayplan.compose.mounts import tmpfs, volumes
from bayplan.compose.names import parse_constraint, parse_image, parse_name
from bayplan.compose.ports import expose, ports
from bayplan.limits import REPLICAS_MAX
from bayplan.model import RestartCondition

_DRIVER_HINT = "remove the driver"

HEALTHCHECK: Keys = {
    "test": yes(read.health_test),
    "interval": yes(read.duration),
    "timeout": yes(read.duration),
    "start_period": yes(read.duration),
    "retries": yes(read.count),
    "disable": yes(flag),
    **refused("start_interval"),
}
LOGGING: Keys = {"driver": yes(text), "options": yes(labels)}
LIMITS: Keys = {"cpus": yes(read.cpus), "memory": yes(read.memory_limit), **refused("pids")}
RESERVATIONS: Keys = {
    "cpus": yes(read.cpus),
    "memory": yes(read.size),
    **refused("devices", "generic_resources"),
}
RESTART_POLICY: Keys = {
    "condition": yes(
        choice(
            {
                "any": RestartCondition.ANY,
                "on-failure": RestartCondition.ON_FAILURE,
                "none": RestartCondition.NONE,
            }
        )
    ),
    "delay": mapped(read.duration, "the first delay; further ones double up to 5 minutes"),
    "max_attempts": yes(read.count),
    "window": yes(read.duration),
}
UPDATE_CONFIG: Keys = {
    "parallelism": yes(read.count),
    "delay": yes(read.duration),
    "order": yes(choice({"stop-first": "stop-first"}, ("start-first",))),
    **refused("monitor", "max_failure_ratio", "failure_action"),
}
PLACEMENT: Keys = {
    "constraints": yes(each(via(parse_constraint))),
    "max_replicas_per_node": yes(whole(0, REPLICAS_MAX)),
    **refused("preferences"),
}
ATTACHMENT: Keys = {
    "aliases": yes(each(via(parse_name))),
    **refused(
        "driver_opts", "gw_priority", "interface_name", "ipv4_address", "ipv6_address", "link_local_ips",
        "mac_address", "priority",
    ),
}  # fmt: skip
DEPENDENCY: Keys = {
    "condition": yes(
        choice(
            {word: word for word in ("service_started", "service_healthy", "service_completed_successfully")}
        )
    ),
    "restart": yes(flag),
    "required": yes(flag),
}
NETWORK: Keys = {
    "driver": yes(read.only("bridge", _DRIVER_HINT), "bridge only"),
    **refused(
        "attachable",
        "driver_opts",
        "enable_ipv4",
        "enable_ipv6",
        "external",
        "internal",
        "ipam",
        "labels",
        "name",
    ),
}
VOLUME: Keys = {
    "driver": yes(read.only("local", _DRIVER_HINT), "local only"),
    "external": yes(read.external),
    "name": yes(text, "of an external volume only"),
    **refused("driver_opts", "labels"),
}


_amounts = {
    "limits": yes(struct(typed.Amounts, LIMITS, "limits")),
    "reservations": yes(struct(typed.Amounts, RESERVATIONS, "reservations")),
}

DEPLOY: Keys = {
    "mode": yes(choice({"replicated": "replicated"}, ("global", "replicated-job", "global-job"))),
    "replicas": yes(whole(0, REPLICAS_MAX)),
    "labels": yes(labels, "labels of the service"),
    "resources": yes(struct(typed.Resources, _amounts, "deploy.resources")),
    "restart_policy": yes(struct(typed.Restart, RESTART_POLICY, "a restart policy")),
    "update_config": yes(struct(typed.Update, UPDATE_CONFIG, "update_config")),
    "placement": yes(struct(typed.Placement, PLACEMENT, "a placement")),
    **refused("endpoint_mode", "rollback_config"),
}

# What the specification has for a service and bayplan does not yet.
_SERVICE_REFUSED = (
    "annotations", "attach", "blkio_config", "cgroup", "cgroup_parent", "cpu_count",
    "cpu_percent", "cpu_period", "cpu_quota", "cpu_rt_period", "cpu_rt_runtime", "cpu_shares", "cpuset",
    "credential_spec", "develop", "device_cgroup_rules", "devices", "dns", "dns_opt", "dns_search",
    "domainname", "driver_opts", "extends", "external_links", "gpus", "group_add", "ipc", "isolation",
    "label_file", "links", "mac_address", "mem_swappiness", "memswap_limit", "models", "network_mode",
    "oom_kill_disable", "oom_score_adj", "pid", "pids_limit", "platform", "post_start", "pre_stop",
    "privileged", "profiles", "provider", "pull_policy", "runtime", "security_opt", "shm_size",
    "storage_opt", "sysctls", "ulimits", "use_api_socket", "userns_mode", "uts", "volume_driver",
    "volumes_from",
)  # fmt: skip

SERVICE: Keys = {
    "image": yes(via(parse_image)),
    "build": warned(anything, "is ignored: nothing is built here, the image is used"),
    "command": yes(words),
    "entrypoint": yes(words),
    "environment": yes(read.environment),
    "env_file": yes(read.env_files, "short form; read when the file is loaded, within the project folder"),
    "labels": yes(labels, "labels of the container"),
    "hostname": yes(read.untemplated),
    "user": yes(text),
    "working_dir": yes(read.absolute_path),
    "tty": yes(flag),
    "stdin_open": yes(flag),
    "read_only": yes(flag),
    "init": yes(flag),
    "stop_signal": yes(read.stop_signal),
    "stop_grace_period": yes(read.duration),
    "healthcheck": yes(struct(typed.HealthCheck, HEALTHCHECK, "a health check")),
    "ports": mapped(ports, "published on the node of each task, in both modes"),
    "expose": yes(expose),
    "volumes": yes(volumes, "relative paths from the project folder; a bind path must exist on the node"),
    "tmpfs": yes(tmpfs),
    "networks": yes(
        read.names_or_map(struct(typed.Attachment, ATTACHMENT, "a service's network"), typed.Attachment())
    ),
    "logging": yes(struct(typed.Logging, LOGGING, "logging")),
    "cap_add": yes(each(read.capability)),
    "cap_drop": yes(each(read.capability)),
    "extra_hosts": yes(read.extra_hosts),
    "restart": mapped(read.restart, "to deploy.restart_policy, which wins where both are given"),
    "scale": mapped(whole(0, REPLICAS_MAX), "to deploy.replicas"),
    "depends_on": warned(
        read.names_or_map(struct(typed.Dependency, DEPENDENCY, "a dependency"), typed.Dependency()),
        "is checked, but the order is not honoured yet",
    ),
    "container_name": mapped(via(parse_name), "to an alias in its networks", "becomes a network alias"),
    "mem_limit": mapped(read.memory_limit, "to deploy.resources.limits.memory"),
    "mem_reservation": mapped(read.size, "to deploy.resources.reservations.memory"),
    "cpus": mapped(read.cpus, "to deploy.resources.limits.cpus"),
    "deploy": yes(struct(typed.Deploy, DEPLOY, "deploy")),
    "configs": yes(file_uses),
    "secrets": yes(file_uses, "files in memory of the node, below `/run/secrets` where no target is given"),
    **refused(*_SERVICE_REFUSED),
}

FILE: Keys = {
    "version": yes(text, "any; it has no meaning"),
    "name": mapped(text, "the stack's name, unless one is given"),
    "services": yes(read.named(struct(typed.Service, SERVICE, "a service"))),
    "networks": yes(read.named(struct(typed.Network, NETWORK, "a network"), typed.Network())),
    "volumes": yes(read.named(struct(typed.Volume, VOLUME, "a volume"), typed.Volume())),
    "configs": yes(read.named(config), "those that no service uses are left out"),
    "secrets": yes(read.named(secret), "those that no service uses are left out"),
    **refused("include", "models"),
}

#: Reads a whole file.
file: Decoder[typed.File] = struct(typed.File, FILE, "a compose file")

#: Every table with the path of its mapping, for the documentation.
TABLES: dict[str, Keys] = {
    "": FILE,
    "services.*": SERVICE,
    "services.*.healthcheck": HEALTHCHECK,
    "services.*.logging": LOGGING,
    "services.*.networks.*": ATTACHMENT,
    "services.*.depends_on.*": DEPENDENCY,
    "services.*.deploy": DEPLOY,
    "services.*.deploy.resources.limits": LIMITS,
    "services.*.deploy.resources.reservations": RESERVATIONS,
    "services.*.deploy.restart_policy": RESTART_POLICY,
    "services.*.deploy.update_config": UPDATE_CONFIG,
    "services.*.deploy.placement": PLACEMENT,
    "networks.*": NETWORK,
    "volumes.*": VOLUME,
    "services.*.configs.*": FILE_USE,
    "services.*.secrets.*": FILE_USE,
    "configs.*": CONFIG,
    "secrets.*": SECRET,
}
