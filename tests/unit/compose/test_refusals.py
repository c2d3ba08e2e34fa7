"""Bad files: each error has its line, its cause and the way out, and none hides another."""

from __future__ import annotations

from pathlib import Path

import pytest

from bayplan.compose import Source, load, schema
from bayplan.compose.fields import Support
from bayplan.compose.report import PROBLEMS_MAX
from bayplan.errors import ProblemError
from tests.unit.compose.world import loaded, nested, refusal, service, service_refusal


@pytest.mark.parametrize(
    ("body", "summary", "hint"),
    [
        ("imge: x", "services.web.imge is not a key of a service", "did you mean image?"),
        (
            "zzz: x",
            "services.web.zzz is not a key of a service",
            "remove it, or begin its name with x- to keep it for yourself",
        ),
        (
            "healthcheck: {intervall: 5s}",
            "services.web.healthcheck.intervall is not a key of a health check",
            "did you mean interval?",
        ),
        (
            "deploy: {replica: 2}",
            "services.web.deploy.replica is not a key of deploy",
            "did you mean replicas?",
        ),
        (
            "x-bayplan: {fenc: true}",
            "services.web.x-bayplan.fenc is not a key of x-bayplan",
            "did you mean fence?",
        ),
        (
            "x-bayplan: {probe: {port: 80}}",
            "services.web.x-bayplan.probe does not say how",
            "add `type: http`, `tcp` or `grpc`",
        ),
        (
            "x-bayplan: {probe: {type: tcp, port: 80, path: /}}",
            "services.web.x-bayplan.probe has path, which is for type http",
            "remove `path`",
        ),
        (
            "x-bayplan: {probe: {type: tcp}}",
            "services.web.x-bayplan.probe does not say at which port",
            "add `port: NUMBER`, or declare one in `ports` or `expose`",
        ),
        (
            "network_mode: none\nx-bayplan: {probe: {type: tcp, port: 80}}",
            "services.web.x-bayplan.probe: nothing reaches a container without a network",
            "remove the probe, or write a `healthcheck`, which runs within",
        ),
        (
            "x-bayplan: {probe: {type: tcp, port: 80, interval: 10ms}}",
            "services.web.x-bayplan.probe.interval shall be from 100ms to 60m",
            None,
        ),
        (
            "x-bayplan: {probe: {type: http, port: 80, path: health}}",
            "services.web.x-bayplan.probe.path is wrong: a path begins with / and has no spaces",
            "write it like /health",
        ),
        (
            "deploy: {mode: global-job}\nx-bayplan: {schedule: {cron: '0 25 * * *'}}",
            "services.web.x-bayplan.schedule.cron is wrong: '0 25 * * *' is no schedule: bad hour",
            None,
        ),
        (
            "deploy: {mode: global-job}\nx-bayplan: {schedule: {cron: '0 3 * * *', timezone: Europe/Berln}}",
            "services.web.x-bayplan.schedule.timezone is wrong: 'Europe/Berln' is no time zone; "
            "did you mean Europe/Berlin?",
            None,
        ),
        (
            "deploy: {mode: global-job}\nx-bayplan: {schedule: {timezone: UTC}}",
            "services.web.x-bayplan.schedule does not say when",
            'add `cron: "*/5 * * * *"`',
        ),
        (
            "x-bayplan: {schedule: {cron: '0 3 * * *'}}",
            "services.web.x-bayplan.schedule is for jobs, and services.web is none",
            "add `deploy: {mode: replicated-job}`, or remove the key",
        ),
        (
            "x-bayplan: {ttl: 1h}",
            "services.web.x-bayplan.ttl is for jobs, and services.web is none",
            "add `deploy: {mode: replicated-job}`, or remove the key",
        ),
        ("volumes: [dat:/d]", "the volume 'dat' is not in the file's volumes", "did you mean data?"),
        (
            "volumes: [zzz:/d]",
            "the volume 'zzz' is not in the file's volumes",
            "add it to the top-level `volumes:`, or write ./zzz for a folder",
        ),
        (
            "volumes: [a/b:/d]",
            "services.web.volumes[0] 'a/b' is not a name of a volume",
            "for a folder write ./a/b",
        ),
        (
            "volumes: ['C:\\\\a:/d']",
            "services.web.volumes[0] names a path of Windows, which no node has",
            None,
        ),
        (
            "volumes: [{type: bind, source: /a}]",
            "services.web.volumes[0] has no target",
            "add `target: /path`",
        ),
        (
            "volumes: [data:d]",
            "services.web.volumes[0] is wrong: 'd' is not an absolute path in the container",
            None,
        ),
        ("volumes: ['~/a:/b']", "the home folder of '~/a' is not known", "write the whole path"),
        ("networks: [bak]", "the network 'bak' is not in the file's networks", "did you mean back?"),
        ("ports: [http]", "services.web.ports[0] is wrong: 'http' is not a port", None),
        (
            "ports: [{published: 80}]",
            "services.web.ports[0] has no target port",
            "add `target: 80`, the port inside the container",
        ),
        ("ports: {a: b}", "services.web.ports shall be a list, not a mapping", None),
        (
            "expose: '80'",
            "services.web.expose shall be a list, not a single value",
            "begin each value with a dash: `- VALUE`",
        ),
        (
            "environment: [{A: b}]",
            "services.web.environment[0] shall be a single value, not a mapping",
            "write `- NAME=value`, or `NAME: value` without the dash",
        ),
        (
            "ports: ['1-5000:1-5000/udp']",
            "services.web.ports[0] is wrong: '1-5000' are more than the 1000 ports that a service may have",
            "publish fewer, or write `network_mode: host`, where each port of the container is the node's",
        ),
        ("command: {a: b}", "services.web.command shall be a single value, not a mapping", None),
        (
            "command: a 'b",
            "services.web.command cannot be split into words: No closing quotation",
            "close the quote, or write the command as a list",
        ),
        ("deploy: [a]", "services.web.deploy shall be a mapping, not a list", None),
        ("tty: maybe", "services.web.tty shall be true or false, not 'maybe'", None),
        (
            "deploy: {replicas: many}",
            "services.web.deploy.replicas shall be a whole number from 0 to 10000, not 'many'",
            None,
        ),
        (
            "deploy: {replicas: -1}",
            "services.web.deploy.replicas shall be a whole number from 0 to 10000, not '-1'",
            None,
        ),
        (
            "scale: 2\ndeploy: {replicas: 3}",
            "services.web has both scale and deploy.replicas, and they differ",
            "remove scale",
        ),
        (
            "mem_limit: 1m",
            "services.web.mem_limit is '1m', less than the 6 MiB that an engine takes",
            "write 6m or more",
        ),
        (
            "mem_limit: 10m\nmem_reservation: 20m",
            "services.web reserves more memory than its limit: 20 MiB of 10 MiB",
            "lower the reservation or raise the limit",
        ),
        (
            "deploy: {resources: {limits: {cpus: 1}, reservations: {cpus: 2}}}",
            "services.web reserves more CPU than its limit: 2 CPU of 1 CPU",
            "lower the reservation or raise the limit",
        ),
        (
            "stop_grace_period: 10",
            "services.web.stop_grace_period is wrong: '10' is not a duration: "
            "write it like 1m30s, 10s, 500ms or 1h, for seconds: 10s",
            None,
        ),
        (
            "stop_signal: please",
            "services.web.stop_signal is not a signal: 'please'",
            "write it like SIGTERM or 15",
        ),
        ("restart: sometimes", "services.web.restart has the unknown value 'sometimes'", None),
        (
            "healthcheck: {test: [curl, x]}",
            "services.web.healthcheck.test begins with 'curl'",
            'begin the list with "CMD" or "CMD-SHELL"',
        ),
        ("depends_on: [wb]", "services.web depends on 'wb', which is not in the file", "did you mean web?"),
        ("depends_on: [web]", "services.web depends on itself", "remove that"),
        (
            "depends_on: {a: {condition: ready, required: false}}",
            "services.web.depends_on.a.condition has the unknown value 'ready'",
            None,
        ),
        ("environment: [=a]", "services.web.environment[0] has no usable name: ''", "write NAME=value"),
        (
            "env_file: none.env",
            "env_file 'none.env' cannot be read: it was not sent with the compose files",
            "make that file, or write it as `- {path: PATH, required: false}`",
        ),
        (
            "env_file: ../x.env",
            "env_file '../x.env' is outside the project folder",
            "move it there, or widen it with --project-directory: relative paths start there",
        ),
        (
            "deploy: {placement: {constraints: [node.idd==a]}}",
            "services.web.deploy.placement.constraints[0] is wrong: 'node.idd' is not a key of a constraint",
            "did you mean node.id?",
        ),
        (
            "deploy: {placement: {constraints: [node.role==a, 'node.labels.n > x']}}",
            "services.web.deploy.placement.constraints[1] is wrong: 'x' is not a number (column 17)",
            "write it like 2.5",
        ),
        (
            "deploy: {placement: {preferences: [{spread: node.labls.zone}]}}",
            "services.web.deploy.placement.preferences[0].spread is wrong: 'node.labls.zone' is not an "
            "attribute of nodes",
            "did you mean node.labels.zone?",
        ),
        (
            f"deploy: {{placement: {{constraints: [{'node.id==a, ' * 51}]}}}}",
            "services.web.deploy.placement.constraints has 51 items",
            "write at most 50",
        ),
        (
            "x-bayplan: {strategy: sprad}",
            "services.web.x-bayplan.strategy has the unknown value 'sprad'",
            "did you mean spread?",
        ),
        (
            "x-bayplan: {priority: 101}",
            "services.web.x-bayplan.priority shall be a whole number from 0 to 100, not '101'",
            None,
        ),
        (
            "x-bayplan: {priority: -1}",
            "services.web.x-bayplan.priority shall be a whole number from 0 to 100, not '-1'",
            None,
        ),
        (
            "x-bayplan: {reservations: {disk: -1g}}",
            "services.web.x-bayplan.reservations.disk is wrong: '-1g' is not a size: write it like 512MiB, "
            "1g, 64k or a number of bytes",
            None,
        ),
        (
            "x-bayplan: {reservations: {pids: .nan}}",
            "services.web.x-bayplan.reservations.pids shall be a whole number from 0 to 4194304, not '.nan'",
            None,
        ),
        (
            "x-bayplan: {affinity: [wep]}",
            "services.web has an affinity to 'wep', which is not in the file",
            "did you mean web?",
        ),
        (
            "x-bayplan: {affinity: [{topology: node}]}",
            "services.web.x-bayplan.affinity[0] does not say to which service",
            "add `service: NAME`",
        ),
        (
            "x-bayplan: {anti_affinity: [{service: web, topology: node.zone}]}",
            "services.web.x-bayplan.anti_affinity[0].topology is wrong: 'node.zone' is not an attribute of "
            "nodes",
            None,
        ),
        (
            "x-bayplan: {volumes: home}",
            "services.web.x-bayplan.volumes has the unknown value 'home'",
            "write prefer or stay",
        ),
        (
            "deploy: {replicas: 1000000000000}",
            "services.web.deploy.replicas shall be a whole number from 0 to 10000, not '1000000000000'",
            None,
        ),
        ("working_dir: app", "services.web.working_dir is not an absolute path: 'app'", "begin it with /"),
        ("volumes: ['data:']", "services.web.volumes[0] 'data:' is not a mount", None),
        (
            "volumes: [{type: bind, target: /a}]",
            "services.web.volumes[0] is a bind mount without a source",
            "add `source: /folder/of/the/node`",
        ),
        (
            "volumes: [{type: tmpfs, source: a, target: /a}]",
            "services.web.volumes[0] is a tmpfs with a source",
            "remove the source",
        ),
        ("healthcheck: {test: [CMD]}", "services.web.healthcheck.test has nothing to run after CMD", None),
        ("extra_hosts: [a]", "services.web.extra_hosts[0] is not a host: 'a'", 'write "name:address"'),
        (
            "networks: {back: {ipv4_address: 1.2.3.4}}",
            "the address 1.2.3.4 is in no subnet of the network shop_back",
            "write one under its `ipam: {config: [{subnet: ...}]}`",
        ),
        (
            "networks: {back: {ipv4_address: '::1'}}",
            "services.web.networks.back.ipv4_address is not an IPv4 address: '::1'",
            None,
        ),
        (
            "networks: {back: {aliases: [a b]}}",
            "services.web.networks.back.aliases[0] is wrong: 'a b' is not a name on a network",
            None,
        ),
        (
            "network_mode: 'service:vpn'",
            "services.web.network_mode service:... is not supported",
            None,
        ),
        (
            "network_mode: frontend",
            "services.web.network_mode has the unknown value 'frontend'",
            "write bridge, host or none; a network of that name goes under `networks`",
        ),
        (
            "network_mode: host\nnetworks: [back]",
            "services.web has both network_mode and networks",
            "keep one of them",
        ),
        (
            "network_mode: host\nmac_address: '02:42:ac:11:00:03'",
            "services.web has mac_address with network_mode host, where it cannot be set",
            "remove mac_address",
        ),
        (
            "uts: host\nhostname: h",
            "services.web has hostname with uts host, where it cannot be set",
            "remove hostname",
        ),
        ("pid: 'container:x'", "services.web.pid container:... is not supported", None),
        (
            "deploy: {mode: everywhere}",
            "services.web.deploy.mode has the unknown value 'everywhere'",
            "write replicated or global or replicated-job or global-job",
        ),
        (
            "deploy: {mode: global, replicas: 2}",
            "services.web has 2 replicas, but one task on each node: its mode is global",
            "remove replicas, or write `mode: replicated`",
        ),
        (
            "restart: always\ndeploy: {mode: replicated-job}",
            "services.web is a job, which ends with success, but it is always started again",
            "write on-failure, or remove the policy",
        ),
        (
            "deploy: {rollback_config: {failure_action: rollback}}",
            "services.web.deploy.rollback_config.failure_action has the unknown value 'rollback'",
            None,
        ),
        (
            "deploy: {update_config: {max_failure_ratio: 3}}",
            "services.web.deploy.update_config.max_failure_ratio shall be a share from 0 to 1, not '3'",
            None,
        ),
        (
            "deploy: {placement: {preferences: [{spread: node.label.a}]}}",
            "services.web.deploy.placement.preferences[0].spread is wrong: 'node.label.a' is not an "
            "attribute of nodes",
            None,
        ),
        (
            "deploy: {resources: {reservations: {devices: [{count: 1}]}}}",
            "services.web.deploy.resources.reservations.devices[0] has no capabilities",
            "add `capabilities: [gpu]`",
        ),
        (
            "gpus: [{count: 1, device_ids: [a]}]",
            "services.web.gpus[0] has both count and device_ids",
            "keep one of them",
        ),
        (
            "pids_limit: 5\ndeploy: {resources: {limits: {pids: 6}}}",
            "services.web has both pids_limit and deploy.resources.limits.pids, and they differ",
            "remove pids_limit",
        ),
        (
            "cpus: 1\ncpu_quota: 50000",
            "services.web has both cpu_quota and a limit of CPUs",
            "remove cpu_quota",
        ),
        ("memswap_limit: 1g", "services.web has memswap_limit, but no limit of memory", "add mem_limit"),
        (
            "mem_limit: 2g\nmemswap_limit: 1g",
            "services.web has less memory and swap together than memory: 1 GiB of 2 GiB",
            None,
        ),
        (
            "ulimits: {nofiles: 5}",
            "services.web.ulimits.nofiles has the unknown value 'nofiles'",
            "did you mean nofile?",
        ),
        (
            "ulimits: {nofile: {soft: 5, hard: 4}}",
            "services.web.ulimits.nofile has a soft limit above the hard one: 5 of 4",
            "raise the hard one",
        ),
        (
            "devices: [nvidia.com/gpu=all]",
            "services.web.devices[0] names a device of the CDI, which is not supported: 'nvidia.com/gpu=all'",
            None,
        ),
        (
            "devices: [sda]",
            "services.web.devices[0] is not a device",
            'write "/dev/a", "/dev/a:/dev/b" or "/dev/a:/dev/b:rwm"',
        ),
        ("device_cgroup_rules: [x]", "services.web.device_cgroup_rules[0] is not a device rule: 'x'", None),
        (
            "blkio_config: {device_read_bps: [{rate: 1}]}",
            "services.web.blkio_config.device_read_bps[0] has no path of a device",
            "add `path: /dev/sda`",
        ),
        ("security_opt: [secomp=x]", "services.web.security_opt[0] has the unknown option 'secomp'", None),
        (
            "security_opt: ['seccomp:none.json']",
            "the seccomp profile 'none.json' cannot be read: it was not sent with the compose files",
            "make that file",
        ),
        (
            "platform: windows/amd64",
            "services.web.platform 'windows/amd64' is not supported",
            "nodes run Linux: write linux/amd64",
        ),
        (
            "pull_policy: allways",
            "services.web.pull_policy has the unknown value 'allways'",
            "did you mean always?",
        ),
        ("dns: [example]", "services.web.dns[0] is not an IP address: 'example'", None),
        ("cpuset: a", "services.web.cpuset is not a set of CPUs: 'a'", "write it like 0-3 or 0,2"),
        ("post_start: [{user: root}]", "services.web.post_start[0] has no command", "add `command: [...]`"),
        (
            "external_links: [a]",
            "services.web.external_links is not supported",
            "containers outside the file have no place in a stack: join their network with `external: true` "
            "and use their names, or `extra_hosts`",
        ),
        (
            "volumes: ['data:/d:rslave']",
            "services.web.volumes[0] has the option rslave, which is not one of a volume mount",
            None,
        ),
        (
            "volumes: ['data:/d:rx']",
            "services.web.volumes[0] has the unknown option 'rx'",
            None,
        ),
        (
            "volumes: [{type: npipe, target: /a}]",
            "services.web.volumes[0].type npipe is not supported",
            "named pipes are of Windows, and nodes run Linux: mount a socket with `type: bind`",
        ),
        (
            "volumes: [{type: bind, source: /a, target: /b, bind: {recursive: readonly}}]",
            "services.web.volumes[0].bind.recursive readonly is not supported",
            None,
        ),
        (
            "volumes_from: ['container:x']",
            "services.web.volumes_from[0] container:... is not supported",
            None,
        ),
        (
            "volumes_from: [wbe]",
            "services.web has volumes from 'wbe', which is not in the file",
            "did you mean web?",
        ),
        ("links: [dbb]", "services.web links to 'dbb', which is not in the file", None),
        (
            "environment: {A: '{{.Service.Labels.x}}'}",
            "services.web.environment holds the unknown placeholder '.Service.Labels.x'",
            None,
        ),
        ("env_file: [{required: false}]", "services.web.env_file[0] has no path", "add `path: ./FILE`"),
        (
            "ports: [{target: 80-81, published: 80-82}]",
            "services.web.ports[0] is wrong: 3 published ports cannot be mapped to 2 targets",
            None,
        ),
        (
            "container_name: a b",
            "services.web.container_name is wrong: 'a b' is not a name on a network",
            None,
        ),
        (
            "build: {context: ., dockerfile: a, dockerfile_inline: FROM x}",
            "services.web.build has both dockerfile and dockerfile_inline",
            "keep one of them",
        ),
    ],
)
def test_a_mistake_in_a_service_is_named_with_its_line(body: str, summary: str, hint: str | None) -> None:
    last = body.count("\n") + 4
    lines = service_refusal(body)
    assert lines[0].removeprefix("error: ") in [f"compose.yml:{line}: {summary}" for line in (4, last)]
    hints = [line.removeprefix("hint: ") for line in lines if line.startswith("hint")]
    assert hint is None or hints == [hint]
    assert len([line for line in lines if line.startswith("error")]) == 1


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("services: {}", "compose.yml:1: the file has no services"),
        ("version: '3'\nservices:", "compose.yml:2: the file has no services"),
        (
            "web:\n  image: a\ndb: {build: .}",
            "compose.yml:1: the file is of version 1, which has no `services`",
        ),
        ("- a", "compose.yml:1: a compose file is a mapping, not a list"),
        ("services:\n  web:", "compose.yml:2: services.web shall be a mapping, not nothing"),
        ("services:\n  web: {user: x}", "compose.yml:2: services.web has no image"),
        (
            "services:\n  web: {image: A}",
            "compose.yml:2: services.web.image is wrong: 'A' is not an image reference",
        ),
        ("services:\n  w b: {image: a}", "compose.yml:2: 'w b' is not a name"),
        ("services: {a: {image: a}}\nservces: 1", "compose.yml:2: servces is not a key of a compose file"),
        (
            "services: {a: {image: a}}\nsecrets: {a: }",
            "compose.yml:2: secrets.a does not say where its content comes from",
        ),
        ("services:\n  web:\n    image: ''", "compose.yml:3: services.web.image is wrong: it is empty"),
        (
            "services:\n  web:\n    build: .",
            "compose.yml:3: services.web has `build` but no `image`: nothing is built without --build",
        ),
        (
            "services: {a: {image: a}}\nnetworks: {n: {external: true, driver: x}}",
            "compose.yml:2: networks.n is external and has driver too",
        ),
        (
            "services: {a: {image: a}}\nvolumes: {v: {external: true, labels: {a: b}}}",
            "compose.yml:2: volumes.v is external and has labels too",
        ),
        (
            "services: {a: {image: a}}\nnetworks: {n: {ipam: {config: [{subnet: 10.0.0.0}, {subnet: x}]}}}",
            "compose.yml:2: networks.n.ipam.config[1].subnet is not a range of addresses: 'x'",
        ),
        (
            "services: {a: {image: a}}\nnetworks: {n: {enable_ipv4: false}}",
            "compose.yml:2: networks.n.enable_ipv4 false is not supported",
        ),
    ],
)
def test_a_mistake_in_the_file_is_named_with_its_line(text: str, start: str) -> None:
    lines = refusal(text)
    assert lines[0] == f"error: {start}"
    assert len([line for line in lines if line.startswith("error")]) == 1


