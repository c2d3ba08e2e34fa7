"""A stack back to a compose file: `stack config` and `stack export` print it.

Loaded again under the same name it is the same stack, but for what must not be shown: secrets become
external. What a reader of YAML 1.1 could mistake for a number or a truth stands in quotes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml

from bayplan.model import (
    FileKind,
    IpamPool,
    NetworkSpec,
    StackFile,
    StackSpec,
    VolumeSpec,
)
from bayplan.render.compose_container import Entries, written
from bayplan.render.compose_names import Names
from bayplan.render.compose_service import service

#: Most characters of the contents of configs that are written into the file, together.
CONTENTS_CHARS_MAX = 512 * 1024
#: Most characters of one content: what a value may have when it is loaded again.
CONTENT_CHARS_MAX = 64 * 1024

#: What some version of YAML takes for a number, a date, a time of day, a truth or nothing.
_AMBIGUOUS = re.compile(
    r"[-+]?\.?[0-9][0-9a-f_.:,eExXoOtTzZ+ -]*|[-+]?\.(?:inf|nan)|~|null|y|n|yes|no|on|off|true|false|",
    re.IGNORECASE,
)


def render(stack: StackSpec, *, contents: bool = True) -> str:
    """The compose file of a stack. Without `contents` (a stack from the cluster) configs are external."""
    names = Names(stack)
    services = {each.name: service(each, names) for each in stack.services}
    inline = _inline(stack.files) if contents else {}
    sections = {
        "name": stack.name,
        "services": services,
        "networks": _networks(stack, names),
        "volumes": _volumes(names),
        **{f"{kind}s": _files(stack.files, kind, names, inline) for kind in FileKind},
    }
    tree = {key: value for key, value in sections.items() if value or key in ("name", "services")}
    text = yaml.dump(
        _escaped(tree), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=float("inf"), indent=2
    )
    return "".join(f"# {line}\n" for line in _remarks(stack.files, inline)) + text


def _networks(stack: StackSpec, names: Names) -> Entries:
    """The networks that services join, but for the default one that every file has."""
    joined = {each.network: each for spec in stack.services for each in spec.container.networks}
    return {
        names.networks.of(name): _network(name, attachment.spec, names)
        for name, attachment in joined.items()
        if name != names.default_network or attachment.spec != NetworkSpec()
    }


def _network(name: str, spec: NetworkSpec, names: Names) -> Entries:
    ipam = {
        "driver": spec.ipam_driver or None,
        "options": spec.ipam_options or None,
        "config": [_pool(pool) for pool in spec.pools] or None,
    }
    own = {
        "driver": spec.driver or None,
        "driver_opts": spec.driver_options or None,
        "internal": spec.internal or None,
        "attachable": spec.attachable or None,
        "enable_ipv6": spec.ipv6 or None,
        "ipam": written(ipam),
        "labels": spec.labels or None,
        "x-bayplan": written(
            {"scope": "node" if spec.node_local else None, "encrypted": spec.encrypted or None}
        ),
    }
    naming = names.networks.naming(name, external=spec.external)
    return written(naming if spec.external else {**naming, **own}) or {}


def _pool(pool: IpamPool) -> Entries | None:
    return written(
        {
            "subnet": pool.subnet or None,
            "gateway": pool.gateway or None,
            "ip_range": pool.ip_range or None,
            "aux_addresses": pool.aux_addresses or None,
        }
    )


def _volumes(names: Names) -> Entries:
    return {names.volumes.of(name): _volume(name, spec, names) for name, spec in names.volume_specs.items()}


def _volume(name: str, spec: VolumeSpec | None, names: Names) -> Entries:
    naming = names.volumes.naming(name, external=spec is None)
    own = spec or VolumeSpec()
    return (
        written(
            {
                **naming,
                "driver": own.driver or None,
                "driver_opts": own.driver_options or None,
                "labels": own.labels or None,
            }
        )
        or {}
    )


def _files(files: tuple[StackFile, ...], kind: FileKind, names: Names, inline: dict[str, str]) -> Entries:
    return {
        names.files[kind].of(file.name): _file(file, names, inline) for file in files if file.kind is kind
    }


def _file(file: StackFile, names: Names, inline: dict[str, str]) -> Entries:
    keys = names.files[file.kind]
    if file.kind is FileKind.CONFIG and file.name in inline:
        naming = keys.naming(file.name, external=False)
        return written({**naming, "content": inline[file.name], "labels": file.labels or None}) or {}
    return written(keys.naming(file.name, external=True)) or {}


def _inline(files: tuple[StackFile, ...]) -> dict[str, str]:
    """The contents of configs that are text and not too large, by full name."""
    texts: dict[str, str] = {}
    room = CONTENTS_CHARS_MAX
    for file in files:
        text = _text(file.content)
        if file.kind is FileKind.CONFIG and not file.external and text is not None and len(text) <= room:
            texts[file.name] = text
            room -= len(text)
    return texts


def _text(content: bytes) -> str | None:
    """The content as text that a value of a YAML file can hold; None for another."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return None
    kept = all(character.isprintable() or character in "\t\n\r" for character in text)
    return text if kept and len(text) <= CONTENT_CHARS_MAX else None


def _remarks(files: tuple[StackFile, ...], inline: dict[str, str]) -> Iterator[str]:
    """What the file cannot show, for its head."""
    for kind, why in (
        (FileKind.SECRET, "their contents are not shown"),
        (FileKind.CONFIG, "their contents are not here, not text, or too large for this file"),
    ):
        left_out = [
            file.name
            for file in files
            if file.kind is kind
            and not file.external
            and (kind is FileKind.SECRET or file.name not in inline)
        ]
        if left_out:
            yield f"These {kind}s are written as external, since {why}: {', '.join(left_out)}"


def _escaped(value: object) -> object:
    """The tree with each dollar in a value doubled, so that it stays one."""
    match value:
        case dict():
            return {key: _escaped(inner) for key, inner in value.items()}
        case list():
            return [_escaped(inner) for inner in value]
        case str():
            return value.replace("$", "$$")
        case _:
            return value


class _Dumper(yaml.SafeDumper):
    """Writes each value out where it stands, lists indented below their keys, texts safely quoted."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, indentless=False)


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = None
    if _AMBIGUOUS.fullmatch(text):
        style = '"'
    elif "\n" in text and all(line.isprintable() for line in text.split("\n")):
        style = "|"
    elif not text.isprintable():
        style = '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)
