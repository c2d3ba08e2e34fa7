"""Loads compose files of other people, of which neither the variables nor the other files are at hand.

`Circumstances` says what a file is given: values for its variables, small files for those that it lacks,
the file that it only changes, and the profiles whose services are meant to run together.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import yaml

from bayplan.compose.images import Build
from bayplan.compose.nodes import Source
from bayplan.compose.pipeline import load
from bayplan.compose.project import FileStat, PathKind
from bayplan.compose.rim import Disk
from bayplan.errors import Problem, ProblemError
from bayplan.model import StackSpec

#: Values for variables without a default, by what their names say; the first match counts.
SUPPLIED = (
    (r"REPLICAS|COUNT|WORKERS|SCALE", "1"), (r"MEM|SIZE", "512m"), (r"CPU", "1"),
    (r"TIMEOUT|INTERVAL|PERIOD", "10s"), (r"UID|GID|PUID|PGID", "1000"), (r"VERSION|TAG|RELEASE", "1"),
    (r"IMAGE", "example/image:1"), (r"DIR|PATH|ROOT|FOLDER|LOCATION|DATA|VOLUME", "./data"),
    (r"MAIL", "someone@example.org"), (r"URL", "http://example.org"), (r"IP$|^IP_|SUBNET", "10.0.0.1"),
    (r"HOST|DOMAIN|ADDR|SERVER", "example.org"),
)  # fmt: skip
#: Values tried for a variable of which the name says nothing, until the file has fewer errors.
TRIED = ("1", "18070", "10s", "./data", "/data", "always", "10.0.0.1", "127.0.0.1:18071", "512m", "true")
#: Value of a variable that nothing is known of.
UNKNOWN = "value"
#: Ports for variables that name one, each its own, from this one on.
FIRST_PORT = 18_080
#: Most variables for which values are tried.
TRIED_VARIABLES_MAX = 40

_VARIABLE = re.compile(r"(?<!\$)\$\{?([A-Za-z_][A-Za-z0-9_]*)(?![A-Za-z0-9_]*:?[-+])")
_BASES = ("docker-compose.yml", "docker-compose.yaml", "compose.yml", "compose.yaml")


class Supplying(Disk):
    """The disk, with a small file wherever one is read that the folder lacks; of YAML it is empty."""

    def kind(self, path: Path) -> PathKind:
        found = super().kind(path)
        return PathKind.FILE if found is PathKind.MISSING else found

    def read(self, path: Path, bytes_max: int) -> bytes:
        return super().read(path, bytes_max) if path.exists() else self._content(path)

    def stat(self, path: Path) -> FileStat:
        return super().stat(path) if path.exists() else FileStat(len(self._content(path)), executable=False)

    def _content(self, path: Path) -> bytes:
        return b"" if path.suffix in (".yml", ".yaml") else b"SUPPLIED=1\n"


class Circumstances(NamedTuple):
    """What a file at `path` is given. Each group of profiles is loaded by itself; `refused` are not."""

    path: Path
    variables: dict[str, str]
    profiles: tuple[tuple[str, ...], ...] = (("*",),)
    refused: tuple[str, ...] = ()
    base: Path | None = None
    lacking: bool = False
    stack: str = "bench"


class Outcome(NamedTuple):
    """A load: stacks and warnings without their places, or problems."""

    stacks: tuple[StackSpec, ...]
    builds: tuple[Build, ...]
    warnings: frozenset[str]
    problems: tuple[Problem, ...]


class Yaml(yaml.SafeLoader):
    """Takes all plain values as text, as YAML 1.2 and compose files mean most of them, and any tag."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Takes `<<` of nothing too, as the loader under test does."""
        node.value = [pair for pair in node.value if not _merges_nothing(*pair)]
        super().flatten_mapping(node)


