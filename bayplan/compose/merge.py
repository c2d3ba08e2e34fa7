"""Several compose files to one tree, by the merge rules of the Compose specification.

Mappings are merged, lists appended, single values replaced; where a key has a rule of its own, the tables
below say which. Each value keeps the place where it was written. `!reset` and `!override` stay in the
tree until `settled`, so that merging is associative: what is put over a base may itself be merged first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from bayplan.compose import unique
from bayplan.compose.nodes import Entry, List, Map, Node, Override, Reset, Scalar, describe, get, is_null
from bayplan.compose.report import invalid


class Rule(NamedTuple):
    """How two values of a key become one, and the rules of the keys below; `*` stands for any key."""

    merge: Callable[[Node, Node, Rule, str], Node]
    inside: Mapping[str, Rule] = {}

    def below(self, name: str) -> Rule:
        """The rule of a key."""
        return self.inside.get(name) or self.inside.get("*", DEEP)


def merged(base: Node, over: Node, rule: Rule, path: str = "") -> Node:
    """What `over` makes of `base`. `path` is for errors, as `services.web.ports`.

    Raises ProblemError where one is a mapping and the other is not.
    """
    match base, over:
        case _, Reset() | Override():
            return over
        case Reset(), _:
            return Override(over.path, over.line, over)
        case Override(value=value), _:
            return Override(base.path, base.line, merged(value, over, rule, path))
    if rule is not REPLACE and is_null(over):
        return base
    if rule is not REPLACE and is_null(base):
        return over
    return rule.merge(base, over, rule, path)


def settled(node: Node) -> Node:
    """The tree after the last merge: without what was reset and without the marks of overrides."""
    match node:
        case Override(value=value):
            return settled(value)
        case List(items=items):
            return List(node.path, node.line, tuple(settled(item) for item in items))
        case Map(entries=entries):
            return Map(
                node.path,
                node.line,
                {
                    name: Entry(entry.key, settled(entry.value))
                    for name, entry in entries.items()
                    if not isinstance(entry.value, Reset)
                },
            )
        case _:
            return node


def _deep(base: Node, over: Node, rule: Rule, path: str) -> Node:
    match base, over:
        case Map(), Map():
            return _maps(base, over, rule, path)
        case List(), List():
            return List(over.path, over.line, base.items + over.items)
        case (Map(), _) | (_, Map()):
            raise invalid(
                over.place,
                f"{path or 'the file'} is {describe(over)} here and {describe(base)} in the file before",
                f"there at {base.place}",
                hint="write both in the same form, or put !override before this one to replace the other",
            )
    return over


#: The one key beginning with `x-` that is not the user's but bayplan's.
OWN = "x-bayplan"


def _maps(base: Map, over: Map, rule: Rule, path: str) -> Map:
    entries = dict(base.entries)
    for name, entry in over.entries.items():
        have = entries.get(name)
        if have is None or (name.startswith("x-") and name != OWN):
            entries[name] = entry
            continue
        value = merged(have.value, entry.value, rule.below(name), f"{path}.{name}" if path else name)
        # A mapping stays where it was begun; anything else is where it was written last.
        begun = isinstance(value, Map) or value is have.value
        entries[name] = Entry(have.key if begun else entry.key, value)
    return Map(base.path, base.line, entries)


def _replace(base: Node, over: Node, rule: Rule, path: str) -> Node:
    return over


def _as_pairs(node: Node) -> Map | None:
    """NAME=value in either form, as a mapping; None for what is neither."""
    if isinstance(node, Map):
        return node
    if not isinstance(node, List):
        return None
    entries: dict[str, Entry] = {}
    for item in node.items:
        if not isinstance(item, Scalar):
            return None
        name, equals, value = item.text.partition("=")
        given = Scalar(item.path, item.line, value, plain=not equals)
        entries[name] = Entry(Scalar(item.path, item.line, name), given)
    return Map(node.path, node.line, entries)


def _pairs(base: Node, over: Node, rule: Rule, path: str) -> Node:
    """The later value of a name counts, also when it says nothing: then the environment's is taken."""
    below, above = _as_pairs(base), _as_pairs(over)
    if below is None or above is None:
        return base if below is None else over  # the malformed one, for its error
    entries = dict(below.entries)
    for name, entry in above.entries.items():
        have = entries.get(name)
        value = entry.value if have is None else merged(have.value, entry.value, REPLACE)
        entries[name] = Entry(entry.key, value)
    return Map(below.path, below.line, entries)


def _names(*given: tuple[str, str]) -> Rule:
    """A list of names merged with a mapping of them; a listed name says what is `given`."""

    def as_map(node: Node) -> Node:
        if not isinstance(node, List) or not all(isinstance(item, Scalar) for item in node.items):
            return node
        entries: dict[str, Entry] = {}
        for item in node.items:
            assert isinstance(item, Scalar)
            said = {
                key: Entry(Scalar(item.path, item.line, key), Scalar(item.path, item.line, text))
                for key, text in given
            }
            value = Map(item.path, item.line, said) if said else Scalar(item.path, item.line, "", plain=True)
            entries[item.text] = Entry(item, value)
        return Map(node.path, node.line, entries)

    return Rule(lambda base, over, rule, path: _deep(as_map(base), as_map(over), rule, path))


