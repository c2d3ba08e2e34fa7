"""The keys of the Compose specification, as tables: what becomes of each, and how it is read.

The one place to add a key: a row here (or in the table of its mapping), a field in `typed`, its meaning in
the module that builds it. What bayplan does not honour is warned of or refused by name, never dropped in
silence.
"""

from __future__ import annotations

from bayplan.compose import decoders as read
from bayplan.compose import devices, modes, own_keys, typed
from bayplan.compose.build_keys import BUILD, build
from bayplan.compose.deploy_keys import (
    DEPLOY,
    LIMITS,
    PLACEMENT,
    PREFERENCE,
    RESERVATIONS,
    RESOURCES,
    RESTART_POLICY,
    ROLLBACK_CONFIG,
    UPDATE_CONFIG,
)
from bayplan.compose.fields import (
    Decoder,
    Keys,
    anything,
    choice,
    done_before,
    each,
    flag,
    labels,
    mapped,
    pairs,
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
from bayplan.compose.mounts import BIND, MOUNT, TMPFS, VOLUME_MOUNT, tmpfs, volumes, volumes_from
from bayplan.compose.names import parse_alias, parse_image
from bayplan.compose.network_keys import (
    ATTACHMENT,
    IPAM,
    NETWORK,
    POOL,
    VOLUME,
    attachments,
    network,
    volume,
)
from bayplan.compose.ports import PORT, expose, ports
from bayplan.limits import REPLICAS_MAX

_UNUSED = "those that no service uses are left out, with a warning"
_WINDOWS = "is of Windows, and has no effect on Linux"
_OF_WINDOWS = ("nodes run Linux", "remove it")
_MODELS = ("models are run by Docker Desktop", "write the model's server as a service with an image")

HEALTHCHECK: Keys = {
    "test": yes(read.health_test),
    "interval": yes(read.duration),
    "timeout": yes(read.duration),
    "start_period": yes(read.duration),
    "start_interval": yes(read.duration, "by engines from 25.0 on"),
    "retries": yes(read.count),
    "disable": yes(flag),
}
LOGGING: Keys = {"driver": yes(text), "options": yes(labels)}
DEPENDENCY: Keys = {
    "condition": yes(
        choice(
            {word: word for word in ("service_started", "service_healthy", "service_completed_successfully")}
        ),
        "a service whose completion is waited for, and that has no restart policy of its own, is started "
        "again on failure only",
    ),
    "restart": yes(flag, "a new version of the other service makes a new version of this one"),
    "required": yes(flag),
}
ENV_FILE: Keys = {
    "path": yes(text, "within the project folder"),
    "required": yes(flag),
    "format": yes(choice({"raw": "raw", "env": "", "dotenv": ""}), "`raw`: values as they are"),
}
HOOK: Keys = {
    "command": yes(words),
    "user": yes(text),
    "privileged": yes(flag),
    "working_dir": yes(read.absolute_path),
    "environment": yes(pairs),
}
_HOOKS = each(read.hook(struct(typed.Hook, HOOK, "a hook")))

SERVICE: Keys = {
    "image": yes(via(parse_image), keeps_empty=True),
    "build": mapped(
        build, "built by --build, on the machine of the command; otherwise `image` is used, with a warning"
    ),
    "pull_policy": mapped(
        modes.pull_policy, "`build`, `daily`, `weekly`, `every_...` are taken as `missing`"
    ),
    "pull_refresh_after": warned(text, "has no effect: images are not pulled again after a time"),
    "platform": yes(modes.platform),
    "command": yes(words, keeps_empty=True),
    "entrypoint": yes(words, keeps_empty=True),
    "environment": yes(read.environment, "with Swarm's placeholders, such as `{{.Task.Slot}}`"),
    "env_file": yes(
        read.env_files(struct(typed.EnvFile, ENV_FILE, "an env file")),
        "read when the file is loaded, within the project folder",
    ),
    "labels": yes(labels, "labels of the container"),
    "label_file": yes(read.paths, "read when the file is loaded, within the project folder"),
    "annotations": yes(labels, "by engines from 24.0 on; older ones are given none"),
    "container_name": mapped(via(parse_alias), "to an alias in its networks", "becomes a network alias"),
    "hostname": yes(read.templated),
    "domainname": yes(text),
    "user": yes(text),
    "group_add": yes(each(text)),
    "working_dir": yes(read.absolute_path),
    "tty": yes(flag),
    "stdin_open": yes(flag),
    "attach": warned(flag, "has no effect: the command does not stay with the containers"),
    "read_only": yes(flag),
    "init": yes(flag),
    "stop_signal": yes(read.stop_signal),
    "stop_grace_period": yes(read.duration),
    "healthcheck": yes(struct(typed.HealthCheck, HEALTHCHECK, "a health check")),
    "post_start": yes(_HOOKS),
    "pre_stop": yes(_HOOKS),
    "ports": yes(ports, "on every node, or with `mode: host` on those of the tasks"),
    "expose": yes(expose),
    "networks": yes(attachments),
    "network_mode": mapped(
        modes.network_mode, "`host`, `none`; `bridge` is the stack's default network; not `service:...`"
    ),
    "mac_address": yes(read.mac_address),
    "links": mapped(
        read.links, "to aliases of the other service in the networks that both are in, and to a dependency"
    ),
    "external_links": refused(
        "containers outside the file have no place in a stack",
        "join their network with `external: true` and use their names, or `extra_hosts`",
    ),
    "dns": yes(read.texts(read.address())),
    "dns_search": yes(read.texts()),
    "dns_opt": yes(read.texts()),
    "extra_hosts": yes(read.extra_hosts),
    "volumes": yes(volumes, "relative paths from the project folder"),
    "volumes_from": mapped(volumes_from, "to the same mounts as that service has, and to a dependency"),
    "volume_driver": refused(
        "it is of version 1 and 2", "name the driver in the top-level `volumes:`, as `driver:` of each volume"
    ),
    "tmpfs": yes(tmpfs),
    "configs": yes(file_uses),
    "secrets": yes(file_uses, "files in memory of the node, below `/run/secrets` where no target is given"),
    "depends_on": yes(
        read.names_or_map(struct(typed.Dependency, DEPENDENCY, "a dependency"), typed.Dependency())
    ),
    "restart": mapped(read.restart, "to deploy.restart_policy, which wins where both are given"),
    "scale": mapped(whole(0, REPLICAS_MAX), "to deploy.replicas"),
    "deploy": yes(struct(typed.Deploy, DEPLOY, "deploy")),
    "x-bayplan": yes(struct(typed.Bayplan, own_keys.BAYPLAN, "x-bayplan"), "what Compose has no word for"),
    "logging": yes(struct(typed.Logging, LOGGING, "logging")),
    "cap_add": yes(each(read.capability)),
    "cap_drop": yes(each(read.capability)),
    "security_opt": yes(each(modes.security_option), "a seccomp profile is read from the project folder"),
    "privileged": yes(flag, "where the cluster's policy allows it"),
    "devices": yes(each(devices.device), "paths of the node, where the cluster's policy allows it; no CDI"),
    "device_cgroup_rules": yes(each(devices.cgroup_rule)),
    "gpus": yes(devices.gpus, "counted on the nodes too"),
    "ipc": yes(modes.namespace("host", "none", "private", "shareable"), "not `service:...`"),
    "pid": yes(modes.namespace("host"), "`host` only"),
    "uts": yes(modes.namespace("host"), "`host` only"),
    "userns_mode": yes(modes.namespace("host"), "`host` only"),
    "cgroup": yes(modes.namespace("host", "private")),
    "cgroup_parent": yes(text),
    "sysctls": yes(labels),
    "ulimits": yes(devices.ulimits),
    "shm_size": yes(read.size),
    "pids_limit": mapped(read.pids, "to deploy.resources.limits.pids"),
    "mem_limit": mapped(read.memory_limit, "to deploy.resources.limits.memory"),
    "mem_reservation": mapped(read.size, "to deploy.resources.reservations.memory"),
    "mem_swappiness": yes(whole(0, 100)),
    "memswap_limit": yes(read.swap_limit),
    "oom_kill_disable": yes(flag),
    "oom_score_adj": yes(whole(-1_000, 1_000)),
    "cpus": mapped(read.cpus, "to deploy.resources.limits.cpus"),
    "cpu_shares": yes(read.count),
    "cpu_quota": yes(read.microseconds),
    "cpu_period": yes(read.microseconds),
    "cpu_rt_runtime": yes(read.microseconds),
    "cpu_rt_period": yes(read.microseconds),
    "cpuset": yes(read.cpu_set),
    "cpu_count": warned(text, _WINDOWS),
    "cpu_percent": warned(text, _WINDOWS),
    "blkio_config": yes(devices.block_io),
    "storage_opt": yes(labels),
    "runtime": yes(text),
    "isolation": yes(
        choice(
            {"default": "default"}, dict.fromkeys(("process", "hyperv"), "nodes run Linux: remove the key")
        ),
        "`default` only",
    ),
    "develop": warned(anything, "has no effect: nothing is watched here"),
    "extends": mapped(done_before, "to the keys of the other service, before anything else is read"),
    "profiles": yes(done_before, "services of profiles that are not enabled are left out"),
    "credential_spec": refused("it is of Windows, and nodes run Linux", "remove it"),
    "provider": refused(
        "providers are programs on one machine", "write the service with an image, or remove it"
    ),
    "models": refused(*_MODELS),
    "use_api_socket": refused(
        "containers do not get the engine of their node",
        "mount /var/run/docker.sock, where the cluster's policy allows it",
    ),
}

FILE: Keys = {
    "version": yes(text, "any; it has no meaning"),
    "name": mapped(text, "the stack's name, unless one is given", keeps_empty=True),
    "include": mapped(done_before, "to what the other files have, before anything else is read"),
    "services": yes(read.named(struct(typed.Service, SERVICE, "a service"))),
    "networks": yes(read.named(network), _UNUSED),
    "volumes": yes(read.named(volume), _UNUSED),
    "configs": yes(read.named(config), _UNUSED),
    "secrets": yes(read.named(secret), _UNUSED),
    "models": refused(*_MODELS),
}

#: Reads a whole file.
file: Decoder[typed.File] = struct(typed.File, FILE, "a compose file")

#: Every table with the path of its mapping, for the documentation; `[]` stands for each item of a list.
TABLES: dict[str, Keys] = {
    "": FILE,
    "services.*": SERVICE,
    "services.*.build": BUILD,
    "services.*.env_file[]": ENV_FILE,
    "services.*.healthcheck": HEALTHCHECK,
    "services.*.post_start[]": HOOK,
    "services.*.pre_stop[]": HOOK,
    "services.*.ports[]": PORT,
    "services.*.networks.*": ATTACHMENT,
    "services.*.volumes[]": MOUNT,
    "services.*.volumes[].bind": BIND,
    "services.*.volumes[].volume": VOLUME_MOUNT,
    "services.*.volumes[].tmpfs": TMPFS,
    "services.*.configs[]": FILE_USE,
    "services.*.secrets[]": FILE_USE,
    "services.*.depends_on.*": DEPENDENCY,
    "services.*.logging": LOGGING,
    "services.*.devices[]": devices.DEVICE,
    "services.*.gpus[]": devices.DEVICE_REQUEST,
    "services.*.ulimits.nofile": devices.ULIMIT,
    "services.*.blkio_config": devices.BLKIO_CONFIG,
    "services.*.deploy": DEPLOY,
    "services.*.deploy.resources": RESOURCES,
    "services.*.deploy.resources.limits": LIMITS,
    "services.*.deploy.resources.reservations": RESERVATIONS,
    "services.*.deploy.resources.reservations.devices[]": devices.DEVICE_REQUEST,
    "services.*.deploy.resources.reservations.generic_resources[]": devices.GENERIC,
    "services.*.deploy.resources.reservations.generic_resources[].discrete_resource_spec": devices.DISCRETE,
    "services.*.deploy.restart_policy": RESTART_POLICY,
    "services.*.deploy.update_config": UPDATE_CONFIG,
    "services.*.deploy.rollback_config": ROLLBACK_CONFIG,
    "services.*.deploy.placement": PLACEMENT,
    "services.*.deploy.placement.preferences[]": PREFERENCE,
    "services.*.x-bayplan": own_keys.BAYPLAN,
    "services.*.x-bayplan.schedule": own_keys.SCHEDULE,
    "services.*.x-bayplan.affinity[]": own_keys.AFFINITY,
    "services.*.x-bayplan.anti_affinity[]": own_keys.AFFINITY,
    "services.*.x-bayplan.reservations": own_keys.RESERVATIONS,
    "services.*.x-bayplan.probe": own_keys.PROBE,
    "services.*.x-bayplan.update": own_keys.UPDATE,
    "services.*.x-bayplan.rollback": own_keys.ROLLBACK,
    "networks.*": NETWORK,
    "networks.*.x-bayplan": own_keys.SPAN,
    "networks.*.ipam": IPAM,
    "networks.*.ipam.config[]": POOL,
    "volumes.*": VOLUME,
    "configs.*": CONFIG,
    "secrets.*": SECRET,
}
