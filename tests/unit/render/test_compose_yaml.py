"""A stack as a compose file: what is printed, and that loading it again gives the same stack."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import Enum
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints

import msgspec
import pytest
import yaml

from bayplan.compose import Source, load
from bayplan.model import (
    ContainerSpec,
    FileKind,
    Model,
    MountKind,
    ServiceSpec,
    StackFile,
    StackSpec,
)
from bayplan.render.compose_yaml import CONTENT_CHARS_MAX, CONTENTS_CHARS_MAX, render
from tests.unit.compose.stacks import comparable
from tests.unit.compose.world import FOLDER, loaded

replace = msgspec.structs.replace

#: Fields that a compose file does not show, and why.
UNSEEN = {
    "services.places": "lines of other files",
    "files.place": "lines of other files",
    "services.container.files.digest": "the controller's own",
    "services.container.expose.published": "what is exposed is not published",
    "services.container.expose.mode": "what is exposed is not published",
    "services.container.expose.name": "what is exposed has no long form",
    "services.container.expose.host_ip": "what is exposed is not published",
    "services.container.limits.disk_bytes": "no engine limits it; the controller refuses it",
    "services.container.limits.pids": "the limit is another field",
    "services.generation": "the controller's own",
    "services.rollback.canaries": "a rollback has none",
    "services.rollback.auto_promote": "a rollback has no canaries",
}


def again(stack: StackSpec) -> StackSpec:
    """The stack after it was printed and loaded."""
    return loaded(render(stack)).stack


def returns(text: str, files: dict[str, str] | None = None) -> None:
    """Asserts that a file's stack comes back from what is printed of it."""
    stack = loaded(text, files, HOME="/root").stack
    assert comparable(again(stack)) == comparable(stack), render(stack)


def of(container: ContainerSpec, **fields: Any) -> StackSpec:
    return StackSpec(name="shop", services=(ServiceSpec(name="web", container=container, **fields),))


#: A file with every key of which something becomes in a stack.
EVERYTHING = (Path(__file__).parent / "everything.yml").read_text()


def test_a_stack_with_every_key_comes_back() -> None:
    returns(EVERYTHING, {"conf.d/a.conf": "a\n", "conf.d/b/c.conf": "c\n\n", "run.sh": "#!/bin/sh\nexit\n"})


@pytest.mark.parametrize(
    "body",
    [
        "command: []",
        "healthcheck: {}",
        "healthcheck: {disable: true}",
        "healthcheck: {test: NONE}",
        "healthcheck: {test: [CMD, a, b]}",
        "healthcheck: {test: [CMD-SHELL, 'NONE']}",
        "network_mode: host",
        "network_mode: none",
        "networks: [default]",
        "networks: {default: {aliases: [x]}}",
        "pids_limit: -1",
        "gpus: all",
        "restart: 'no'",
        "restart: on-failure:3",
        "scale: 0",
        "deploy: {mode: global}",
        "deploy: {mode: replicated-job}",
        "deploy: {restart_policy: {delay: 0s, window: 0s}}",
        "deploy: {update_config: {monitor: 0s, delay: 0s}}",
        "deploy: {update_config: {order: stop-first}}",
        "deploy: {update_config: {failure_action: pause}}",
        "x-bayplan: {fence: true, drain: 0s}",
        "x-bayplan: {update: {deadline: 0s, canaries: 2, auto_promote: true}, rollback: {deadline: 1m}}",
        "x-bayplan: {schedule: {cron: '*/5 * * * MON'}}\ndeploy: {mode: global-job}",
        "labels: {'on': 'off', '<<': x, '1': 0x1F, y: n, 'a b': ' c ', d: '- e', f: 'g: h', i: '# j'}",
        "environment: {T: \"\\t\", R: \"\\r\\n\", S: \" \\n x\\n \", E: \"\\x1b[0m\", U: \"\\u2028 é 🐳\"}",
        "environment: ['A=b=c', 'x-y=1', 'N']",
        "mem_limit: 6291457\nmemswap_limit: 10m",
        "volumes: ['/a', '/b:/c:ro', {type: volume, target: '/d:e'}]",
        "volumes: [{type: volume, target: /f, read_only: true}]",
    ],
)  # fmt: skip
def test_what_is_special_about_a_service_comes_back(body: str) -> None:
    text = f"services:\n  web:\n    image: nginx\n    {body.replace(chr(10), chr(10) + '    ')}\n"
    returns(text)