def test_one_published_port_for_two_services_names_both_lines() -> None:
    text = """\
    services:
      a:
        image: a
        ports: ["8080:80"]
      b:
        image: b
        ports:
          - 443
          - "8080:81"
    """
    assert refusal(text)[:2] == [
        "error: compose.yml:9: services.b publishes port 8080/tcp, which is published by services.a too",
        "  the first time at compose.yml:4",
    ]


@pytest.mark.parametrize(
    ("one", "other", "clash"),
    [
        ("80:1", "80:2", True),
        ("80:1", "80:1/udp", False),
        ("80:1", "127.0.0.1:80:1", True),
        ("127.0.0.1:80:1", "80:1", True),
        ("127.0.0.1:80:1", "127.0.0.2:80:1", False),
        ("0.0.0.0:80:1", "127.0.0.1:80:1", True),
        ("0.0.0.0:80:1", "[::]:80:1", False),
        ("[::1]:80:1", "[::]:80:1", True),
        ("80:1", "[::]:80:1", True),
        ("80", "80", False),
        ("80-90:80-90", "85:1", True),
    ],
)
def test_ports_clash_where_an_engine_would_say_so(one: str, other: str, clash: bool) -> None:
    text = f"services: {{a: {{image: a, ports: ['{one}']}}, b: {{image: b, ports: ['{other}']}}}}"
    if clash:
        assert "which is published by services.a too" in refusal(text)[0]
    else:
        loaded(text)


