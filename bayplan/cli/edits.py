"""What a flag does to a service's spec. Pure: each takes a spec and the flag's texts and gives the new spec.

Wrong text is a ValueError that names the good forms. Knows no flag by name (that is `flags`), no cluster.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from msgspec.structs import replace

from bayplan.compose.names import parse_attribute, parse_constraint, parse_image
from bayplan.compose.ports import parse_port, parse_protocol
from bayplan.limits import REPLICAS_MAX
from bayplan.model import (
    Affinity,
    FileKind,
    FileMount,
    HealthCheck,
    Model,
    Mount,
    NetworkAttachment,
    NetworkSpec,
    PortMode,
    PortSpec,
    Protocol,
    Schedule,
    ServiceSpec,
)

T = TypeVar("T")
S = TypeVar("S", bound=Model)
#: Makes a new spec of one, with the texts that were given for a flag.
Edit = Callable[[ServiceSpec, Sequence[str]], ServiceSpec]
Parse = Callable[[str], Any]

#: Networks of an engine whose members are in no other.
_MODES = ("host", "none")
#: A health check of which only some is said: 0 is "as in the image", as for the engine.
_OF_IMAGE = HealthCheck(test=(), interval_ms=0, timeout_ms=0, retries=0)


def sets(path: str, parse: Parse = str) -> Edit:
    """Sets the field of that path (`container.user`) to the last text given."""
    return lambda spec, given: _changed(spec, path, lambda _old: parse(given[-1]))


def puts(path: str, value: object) -> Edit:
    """Sets a field to a value of the flag's own."""
    return lambda spec, _given: _changed(spec, path, lambda _old: value)


def appends(path: str, parse: Parse = str) -> Edit:
    """Adds to a tuple what is not in it."""
    return lambda spec, given: _changed(
        spec, path, lambda old: tuple(dict.fromkeys((*old, *map(parse, given))))
    )


def drops(path: str, parse: Parse = str) -> Edit:
    """Takes items out of a tuple. One that is not there is a mistake."""

    def edit(spec: ServiceSpec, given: Sequence[str]) -> ServiceSpec:
        gone = [parse(each) for each in given]
        return _changed(spec, path, lambda old: _without(old, gone, lambda item: item))

    return edit


def drops_named(path: str, key: Callable[[Any], str]) -> Edit:
    """Takes items out of a tuple by what names them."""
    return lambda spec, given: _changed(spec, path, lambda old: _without(old, given, key))


def maps(path: str) -> Edit:
    """Puts `KEY=VALUE` into a mapping; `KEY` alone has an empty value."""

    def edit(spec: ServiceSpec, given: Sequence[str]) -> ServiceSpec:
        pairs = dict(pair(each) for each in given)
        return _changed(spec, path, lambda old: {**old, **pairs})

    return edit


def counts(path: str) -> Edit:
    """Puts `NAME=NUMBER` into a mapping."""

    def edit(spec: ServiceSpec, given: Sequence[str]) -> ServiceSpec:
        goods = {name: whole(1)(number) for name, number in map(pair, given)}
        return _changed(spec, path, lambda old: {**old, **goods})

    return edit


def unmaps(path: str) -> Edit:
    """Takes keys out of a mapping."""
    return lambda spec, given: _changed(
        spec,
        path,
        lambda old: {key: old[key] for key in _without(tuple(old), given, lambda item: item)},
    )


def environment(spec: ServiceSpec, given: Sequence[str]) -> ServiceSpec:
    """Sets variables, `NAME=VALUE`, each in the place of an earlier one of its name."""
    for each in given:
        if not each.partition("=")[0]:
            raise ValueError(f"{each!r} is not a variable: write NAME=VALUE")
    return _changed(spec, "container.environment", lambda old: _merged(old, given, variable))


def variable(text: str) -> str:
    """The name of a variable."""
    return text.partition("=")[0]


def ports(spec: ServiceSpec, given: Sequence[str]) -> ServiceSpec:
    """Publishes ports on every node: `8080:80/tcp`, or `published=8080,target=80`, with `mode=host` on those
    of the tasks."""
    found = [port for each in given for port in _ports(each)]
    return _changed(spec, "container.ports", lambda old: tuple(dict.fromkeys((*old, *found))))


def port_removals(spec: ServiceSpec, given: Sequence[str]) -> ServiceSpec:
    """Publishes targets no more, `80` or `80/udp`, as Docker names them."""
    gone = [each if "/" in each else f"{each}/{Protocol.TCP}" for each in given]
    return _changed(
        spec,
        "container.ports",
        lambda old: _without(old, gone, lambda port: f"{port.target}/{port.protocol}"),
    )