@pytest.mark.parametrize(
    "top",
    [
        "default: {internal: true}",
        "default: {external: true, name: wan}",
        "default: {name: other}",
        "x: {external: true, name: default}",
        "x: {name: shop_y}, shop_y: {name: y}",
        "x: {external: {name: x}}",
    ],
)
def test_networks_keep_their_full_names(top: str) -> None:
    names = [entry.split(":")[0].strip() for entry in top.split("}, ")]
    services = f"services: {{a: {{image: a, networks: [{', '.join(names)}]}}, b: {{image: b}}}}"
    returns(f"{services}\nnetworks: {{{top}}}\n")


def test_the_file_is_as_people_write_it() -> None:
    text = """\
    services:
      web:
        image: nginx:1.27
        ports: ["8080:80"]
        environment: {MODE: "no", COST: 5$$}
        volumes: ["data:/data:ro"]
        configs: [site]
        deploy: {replicas: 2, resources: {limits: {cpus: 0.5, memory: 64m}}}
    volumes: {data: }
    configs: {site: {content: "a\\nb\\n"}}
    """
    assert render(loaded(text).stack) == (
        "name: shop\n"
        "services:\n"
        "  web:\n"
        "    image: nginx:1.27\n"
        "    environment:\n"
        "      COST: 5$$\n"
        '      MODE: "no"\n'
        "    ports:\n"
        '      - "8080:80"\n'
        "    volumes:\n"
        "      - data:/data:ro\n"
        "    configs:\n"
        "      - source: site\n"
        "    deploy:\n"
        "      replicas: 2\n"
        "      resources:\n"
        "        limits:\n"
        '          cpus: "0.5"\n'
        "          memory: 64M\n"
        "volumes:\n"
        "  data: {}\n"
        "configs:\n"
        "  site:\n"
        "    content: |\n"
        "      a\n"
        "      b\n"
    ).replace("      - source: site\n", "      - site\n")


@pytest.mark.parametrize(
    "text",
    ["no", "On", "y", "N", "22:22", "0440", "0o17", "1e3", "1.5", ".5", "0x1F", "~", "null", "", "2001-01-01",
     "1_000", "-.inf", ".NaN", "+1", "12e03", "190:20:30", "true", "1,000", "0b1", "="],
)  # fmt: skip
def test_what_some_reader_takes_for_another_type_is_quoted(text: str) -> None:
    printed = render(of(ContainerSpec(image="a", environment=(f"A={text}",))))
    (line,) = [line for line in printed.split("\n") if " A:" in line]
    assert line.split("A: ")[1][0] in "\"'"


def test_a_secret_is_external_and_its_content_is_not_shown() -> None:
    text = """\
    services: {web: {image: a, secrets: [key]}}
    secrets: {key: {content: hunter2, labels: {a: hunter2}}}
    """
    printed = render(loaded(text).stack)
    assert "hunter2" not in printed
    assert printed.startswith(
        "# These secrets are written as external, since their contents are not shown: shop_key\n"
    )
    assert yaml.safe_load(printed)["secrets"] == {"key": {"name": "shop_key", "external": True}}


@pytest.mark.parametrize(
    "content", [b"\xff\x00", b"a\x00b", b"x" * (CONTENT_CHARS_MAX + 1)], ids=["bytes", "NUL", "large"]
)
def test_a_config_that_is_not_small_text_is_external(content: bytes) -> None:
    stack = replace(
        of(ContainerSpec(image="a")), files=(StackFile(kind=FileKind.CONFIG, name="shop_c", content=content),)
    )
    assert yaml.safe_load(render(stack))["configs"] == {"c": {"name": "shop_c", "external": True}}
    assert render(stack).startswith("# These configs are written as external")


