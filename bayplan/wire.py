"""Model <-> protobuf: the only place that knows both.

A struct and a message of the same name correspond field by field, so the conversion is derived from
the struct's types once and kept. The correspondence (tests/unit/test_wire.py holds it):
enum member `x` of `SomeEnum` <-> SOME_ENUM_X; `T | None` <-> presence; `tuple[T, ...] | None` <->
a repeated field with a companion `<field>_given`. What comes from the wire is not trusted: `from_pb`
raises WireError and nothing else.
"""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Callable
from enum import Enum
from functools import cache
from typing import Any, TypeVar

import msgspec
from google.protobuf.message import Message

from bayplan import errors, model, session, views
from bayplan.directory import registrar
from bayplan.v1 import (
    agent_pb2,
    cluster_pb2,
    common_pb2,
    container_pb2,
    event_pb2,
    explain_pb2,
    file_pb2,
    join_pb2,
    network_pb2,
    node_pb2,
    registry_pb2,
    rollout_pb2,
    service_pb2,
    stack_pb2,
    task_pb2,
)

MessageT = TypeVar("MessageT", bound=Message)
Convert = Callable[[Any], Any]

_PB_MODULES = (
    agent_pb2,
    cluster_pb2,
    common_pb2,
    container_pb2,
    event_pb2,
    explain_pb2,
    file_pb2,
    join_pb2,
    network_pb2,
    node_pb2,
    registry_pb2,
    rollout_pb2,
    service_pb2,
    stack_pb2,
    task_pb2,
)
_STRUCT_MODULES = (errors, model, session, views, registrar)


class WireError(ValueError):
    """A message that does not make a value; says which field of which message."""


def to_pb(value: msgspec.Struct) -> Any:
    """The message of the same name as the struct."""
    codec = _codec(type(value))
    message = codec.message()
    for field in codec.fields:
        field.write(getattr(value, field.name), message)
    return message


def from_pb(message: Message, kind: type[Any] | None = None) -> Any:
    """The struct of the same name as the message. Raises WireError."""
    struct: Any = kind or struct_of(type(message).DESCRIPTOR.name)
    return struct(**{field.name: field.read(message) for field in _codec(struct).fields})


def wrap(envelope: type[MessageT], value: msgspec.Struct) -> MessageT:
    """A struct as the matching member of an envelope's oneof (SessionRequest, SessionResponse)."""
    return envelope(**{_snake(type(value).__name__): to_pb(value)})


def unwrap(envelope: Message) -> Any:
    """The struct in an envelope's oneof. Raises WireError when it is empty."""
    member = envelope.WhichOneof("message")
    if member is None:
        raise WireError(f"empty {type(envelope).DESCRIPTOR.name}")
    return from_pb(getattr(envelope, member))


@cache
def message_of(name: str) -> type[Message]:
    """The generated class of a message."""
    found = next(getattr(module, name) for module in _PB_MODULES if hasattr(module, name))
    return typing.cast(type[Message], found)


@cache
def struct_of(name: str) -> type[Any]:
    """The struct that corresponds to a message."""
    found = next(getattr(module, name) for module in _STRUCT_MODULES if hasattr(module, name))
    return typing.cast(type[Any], found)


class _Field(typing.NamedTuple):
    name: str
    write: Callable[[Any, Any], None]
    read: Callable[[Any], Any]


class _Codec(typing.NamedTuple):
    message: type[Message]
    fields: tuple[_Field, ...]


@cache
def _codec(struct: Any) -> _Codec:
    hints = typing.get_type_hints(struct)
    fields = tuple(_field(struct, info, hints[info.name]) for info in msgspec.structs.fields(struct))
    return _Codec(message_of(struct.__name__), fields)


def _field(struct: type[msgspec.Struct], info: msgspec.structs.FieldInfo, hint: Any) -> _Field:
    """How one field is written and read. Cases: optional or not, times scalar, enum, struct, tuple, dict."""
    inner, optional = _optional(hint)
    origin = typing.get_origin(inner)
    where = f"{struct.__name__}.{info.name}"
    if origin is tuple:
        return _tuple_field(info.name, typing.get_args(inner)[0], optional, where)
    if origin is dict:
        return _dict_field(info.name, typing.get_args(inner)[1], where)
    if _is_struct(inner):
        return _struct_field(info, inner, optional)
    return _scalar_field(info, inner, optional, where)