def mounts(spec: ServiceSpec, given: Sequence[str]) -> ServiceSpec:
    """Adds mounts, each in the place of one with its target."""
    from bayplan.cli.mounts import parse_mount

    found = tuple(parse_mount(each) for each in given)
    return _changed(spec, "container.mounts", lambda old: _merged(old, found, target_of))


def short_mounts(spec: ServiceSpec, given: Sequence[str]) -> ServiceSpec:
    """The same, as `docker run -v` writes them."""
    from bayplan.cli.mounts import parse_short_mount

    found = tuple(parse_short_mount(each) for each in given)
    return _changed(spec, "container.mounts", lambda old: _merged(old, found, target_of))


def target_of(mount: Mount) -> str:
    """Where it is in the container."""
    return mount.target


def networks(spec: ServiceSpec, given: Sequence[str]) -> ServiceSpec:
    """Joins networks by their full names; `host` and `none` stand alone."""
    if any(each in _MODES for each in given):
        if len(given) > 1 or spec.container.networks:
            raise ValueError("the networks host and none stand alone: a task in one of them is in no other")
        return _changed(spec, "container.network_mode", lambda _old: given[0])
    joined = tuple(
        NetworkAttachment(network=each, aliases=(spec.name,), spec=NetworkSpec(external=True))
        for each in given
    )
    spec = _changed(spec, "container.network_mode", lambda _old: "")
    return _changed(spec, "container.networks", lambda old: _merged(old, joined, network_of))


def network_of(attachment: NetworkAttachment) -> str:
    """The network's full name."""
    return attachment.network


def files(kind: FileKind) -> Edit:
    """Mounts secrets or configs: `NAME`, or `source=NAME,target=PATH,uid=0,gid=0,mode=0440`."""

    def edit(spec: ServiceSpec, given: Sequence[str]) -> ServiceSpec:
        from bayplan.cli.mounts import parse_file

        found = tuple(parse_file(kind, each) for each in given)
        return _changed(spec, "container.files", lambda old: _merged(old, found, lambda file: file.target))

    return edit


def file_removals(kind: FileKind) -> Edit:
    """Mounts secrets or configs no more, by their full names."""

    def edit(spec: ServiceSpec, given: Sequence[str]) -> ServiceSpec:
        def name(file: FileMount) -> str:
            return file.source if file.kind is kind else ""

        return _changed(spec, "container.files", lambda old: _without(old, given, name))

    return edit


def health(name: str, parse: Parse) -> Edit:
    """Sets a field of the health check; what nobody said of it is as in the image."""

    def edit(spec: ServiceSpec, given: Sequence[str]) -> ServiceSpec:
        if spec.container.health_check is None:
            first = HealthCheck(test=()) if name == "test" else _OF_IMAGE
            spec = _changed(spec, "container.health_check", lambda _old: first)
        spec = _changed(spec, "container.health_check_disabled", lambda _old: False)
        return _changed(spec, f"container.health_check.{name}", lambda _old: parse(given[-1]))

    return edit


def no_health(spec: ServiceSpec, _given: Sequence[str]) -> ServiceSpec:
    """No health check, not even the image's."""
    container = replace(spec.container, health_check=None, health_check_disabled=True)
    return replace(spec, container=container)


def affinities(*, anti: bool) -> Edit:
    """Wants to be near tasks of a service, or away from them; each in the place of one that compares the
    same of the same service."""

    def edit(spec: ServiceSpec, given: Sequence[str]) -> ServiceSpec:
        from bayplan.cli.affinities import parse_affinity

        found = tuple(parse_affinity(each, anti=anti) for each in given)
        return _changed(spec, "affinities", lambda old: _merged(old, found, _compared))

    return edit


def affinity_removals(*, anti: bool) -> Edit:
    """Wants it no more, by the services' names."""
    return drops_named("affinities", lambda each: each.service if each.anti is anti else "")


def _compared(affinity: Affinity) -> tuple[str, str, bool]:
    return affinity.service, affinity.topology, affinity.anti


def image(spec: ServiceSpec, given: Sequence[str]) -> ServiceSpec:
    """Another image; where the old one was written says nothing about it."""
    places = {key: place for key, place in spec.places.items() if key != "image"}
    container = replace(spec.container, image=parse_image(given[-1]))
    return replace(spec, container=container, places=places)