def test_configs_are_written_out_as_far_as_there_is_room() -> None:
    count = CONTENTS_CHARS_MAX // CONTENT_CHARS_MAX
    files = tuple(
        StackFile(kind=FileKind.CONFIG, name=f"shop_{number}", content=b"x" * CONTENT_CHARS_MAX)
        for number in range(count + 2)
    )
    configs = yaml.safe_load(render(replace(of(ContainerSpec(image="a")), files=files)))["configs"]
    assert sum("content" in config for config in configs.values()) == count


def test_out_of_the_cluster_every_file_is_external() -> None:
    file = StackFile(kind=FileKind.CONFIG, name="shop_c")
    stack = replace(of(ContainerSpec(image="a")), files=(file,))
    assert yaml.safe_load(render(stack, contents=False))["configs"] == {
        "c": {"name": "shop_c", "external": True}
    }
    assert yaml.safe_load(render(stack))["configs"] == {"c": {"content": ""}}


def test_the_longest_names_come_back() -> None:
    stack = "s" * 63
    text = (
        f"services: {{web: {{image: a, secrets: [{'k' * 63}]}}}}\nsecrets: {{{'k' * 63}: {{content: x}}}}\n"
    )
    found = load(stack, [Source("a.yml", text.encode())], {}, FOLDER).stack
    again = load(stack, [Source("b.yml", render(found).encode())], {}, FOLDER).stack
    assert again.files[0].name == f"{stack}_{'k' * 63}"


# Every field of the model, one by one: another value is printed otherwise.

SAMPLES: dict[Any, Any] = {
    str: "x",
    int: 7,
    bool: False,
    float: 0.5,
    bytes: b"x",
    dict[str, str]: {"k": "x"},
    dict[str, int]: {"k": 7},
}


def sample(kind: Any) -> Any:
    """A value of a type; of a struct, one all of whose fields are there."""
    arguments = [each for each in get_args(kind) if each is not NoneType]
    if kind in SAMPLES:
        return SAMPLES[kind]
    if get_origin(kind) is tuple:
        return (sample(arguments[0]),)
    if NoneType in get_args(kind):
        return sample(arguments[0])
    if issubclass(kind, Enum):
        return next(iter(kind))
    return kind(**{name: sample(hint) for name, hint in get_type_hints(kind).items()})


def another(value: Any, path: Sequence[str]) -> Any:
    """The value with another one at the path, in all items of a tuple."""
    match value:
        case tuple():
            return tuple(another(each, path) for each in value)
        case Model():
            return replace(value, **{path[0]: another(getattr(value, path[0]), path[1:])})
        case dict():
            return {key: another(each, path) for key, each in value.items()}
        case Enum():
            return next(member for member in type(value) if member is not value)
        case bool():
            return not value
        case _:
            return value + value


def leaves(kind: type[Model], path: str = "") -> Iterator[str]:
    """The paths of the fields of a struct and of the structs in it."""
    for name, hint in get_type_hints(kind).items():
        inner = [each for each in (hint, *get_args(hint)) if isinstance(each, type)]
        model = next((each for each in inner if issubclass(each, Model)), None)
        if model is None:
            yield f"{path}{name}"
        else:
            yield from leaves(model, f"{path}{name}.")


def full() -> StackSpec:
    """A stack in which every field has a value, with a mount of each kind."""
    stack: StackSpec = sample(StackSpec)
    (service,) = stack.services
    (mount,), (file,) = service.container.mounts, service.container.files
    container = replace(
        service.container,
        mounts=tuple(replace(mount, kind=kind, target=f"/{kind}") for kind in MountKind),
        files=tuple(replace(file, kind=kind, target=f"/{kind}") for kind in FileKind),
    )
    return replace(stack, services=(replace(service, container=container),))


@pytest.mark.parametrize("path", list(leaves(StackSpec)))
def test_every_field_of_the_model_is_printed(path: str) -> None:
    changed = another(full(), path.split("."))
    assert changed != full()
    assert (render(changed) == render(full())) == (path in UNSEEN)