def _listed(key: Callable[[Node], object | None]) -> Rule:
    """Lists, or a single value as a list of one: an item replaces the one before it with the same key."""

    def merge(base: Node, over: Node, rule: Rule, path: str) -> Node:
        if isinstance(base, Map) or isinstance(over, Map):
            return _deep(base, over, rule, path)
        items: list[Node] = []
        found: dict[object, int] = {}
        for item in (*_items(base), *_items(over)):
            known = key(item)
            if known is not None and known in found:
                items[found[known]] = item
                continue
            if known is not None:
                found[known] = len(items)
            items.append(item)
        return List(over.path, over.line, tuple(items))

    return Rule(merge)


def _items(node: Node) -> tuple[Node, ...]:
    return node.items if isinstance(node, List) else (node,)


def _hosts(base: Node, over: Node, rule: Rule, path: str) -> Node:
    """A name may have several addresses, so only equal lines are one."""
    return _listed(unique.host).merge(unique.host_lines(base), unique.host_lines(over), rule, path)


def _build(base: Node, over: Node, rule: Rule, path: str) -> Node:
    return _deep(_as_build(base), _as_build(over), rule, path)


def _as_build(node: Node) -> Node:
    if not isinstance(node, Scalar):
        return node
    key = Scalar(node.path, node.line, "context")
    return Map(node.path, node.line, {"context": Entry(key, node)})


def _logging(base: Node, over: Node, rule: Rule, path: str) -> Node:
    """The options are those of a driver: with another driver, the others are left behind."""
    one, other = get(base, "driver"), get(over, "driver")
    if isinstance(one, Scalar) and isinstance(other, Scalar) and one.text != other.text:
        return over
    return _deep(base, over, rule, path)


def _ulimit(base: Node, over: Node, rule: Rule, path: str) -> Node:
    both = isinstance(base, Map) and isinstance(over, Map)
    return _deep(base, over, rule, path) if both else over


def _subnets(base: Node, over: Node, rule: Rule, path: str) -> Node:
    """The entries of a subnet are merged, others appended."""
    if not isinstance(base, List) or not isinstance(over, List):
        return _deep(base, over, rule, path)
    items = list(base.items)
    at = {subnet: index for index, item in enumerate(items) if (subnet := unique.subnet(item)) is not None}
    for item in over.items:
        index = at.get(unique.subnet(item) or "")
        if index is None:
            items.append(item)
        else:
            items[index] = merged(items[index], item, DEEP, path)
    return List(over.path, over.line, tuple(items))


#: What a key without a rule of its own gets.
DEEP = Rule(_deep)
#: The later value counts alone, also when it says nothing.
REPLACE = Rule(_replace)
_PAIRS = Rule(_pairs)
_TEXTS = _listed(unique.text)
_ATTACHMENT = {"aliases": _TEXTS, "link_local_ips": _TEXTS}

#: The keys of a service.
SERVICE = Rule(
    _deep,
    {
        "command": REPLACE,
        "entrypoint": REPLACE,
        "healthcheck": Rule(_deep, {"test": REPLACE}),
        "environment": _PAIRS,
        "labels": _PAIRS,
        "annotations": _PAIRS,
        "sysctls": _PAIRS,
        "build": Rule(
            _build,
            {"args": _PAIRS, "labels": _PAIRS, "additional_contexts": _PAIRS, "extra_hosts": Rule(_hosts)}
            | dict.fromkeys(("tags", "platforms"), _TEXTS),
        ),
        "deploy": Rule(
            _deep, {"labels": _PAIRS, "placement": Rule(_deep, {"constraints": _TEXTS})}
        ),
        "depends_on": _names(("condition", "service_started"), ("required", "true")),
        "networks": _names()._replace(inside={"*": Rule(_deep, _ATTACHMENT)}),
        "models": _names(),
        "extra_hosts": Rule(_hosts),
        "logging": Rule(_logging),
        "ulimits": Rule(_deep, {"*": Rule(_ulimit)}),
        "ports": _listed(unique.port),
        "expose": _listed(unique.exposed),
        "volumes": _listed(unique.volume),
        "tmpfs": _listed(unique.tmpfs),
        "devices": _listed(unique.device),
        "secrets": _listed(unique.secret),
        "configs": _listed(unique.config),
        "env_file": _listed(unique.file),
        "label_file": _listed(unique.file),
    }
    | dict.fromkeys(
        (
            "cap_add", "cap_drop", "device_cgroup_rules", "dns", "dns_opt", "dns_search", "external_links",
            "group_add", "links", "profiles", "security_opt", "volumes_from",
        ),
        _TEXTS,
    ),
)  # fmt: skip

_LABELLED = Rule(_deep, {"*": Rule(_deep, {"labels": _PAIRS})})
_NETWORK = Rule(_deep, {"labels": _PAIRS, "ipam": Rule(_deep, {"config": Rule(_subnets)})})

#: The keys of a file.
FILE = Rule(
    _deep,
    {
        "services": Rule(_deep, {"*": SERVICE}),
        "networks": Rule(_deep, {"*": _NETWORK}),
        "volumes": _LABELLED,
        "secrets": _LABELLED,
        "configs": _LABELLED,
    },
)