def replicas(spec: ServiceSpec, given: Sequence[str]) -> ServiceSpec:
    """How many tasks; a global service has as many as there are nodes."""
    if spec.mode.value.startswith("global"):
        raise ValueError(f"a {spec.mode.replace('_', '-')} service has one task on each node that fits")
    return replace(spec, replicas=whole(0, REPLICAS_MAX)(given[-1]))


def schedule(name: str, parse: Parse = str) -> Edit:
    """Sets a field of a job's schedule; its times come first."""

    def edit(spec: ServiceSpec, given: Sequence[str]) -> ServiceSpec:
        before = spec.schedule
        if before is None and name != "cron":
            raise ValueError("it belongs to a schedule: add --schedule")
        return replace(spec, schedule=replace(before or Schedule(cron=""), **{name: parse(given[-1])}))

    return edit


def again(spec: ServiceSpec, _given: Sequence[str]) -> ServiceSpec:
    """New tasks though nothing else has changed."""
    return replace(spec, generation=spec.generation + 1)


def whole(least: int, most: int = 999_999_999) -> Callable[[str], int]:
    """Reads a whole number from `least` to `most`."""

    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) <= 9 and least <= int(text) <= most):
            raise ValueError(f"{text!r} is not a whole number from {least} to {most}")
        return int(text)

    return parse


def share(text: str) -> float:
    """Reads a number from 0 to 1."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise ValueError(f"{text!r} is not a share: write a number from 0 to 1, as in 0.2")
    return value


def one_of(words: Mapping[str, T]) -> Callable[[str], T]:
    """Reads one of some words."""

    def parse(text: str) -> T:
        if text not in words:
            raise ValueError(f"{text!r} is none of {', '.join(words)}")
        return words[text]

    return parse


def command(text: str) -> tuple[str, ...]:
    """Reads words as a shell would."""
    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        raise ValueError(f"{text!r} is not a command: {error}".lower()) from None


def shell(text: str) -> tuple[str, ...]:
    """A health check's command, run by the container's shell."""
    return ("CMD-SHELL", text)


def constraint(text: str) -> str:
    """A placement constraint in its usual form."""
    return parse_constraint(text)


def preference(text: str) -> str:
    """`spread=node.labels.zone`."""
    kind, equals, key = text.partition("=")
    if kind != "spread" or not equals:
        raise ValueError(f"{text!r} is not a preference: write spread=node.labels.NAME")
    return parse_attribute(key)


def host(text: str) -> str:
    """`HOST:IP`, as the engine takes it."""
    name, colon, address = text.partition(":")
    if not (name and colon and address):
        raise ValueError(f"{text!r} is not an entry of /etc/hosts: write HOST:IP")
    return text


def capability(text: str) -> str:
    """A capability of Linux as compose files have it."""
    return text.upper().removeprefix("CAP_")


def _changed(spec: S, path: str, change: Callable[[Any], Any]) -> S:
    """The struct with the field of that path changed."""
    name, _, rest = path.partition(".")
    old = getattr(spec, name)
    return replace(spec, **{name: _changed(old, rest, change) if rest else change(old)})


def _merged(old: Sequence[T], new: Sequence[T], key: Callable[[T], Any]) -> tuple[T, ...]:
    """The old items in their order, each of a new one's key replaced by it; then the new keys."""
    by_key = {key(item): item for item in old}
    by_key.update((key(item), item) for item in new)
    return tuple(by_key.values())


def _without(old: Sequence[T], gone: Sequence[Any], key: Callable[[T], Any]) -> tuple[T, ...]:
    known = {key(item) for item in old}
    for each in gone:
        if each not in known:
            there = ", ".join(sorted(filter(None, map(str, known)))) or "none"
            raise ValueError(f"{each!r} is not there to be removed; there is: {there}")
    return tuple(item for item in old if key(item) not in gone)


def pair(text: str) -> tuple[str, str]:
    key, _, value = text.partition("=")
    if not key:
        raise ValueError(f"{text!r} is not KEY=VALUE")
    return key, value


def _ports(text: str) -> tuple[PortSpec, ...]:
    if "=" not in text:
        return parse_port(text)
    given = dict(pair(each) for each in text.split(","))
    mode = given.pop("mode", PortMode.INGRESS)
    if mode not in tuple(PortMode) or set(given) - {"published", "target", "protocol"}:
        good = "published=8080,target=80,protocol=tcp,mode=host"
        raise ValueError(f"{text!r} is not a port: write {good}")
    published = f"{given['published']}:" if given.get("published") else ""
    protocol = parse_protocol(given.get("protocol", "tcp"))
    found = parse_port(f"{published}{given.get('target', '')}/{protocol}")
    return tuple(replace(port, mode=PortMode(mode)) for port in found)
