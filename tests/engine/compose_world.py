"""From compose text to a container that runs, and ways to look at it: by the engine, and from inside."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from textwrap import dedent
from typing import Any, NamedTuple

from agent.commands import CreateContainer
from agent.decide.container import create_config
from agent.events import NodeRef
from agent.runtime.docker import DockerEngine
from bayplan.compose import Source, load
from bayplan.compose.project import Sent
from bayplan.model import Assignment, ContainerSpec, Desired
from tests.real.host import Host

NODE = NodeRef(node_id="keys", cluster_id="c1", name="node-1")
FOLDER = Path("/project")
TASK_ID = "keys"
#: Ends at once when it is told to.
SLEEP = "[sh, -c, \"trap 'exit 0' TERM INT; sleep 1000 & wait\"]"


class Seen:
    """A container that runs. What was looked at once is remembered: each look costs a process."""

    def __init__(self, host: Host, name: str) -> None:
        self.host = host
        self.name = name
        self._printed: dict[tuple[str, ...], str] = {}

    @cached_property
    def shown(self) -> dict[str, Any]:
        """What `docker inspect` shows."""
        return self.host.inspect(self.name)

    def inside(self, line: str) -> str:
        """What a shell line prints inside."""
        return self._docker("exec", self.name, "sh", "-c", line)

    def thing(self, kind: str, name: str) -> dict[str, Any]:
        """What `docker network inspect` or `docker volume inspect` shows."""
        found: list[dict[str, Any]] = json.loads(self._docker(kind, "inspect", name))
        return found[0]

    def _docker(self, *arguments: str) -> str:
        if arguments not in self._printed:
            self._printed[arguments] = self.host.docker(*arguments)
        return self._printed[arguments]


Look = Callable[[Seen], object]


class Case(NamedTuple):
    """A compose file whose service `web` is started; each of its keys with a look and what it must show.

    `$BINDS` in the text is a folder of the host, on a mount of its own that is shared; `$CGROUP` a name
    for a cgroup that is taken away with the host. With a `refusal` the engine, or the agent in its
    place, says in these words that it cannot: the key was asked for all the same.
    """

    name: str
    compose: str
    proofs: Mapping[str, tuple[Look, object]]
    files: Mapping[str, str] = {}
    refusal: str = ""


def said(seen: Seen) -> object:
    """The refusal has shown it."""
    return bool(seen)


def inside(line: str) -> Look:
    """What a shell line prints inside."""
    return lambda seen: seen.inside(line)


def cgroup(path: str) -> Look:
    """A file of the container's own cgroup (version 1)."""
    return inside(f"cat /sys/fs/cgroup/{path}")


def mount_options(target: str, *names: str) -> Look:
    """Some options of a mount, in their order in /proc/mounts."""
    pattern = "\\|".join(f"{name}=[^, ]*" for name in names)
    return inside(f"grep ' {target} ' /proc/mounts | grep -o '{pattern}' | tr '\\n' ' '")


def shown(*path: str | int) -> Look:
    """A value of `docker inspect`."""
    return lambda seen: _at(seen.shown, path)


def network(name: str, *path: str | int) -> Look:
    """A value of `docker network inspect`."""
    return lambda seen: _at(seen.thing("network", name), path)


def volume(name: str, *path: str | int) -> Look:
    """A value of `docker volume inspect`."""
    return lambda seen: _at(seen.thing("volume", name), path)


def as_on_the_host(namespace: str) -> Look:
    """Whether a namespace of the container is the host's."""
    link = f"/proc/self/ns/{namespace}"
    return lambda seen: seen.inside(f"readlink {link}") == seen.host.run("readlink", link).strip()


def _at(value: Any, path: tuple[str | int, ...]) -> object:
    for step in path:
        value = value[step]
    return value


def container_spec(case: Case, environment: Mapping[str, str]) -> ContainerSpec:
    """The service `web` as the agent is told of it."""
    project = Sent({FOLDER / name: text.encode() for name, text in case.files.items()})
    source = Source("compose.yaml", dedent(case.compose).encode())
    stack = load("shop", [source], environment, FOLDER, project=project).stack
    return next(each.container for each in stack.services if each.name == "web")


async def start(engine: DockerEngine, host: Host, spec: ContainerSpec) -> Seen:
    """Make and start a container as the agent does."""
    assignment = Assignment(
        task_id=TASK_ID,
        service="shop_web",
        stack="shop",
        slot=3,
        version=1,
        desired=Desired.RUN,
        spec_id="s",
    )
    config = create_config(NODE, assignment, spec)
    made = await engine.create(CreateContainer(task_id=TASK_ID, stack="shop", spec=spec, config=config))
    await engine.start(made.container_id)
    return Seen(host, made.container_id)