def test_a_mount_target_that_is_used_twice_names_both_lines() -> None:
    lines = service_refusal("volumes:\n  - data:/d\n  - /d/\ntmpfs: /d/.\n")
    assert lines[:2] == [
        "error: compose.yml:6: services.web mounts '/d' twice",
        "  the first time at compose.yml:5",
    ]
    assert lines[3].startswith("error: compose.yml:7")


def test_many_mistakes_are_reported_together_in_the_order_of_the_file() -> None:
    lines = service_refusal("ports: [x, y]\nnetworks: [bak]\nprovider: {type: x}\nuser: ${A?}\nimage: B\n")
    places = [line.split(":")[2] for line in lines if line.startswith("error")]
    assert places == ["4", "4", "5", "6", "7", "8"]


def test_no_more_mistakes_are_shown_than_one_can_read() -> None:
    text = "services:\n" + "".join(f"  s{i}: {{imge: x, image: a}}\n" for i in range(100))
    lines = refusal(text)
    assert len([line for line in lines if line.startswith("error")]) == PROBLEMS_MAX + 1
    assert lines[-1] == "error: and further errors"


def with_service(path: str, inner: str) -> str:
    """A file with a good service, and in line 2 a mapping of another table."""
    top, _, below = path.partition(".")
    return "services: {a: {image: a}}\n" + (f"{top}: {nested(below, inner)}" if top else inner)


