"""What differs between two specs, field by field, as text for people. Pure.

A field's path is that of the model without the unit at its end (`container.limits.memory`); items of a
collection stand under their own name (`container.environment.DB_HOST`, `container.ports.80/tcp`).
Values that look like secrets are never shown. Knows nothing of what a difference leads to.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from typing import Any

import msgspec

from bayplan.model import (
    Affinity,
    BlockIo,
    Dependency,
    Device,
    FileKind,
    FileMount,
    HealthCheck,
    Mount,
    MountKind,
    NetworkAttachment,
    PortMode,
    PortSpec,
    ServiceSpec,
    StackSpec,
    Ulimit,
)
from bayplan.units import format_bytes, format_cpus, format_duration_ms
from bayplan.views import (
    FieldChange,
    FileChange,
    Plan,
    ServiceAction,
    ServiceChange,
    ServicePlan,
)

#: Longest value shown, in characters; the rest is cut.
VALUE_CHARS_MAX = 200
#: Characters shown of the digest of a file's content.
DIGEST_CHARS = 12
#: What stands for a value that is not shown.
HIDDEN = "(hidden)"

#: Where a service was written is no part of what it is.
_SKIPPED = frozenset({"places"})
_SECRET_NAME = re.compile(
    r"pass(word|wd|phrase)?($|[_-])|secret|token|credential|private|(api|access|auth|encryption)[_-]?key",
    re.I,
)
#: A password within a URL, as in postgres://user:password@host.
_URL_PASSWORD = re.compile(r"(\w[\w+.-]*://[^/\s:@]*:)[^/\s@]+(@)")
_UNITS: Mapping[str, Callable[[int], str]] = {
    "_ms": format_duration_ms,
    "_bytes": format_bytes,
    "_millis": format_cpus,
}
_USUAL_FILE = FileMount(kind=FileKind.CONFIG, source="", target="")
#: What names an item of a collection: items of one name in both specs are compared with each other.
_KEYS: Mapping[type, Callable[[Any], str]] = {
    PortSpec: lambda port: f"{port.target}/{port.protocol}",
    Mount: lambda mount: mount.target,
    FileMount: lambda file: file.target,
    NetworkAttachment: lambda attachment: attachment.network,
    Ulimit: lambda limit: limit.name,
    Device: lambda device: device.target,
    Dependency: lambda dependency: dependency.service,
}


def service_fields(before: ServiceSpec | None, after: ServiceSpec | None) -> tuple[FieldChange, ...]:
    """The fields in which two versions of a service differ; None is "there is none", and gives none."""
    if before is None or after is None:
        return ()
    return tuple(_of_struct("", before, after))


def stack_plan(before: StackSpec, after: StackSpec, index: int = 0) -> Plan:
    """What leads from one stack to another, as a Plan without placement.

    Contents of files are not compared: stacks that come from the cluster have none.
    """
    old = {spec.name: spec for spec in before.services}
    new = {spec.name: spec for spec in after.services}
    names = [*new, *(name for name in old if name not in new)]
    services = tuple(_service_plan(after.name, name, old.get(name), new.get(name)) for name in names)
    return Plan(stack=after.name, index=index, services=services, files=tuple(_files(before, after)))


def _service_plan(
    stack: str, name: str, before: ServiceSpec | None, after: ServiceSpec | None
) -> ServicePlan:
    fields = service_fields(before, after)
    if before is None or after is None:
        action = ServiceAction.CREATE if before is None else ServiceAction.REMOVE
    elif fields and all(field.path == "replicas" for field in fields):
        action = ServiceAction.SCALE
    else:
        action = ServiceAction.UPDATE if fields else ServiceAction.SAME
    change = ServiceChange(service=f"{stack}_{name}", action=action, version=0)
    return ServicePlan(change=change, fields=fields)


def _files(before: StackSpec, after: StackSpec) -> Iterator[FileChange]:
    old = {(file.kind, file.name) for file in before.files}
    new = {(file.kind, file.name) for file in after.files}
    for kind, name in sorted(old ^ new):
        action = ServiceAction.CREATE if (kind, name) in new else ServiceAction.REMOVE
        yield FileChange(kind=kind, name=name, action=action)


def _of_struct(path: str, before: Any, after: Any) -> Iterator[FieldChange]:
    for name in before.__struct_fields__:
        if name not in _SKIPPED:
            yield from _of_value(_below(path, name), name, getattr(before, name), getattr(after, name))


def _of_value(path: str, name: str, before: Any, after: Any) -> Iterator[FieldChange]:
    """The changes at and below one field. Cases: equal, a struct, a dict, items with names, anything else."""
    if before == after:
        return
    if isinstance(before, msgspec.Struct) and type(before) is type(after) and _is_walked(before):
        yield from _of_struct(path, before, after)
        return
    old, new = _named_items(name, before), _named_items(name, after)
    if old is None or new is None:
        yield _change(path, name, before, after)
        return
    if list(old) != list(new) and sorted(old) == sorted(new):
        yield FieldChange(path=path, before=_cut(", ".join(old)), after=_cut(", ".join(new)))
    for key in [*new, *(key for key in old if key not in new)]:
        yield from _of_value(f"{path}.{key}", key, old.get(key), new.get(key))


def _is_walked(value: msgspec.Struct) -> bool:
    """Whether a struct is compared field by field rather than as one text."""
    return not isinstance(value, PortSpec | FileMount | Ulimit | Device | BlockIo)


def _named_items(name: str, value: Any) -> dict[str, Any] | None:
    """The items of a collection by name; None where they have none, or not each its own."""
    if isinstance(value, dict):
        return value
    if not isinstance(value, tuple):
        return None
    if name == "environment":
        pairs = [item.partition("=")[::2] for item in value]
    else:
        kinds = {type(item) for item in value}
        if not kinds <= _KEYS.keys() or len(kinds) > 1:
            return None
        pairs = [(_KEYS[type(item)](item), item) for item in value]
    items = dict(pairs)
    return items if len(items) == len(pairs) else None


def _change(path: str, name: str, before: Any, after: Any) -> FieldChange:
    if _is_secret(path, name):
        texts = [HIDDEN if value not in (None, "") else "" for value in (before, after)]
    else:
        texts = [_cut(_text(name, value)) for value in (before, after)]
        if texts[0] == texts[1]:
            # Only what is hidden or cut differs.
            texts = [f"{text} {HIDDEN}" for text in texts]
    return FieldChange(path=path, before=texts[0], after=texts[1])


def _is_secret(path: str, name: str) -> bool:
    return ".environment." in path and _SECRET_NAME.search(name) is not None


def _text(name: str, value: Any) -> str:
    """A value in the words of a compose file; empty for what is not there."""
    unit = next((unit for unit in _UNITS if name.endswith(unit)), "")
    if value is None or value == "":
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and unit:
        return _UNITS[unit](value) if value or unit == "_ms" else ""
    if isinstance(value, int) and name.endswith("mode"):
        return f"0{value:o}" if value else ""
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, tuple):
        return _tuple_text(value)
    if isinstance(value, msgspec.Struct):
        return _struct_text(value)
    return _URL_PASSWORD.sub(r"\1***\2", str(value))


def _tuple_text(value: tuple[Any, ...]) -> str:
    if all(isinstance(item, str) for item in value):
        return shlex.join(_text("", item) for item in value) if value else "[]"
    between = "; " if isinstance(value[0], Affinity) else ", "
    return between.join(_text("", item) for item in value)


def _struct_text(value: msgspec.Struct) -> str:
    """The forms in which people write it; otherwise what differs from the default."""
    if isinstance(value, PortSpec):
        host = f"{value.host_ip}:" if value.host_ip else ""
        mode = " (host)" if value.mode is PortMode.HOST else ""
        return f"{host}{value.published or '*'}:{value.target}/{value.protocol}{mode}"
    if isinstance(value, Mount):
        source = value.source or ("" if value.kind is MountKind.VOLUME else value.kind.value)
        return f"{source}:{value.target}{':ro' if value.read_only else ''}".removeprefix(":")
    if isinstance(value, FileMount):
        return _file_text(value)
    if isinstance(value, HealthCheck):
        return _tuple_text(value.test)
    if isinstance(value, NetworkAttachment):
        return value.network
    if isinstance(value, Ulimit):
        return f"{value.soft}:{value.hard}"
    if isinstance(value, Device):
        return f"{value.source}:{value.target}:{value.permissions}"
    if isinstance(value, Dependency):
        return value.condition.value
    if isinstance(value, Affinity):
        return affinity_text(value)
    given = {name: getattr(value, name) for name in value.__struct_fields__}
    return ", ".join(f"{name} {text}" for name, item in given.items() if (text := _text(name, item)))


def affinity_text(affinity: Affinity) -> str:
    """`near db`, `away from db in node.labels.zone, required`."""
    return f"{affinity.words}{', required' if affinity.required else ''}"


def _file_text(file: FileMount) -> str:
    """`secret shop_key@9c921be2e63f`, and what is unusual about the file in the container."""
    version = f"@{file.digest[:DIGEST_CHARS]}" if file.digest else ""
    owner = f", owner {file.uid}:{file.gid}" if file.uid or file.gid else ""
    mode = f", mode 0{file.mode:o}" if file.mode != _USUAL_FILE.mode else ""
    return f"{file.kind} {file.source}{version}{owner}{mode}"


def _below(path: str, name: str) -> str:
    for unit in _UNITS:
        name = name.removesuffix(unit)
    return f"{path}.{name}" if path else name


def _cut(text: str) -> str:
    return text if len(text) <= VALUE_CHARS_MAX else f"{text[:VALUE_CHARS_MAX]}..."
