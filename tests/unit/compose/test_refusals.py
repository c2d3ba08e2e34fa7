"""Bad files: each error has its line, its cause and the way out, and none hides another."""

from __future__ import annotations

from pathlib import Path

import pytest

from bayplan.compose import Source, load, schema
from bayplan.compose.fields import Support
from bayplan.compose.report import PROBLEMS_MAX
from bayplan.errors import ProblemError
from tests.unit.compose.world import loaded, refusal, service, service_refusal


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
        ("privileged: true", "services.web.privileged is not supported yet", "remove the key"),
        (
            "networks: {back: {ipv4_address: 1.2.3.4}}",
            "services.web.networks.back.ipv4_address is not supported yet",
            "remove the key",
        ),
        (
            "deploy: {mode: global}",
            "services.web.deploy.mode global is not supported yet",
            "write replicated",
        ),
        (
            "deploy: {update_config: {order: start-first}}",
            "services.web.deploy.update_config.order start-first is not supported yet",
            "write stop-first",
        ),
        (
            "deploy: {update_config: {monitor: 5s}}",
            "services.web.deploy.update_config.monitor is not supported yet",
            "remove the key",
        ),
        (
            "deploy: {placement: {preferences: [{spread: node.labels.a}]}}",
            "services.web.deploy.placement.preferences is not supported yet",
            "remove the key",
        ),
        (
            "deploy: {resources: {limits: {pids: 5}}}",
            "services.web.deploy.resources.limits.pids is not supported yet",
            "remove the key",
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
            "volumes: ['data:/d:nocopy']",
            "services.web.volumes[0] has the option nocopy, which is not supported yet",
            "write ro, rw or none",
        ),
        (
            "volumes: [{type: bind, source: /a}]",
            "services.web.volumes[0] has no target",
            "add `target: /path`",
        ),
        (
            "volumes: [{type: npipe, target: /a}]",
            "services.web.volumes[0].type npipe is not supported yet",
            None,
        ),
        (
            "volumes: [{type: bind, source: /a, target: /b, tmpfs: {size: 1}}]",
            "services.web.volumes[0] has options of tmpfs, but is of type bind",
            None,
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
            "environment: {A: '{{.Task.Slot}}'}",
            "services.web.environment has a template of Docker Swarm in 'A', which is not supported yet",
            "remove the {{...}}",
        ),
        (
            "env_file: none.env",
            "env_file 'none.env' cannot be read: it was not sent with the compose files (/srv/app/none.env)",
            None,
        ),
        (
            "env_file: ../x.env",
            "env_file '../x.env' is outside the project folder",
            "files that a compose file names must be in its folder or below",
        ),
        (
            "env_file: [{path: a.env}]",
            "services.web.env_file[0] in its long form (path, required, format) is not supported yet",
            "write the path alone",
        ),
        (
            "deploy: {placement: {constraints: [node.idd==a]}}",
            "services.web.deploy.placement.constraints[0] is wrong: 'node.idd' is not a key of a constraint",
            "did you mean node.id?",
        ),
        ("working_dir: app", "services.web.working_dir is not an absolute path: 'app'", "begin it with /"),
        (
            "networks: {back: {aliases: [a b]}}",
            "services.web.networks.back.aliases[0] is wrong: 'a b' is not a name",
            None,
        ),
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
        (
            "ports: [{target: 80, published: 80-81}]",
            "services.web.ports[0] maps a range to another number of targets, which is not supported yet",
            None,
        ),
        ("healthcheck: {test: [CMD]}", "services.web.healthcheck.test has nothing to run after CMD", None),
        (
            "healthcheck: {test: [CMD-SHELL, a, b]}",
            "services.web.healthcheck.test has several lines after CMD-SHELL",
            'write one, or begin with "CMD"',
        ),
        ("extra_hosts: [a]", "services.web.extra_hosts[0] is not a host: 'a'", 'write "name:address"'),
        ("container_name: a b", "services.web.container_name is wrong: 'a b' is not a name", None),
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
        ("- a", "compose.yml:1: a compose file is a mapping, not a list"),
        ("services:\n  web:", "compose.yml:2: services.web shall be a mapping, not nothing"),
        ("services:\n  web: {user: x}", "compose.yml:2: services.web has no image"),
        (
            "services:\n  web:\n    build: .",
            "compose.yml:3: services.web has `build` but no `image`: nothing is built here",
        ),
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
        (
            "services: {a: {image: a}}\nnetworks: {n: {driver: overlay}}",
            "compose.yml:2: networks.n.driver 'overlay' is not supported yet",
        ),
        (
            "services: {a: {image: a}}\nnetworks: {n: {external: true}}",
            "compose.yml:2: networks.n.external is not supported yet",
        ),
        (
            "services: {a: {image: a}}\nvolumes: {v: {driver: nfs}}",
            "compose.yml:2: volumes.v.driver 'nfs' is not supported yet",
        ),
        (
            "services: {a: {image: a}}\nvolumes: {v: {name: x}}",
            "compose.yml:2: volumes.v.name is not supported yet",
        ),
        (
            "services: {a: {image: a}}\nvolumes: {v: {external: {name: x}}}",
            "compose.yml:2: volumes.v.external with a name inside is not supported yet",
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
    lines = service_refusal("ports: [x, y]\nnetworks: [bak]\nprivileged: true\nuser: ${A?}\nimage: B\n")
    places = [line.split(":")[2] for line in lines if line.startswith("error")]
    assert places == ["4", "4", "5", "6", "7", "8"]


def test_no_more_mistakes_are_shown_than_one_can_read() -> None:
    text = "services:\n" + "".join(f"  s{i}: {{imge: x, image: a}}\n" for i in range(100))
    lines = refusal(text)
    assert len([line for line in lines if line.startswith("error")]) == PROBLEMS_MAX + 1
    assert lines[-1] == "error: and further errors"


@pytest.mark.parametrize("path", list(schema.TABLES))
def test_every_key_that_is_not_supported_is_refused_by_name(path: str) -> None:
    for name, key in schema.TABLES[path].items():
        if key.support is Support.REFUSED:
            steps = [step.replace("*", "a") for step in path.split(".") if step]
            text = "services: {a: {image: a}}\nnetworks: {a: }\n" if not steps else ""
            inner = f"{{{name}: 1, image: a}}" if path == "services.*" else f"{{{name}: 1}}"
            for step in reversed(steps):
                inner = f"{{{step}: {inner}}}"
            where = ".".join([*steps, name])
            text = text + f"{name}: 1" if not steps else inner
            assert any(f"{where} is not supported yet" in line for line in refusal(text)), where



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