@pytest.mark.parametrize("path", list(schema.TABLES))
def test_every_key_that_is_not_supported_is_refused_with_its_reason(path: str) -> None:
    for name, key in schema.TABLES[path].items():
        if key.support is Support.REFUSED:
            inner = f"{name}: [1], image: a" if path == "services.*" else f"{name}: [1]"
            of_service = path.startswith("services")
            lines = refusal(nested(path, inner) if of_service else with_service(path, inner))
            where = ".".join([*path.replace("*", "a").replace("[]", "[0]").split("."), name]).lstrip(".")
            assert f"error: compose.yml:{1 if of_service else 2}: {where} is not supported" in lines
            assert f"hint: {key.note}" in lines
            assert ": " in key.note, "the reason, and what to write"


@pytest.mark.parametrize("name", ["Shop", "a b", "-a"])
def test_a_bad_name_of_a_stack_is_refused(name: str) -> None:
    with pytest.raises(ProblemError, match="is not a stack's name"):
        load(name, [Source("a.yml", b"services: {a: {image: a}}")], {}, Path("/srv"))


def test_without_a_name_the_files_own_counts() -> None:
    text = b"name: ${N}\nservices: {a: {image: a}}"
    assert load("", [Source("a.yml", text)], {"N": "mine"}, Path("/srv")).stack.name == "mine"
    with pytest.raises(ProblemError, match="is not a stack's name") as caught:
        load("", [Source("a.yml", text)], {}, Path("/srv"))
    assert caught.value.problem.place == "a.yml:1"
    with pytest.raises(ProblemError, match="has no name"):
        load("", [Source("a.yml", text.split(b"\n")[1])], {}, Path("/srv"))


def test_undecodable_variables_of_the_environment_do_not_exist() -> None:
    assert service("environment: [A]", A="\udcff").container.environment == ("A",)