def _tuple_field(name: str, item: Any, optional: bool, where: str) -> _Field:
    out, back = _item(item, where)
    given = f"{name}_given"

    def write(value: Any, message: Any) -> None:
        if optional:
            setattr(message, given, value is not None)
        if value:
            getattr(message, name).extend([out(each) for each in value])

    def read(message: Any) -> Any:
        items = tuple(back(each) for each in getattr(message, name))
        return None if optional and not items and not getattr(message, given) else items

    return _Field(name, write, read)


def _dict_field(name: str, item: Any, where: str) -> _Field:
    out, back = _item(item, where)

    def write(value: Any, message: Any) -> None:
        target = getattr(message, name)
        for key in sorted(value):
            if _is_struct(item):
                target[key].CopyFrom(out(value[key]))
            else:
                target[key] = out(value[key])

    def read(message: Any) -> Any:
        source = getattr(message, name)
        return {key: back(source[key]) for key in sorted(source)}

    return _Field(name, write, read)


def _struct_field(info: msgspec.structs.FieldInfo, kind: Any, optional: bool) -> _Field:
    name = info.name
    unsaid = None if optional or _required(info) else _default(info)

    def write(value: Any, message: Any) -> None:
        if value is not None and value != unsaid:
            getattr(message, name).CopyFrom(to_pb(value))

    def read(message: Any) -> Any:
        if message.HasField(name):
            return from_pb(getattr(message, name), kind)
        if optional:
            return None
        return from_pb(getattr(message, name), kind) if _required(info) else _default(info)

    return _Field(name, write, read)


def _scalar_field(info: msgspec.structs.FieldInfo, kind: Any, optional: bool, where: str) -> _Field:
    name = info.name
    out, back = _item(kind, where)
    presence = message_of(where.partition(".")[0]).DESCRIPTOR.fields_by_name[name].has_presence
    is_enum = isinstance(kind, type) and issubclass(kind, Enum)

    def write(value: Any, message: Any) -> None:
        if value is not None:
            setattr(message, name, out(value))

    def read(message: Any) -> Any:
        if presence and not message.HasField(name):
            return None if optional else _default(info)
        value = getattr(message, name)
        if is_enum and value == 0 and not _required(info):
            return _default(info)
        return back(value)

    return _Field(name, write, read)


def _item(kind: Any, where: str) -> tuple[Convert, Convert]:
    """How one value that is not a collection is written and read."""
    if _is_struct(kind):
        return to_pb, lambda message: from_pb(message, kind)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _enum(kind, where)
    return _same, _same


def _enum(kind: type[Enum], where: str) -> tuple[Convert, Convert]:
    numbers = _enum_numbers(kind)
    members = {number: member for member, number in numbers.items()}

    def back(number: int) -> Enum:
        member = members.get(number)
        if member is None:
            raise WireError(f"{where}: {number} is not a {kind.__name__}")
        return member

    return numbers.__getitem__, back


def _enum_numbers(kind: type[Enum]) -> dict[Enum, int]:
    wrapper = next(getattr(module, kind.__name__) for module in _PB_MODULES if hasattr(module, kind.__name__))
    prefix = _snake(kind.__name__).upper()
    return {member: wrapper.Value(f"{prefix}_{member.name}") for member in kind}


def _optional(hint: Any) -> tuple[Any, bool]:
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        rest = [arg for arg in typing.get_args(hint) if arg is not type(None)]
        return rest[0], True
    return hint, False


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _required(info: msgspec.structs.FieldInfo) -> bool:
    return info.default is msgspec.NODEFAULT and info.default_factory is msgspec.NODEFAULT


def _default(info: msgspec.structs.FieldInfo) -> Any:
    factory = info.default_factory
    return info.default if factory is msgspec.NODEFAULT else typing.cast(Callable[[], Any], factory)()


def _same(value: Any) -> Any:
    return value


@cache
def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