Yaml.yaml_implicit_resolvers = {
    first: [each for each in resolvers if each[0].endswith((":null", ":merge"))]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _merges_nothing(key: yaml.Node, value: yaml.Node) -> bool:
    return key.tag.endswith(":merge") and value.tag.endswith(":null")


def _untagged(loader: Yaml, _suffix: str, node: yaml.Node) -> Any:
    match node:
        case yaml.MappingNode():
            return loader.construct_mapping(node, deep=True)
        case yaml.SequenceNode():
            return loader.construct_sequence(node, deep=True)
        case yaml.ScalarNode():
            return loader.construct_scalar(node)


Yaml.add_multi_constructor("!", _untagged)


def supplied(text: str) -> dict[str, str]:
    """A value for each variable that the text uses without a default of its own."""
    names = dict.fromkeys(name for name in _VARIABLE.findall(text) if name != "COMPOSE_PROJECT_NAME")
    ports = iter(range(FIRST_PORT, FIRST_PORT + len(names)))
    return {name: str(next(ports)) if "PORT" in name.upper() else _value(name) for name in names}


def _value(name: str) -> str:
    return next((value for pattern, value in SUPPLIED if re.search(pattern, name)), UNKNOWN)


def outcome(text: bytes, given: Circumstances) -> Outcome:
    """Loads a text in its circumstances; images that would be built count as named."""
    folder = given.path.parent.absolute()
    files = [Source(str(given.path), text)]
    if given.base is not None:
        files.insert(0, Source(str(given.base), given.base.read_bytes()))
    stacks: list[StackSpec] = []
    builds: tuple[Build, ...] = ()
    warnings: frozenset[str] = frozenset()
    for profiles in given.profiles:
        try:
            loaded = load(
                given.stack, files, given.variables, folder, build=True, profiles=profiles,
                project=Supplying(folder) if given.lacking else Disk(folder),
            )  # fmt: skip
        except ProblemError as error:
            return Outcome((), (), frozenset(), error.problems)
        stacks.append(_placeless(loaded.stack))
        builds += loaded.builds
        warnings |= {re.sub(r"^\S+:\d+: ", "", warning) for warning in loaded.warnings}
    return Outcome(tuple(stacks), builds, warnings, ())


def _placeless(stack: StackSpec) -> StackSpec:
    replace = msgspec.structs.replace
    services = tuple(replace(service, places={}) for service in stack.services)
    return replace(stack, services=services, files=tuple(replace(file, place="") for file in stack.files))


class Best(NamedTuple):
    """The circumstances in which a file has the fewest errors, and what comes of it then."""

    given: Circumstances
    found: Outcome


def best(text: bytes, path: Path) -> Best:
    """Loads a file in the circumstances that suit it best."""
    written = text.decode(errors="replace")
    variables = {"HOME": "/root", **supplied(written), "PWD": str(path.parent.absolute())}
    given = Circumstances(path, variables, stack="" if re.search(rb"^name:", text, re.MULTILINE) else "bench")
    now = Best(given, outcome(text, given))
    now = _better(text, now, given._replace(stack="bench"))
    for name in [name for name, value in variables.items() if value == UNKNOWN][:TRIED_VARIABLES_MAX]:
        for value in TRIED:
            now = _better(text, now, now.given._replace(variables={**now.given.variables, name: value}))
    now = _better(text, now, now.given._replace(lacking=True))
    for base in (path.with_name(name) for name in (f"{path.name.split('.')[0]}{path.suffix}", *_BASES)):
        if base != path and base.is_file() and now.given.base is None:
            both = supplied(f"{written}\n{base.read_text(errors='replace')}")
            now = _better(text, now, now.given._replace(base=base, variables={**both, **now.given.variables}))
    return _by_profile(text, now)


def _better(text: bytes, now: Best, other: Circumstances) -> Best:
    if not now.found.problems:
        return now
    found = outcome(text, other)
    return Best(other, found) if len(found.problems) < len(now.found.problems) else now


def _by_profile(text: bytes, now: Best) -> Best:
    """The profiles one by one, if the file is accepted without any: they need not fit together.

    Services of different profiles may publish the same port, for example.
    """
    profiles = dict.fromkeys(name for names in _profiles(text) for name in names)
    groups = ((), *((name,) for name in profiles))
    if not now.found.problems or len(groups) == 1:
        return now
    accepted = {each for each in groups if not outcome(text, now.given._replace(profiles=(each,))).problems}
    if not accepted or (() not in accepted and not all(_profiles(text))):
        return now
    refused = tuple(name for name in profiles if (name,) not in accepted)
    given = now.given._replace(profiles=tuple(each for each in groups if each in accepted), refused=refused)
    return Best(given, outcome(text, given))


def _profiles(text: bytes) -> list[tuple[str, ...]]:
    """The profiles of each service."""
    try:
        services = yaml.load(text, Yaml)["services"].values()
    except (yaml.YAMLError, AttributeError, TypeError, KeyError):
        return []
    return [tuple(each.get("profiles") or ()) for each in services if isinstance(each, dict)]
