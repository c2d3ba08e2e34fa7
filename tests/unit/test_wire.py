"""Model and protobuf hold the same fields, and survive the way there and back."""

from __future__ import annotations

import types
import typing
from enum import Enum

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayplan import errors, model, session, views, wire
from bayplan.directory import registrar
from bayplan.v1 import agent_pb2


def structs() -> list[type[msgspec.Struct]]:
    found = {
        value
        for module in (errors, model, session, views, registrar)
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, model.Model) and value is not model.Model
    }
    return sorted(found, key=lambda kind: kind.__name__)


@pytest.mark.parametrize("struct", structs(), ids=lambda kind: kind.__name__)
def test_a_struct_and_its_message_have_the_same_fields(struct: type[msgspec.Struct]) -> None:
    message = wire.message_of(struct.__name__)
    theirs = {name for name in message.DESCRIPTOR.fields_by_name if not name.endswith("_given")}
    assert {field.name for field in msgspec.structs.fields(struct)} == theirs


@pytest.mark.parametrize(
    "enum",
    sorted(
        {
            value
            for module in (errors, model, views, registrar)
            for value in vars(module).values()
            if isinstance(value, type) and issubclass(value, Enum) and list(value)
        },
        key=lambda kind: kind.__name__,
    ),
    ids=lambda kind: kind.__name__,
)
def test_an_enum_has_every_value_of_its_message(enum: type[Enum]) -> None:
    numbers = wire._enum_numbers(enum)
    wrapper = next(getattr(pb, enum.__name__) for pb in wire._PB_MODULES if hasattr(pb, enum.__name__))
    assert sorted([0, *numbers.values()]) == sorted(wrapper.values())


def strategy(hint: typing.Any) -> st.SearchStrategy[typing.Any]:
    """Values of a field's type; numbers stay within the narrowest protobuf integer."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return st.none() | strategy(next(arg for arg in args if arg is not type(None)))
    if origin is tuple:
        return st.lists(strategy(args[0]), max_size=2).map(tuple)
    if origin is dict:
        return st.dictionaries(st.text(max_size=4), strategy(args[1]), max_size=2)
    if issubclass(hint, msgspec.Struct):
        hints = typing.get_type_hints(hint)
        return st.fixed_dictionaries(
            {field.name: strategy(hints[field.name]) for field in msgspec.structs.fields(hint)}
        ).map(lambda values: hint(**values))
    if issubclass(hint, Enum):
        return st.sampled_from(list(hint))
    plain: dict[type, st.SearchStrategy[typing.Any]] = {
        str: st.text(max_size=6),
        bytes: st.binary(max_size=6),
        bool: st.booleans(),
        int: st.integers(0, 2**31 - 1),
        float: st.floats(allow_nan=False),
    }
    return plain[hint]


@pytest.mark.parametrize("struct", structs(), ids=lambda kind: kind.__name__)
def test_a_value_survives_the_wire(struct: type[msgspec.Struct]) -> None:
    @settings(max_examples=15, deadline=None)
    @given(strategy(struct))
    def check(value: msgspec.Struct) -> None:
        data = wire.to_pb(value).SerializeToString(deterministic=True)
        assert wire.from_pb(wire.message_of(struct.__name__).FromString(data)) == value

    check()


def test_an_enum_without_default_must_be_given() -> None:
    with pytest.raises(wire.WireError, match=r"TaskStatus\.state: 0 is not a TaskState"):
        wire.from_pb(wire.message_of("TaskStatus")())


def test_an_absent_struct_takes_its_default() -> None:
    spec = wire.from_pb(wire.message_of("ServiceSpec")(container={"image": "a"}))
    assert spec.restart == model.RestartPolicy()
    assert spec.container.command is None


def test_a_command_given_as_nothing_is_not_the_images_own() -> None:
    spec = wire.from_pb(wire.to_pb(model.ContainerSpec(image="a", command=())))
    assert spec.command == ()


def test_an_envelope_carries_one_of_its_members() -> None:
    packed = wire.wrap(agent_pb2.SessionRequest, session.Heartbeat(pulse=3))
    assert packed.WhichOneof("message") == "heartbeat"
    assert wire.unwrap(packed) == session.Heartbeat(pulse=3)


def test_an_empty_envelope_is_an_error() -> None:
    with pytest.raises(wire.WireError, match="empty SessionRequest"):
        wire.unwrap(agent_pb2.SessionRequest())
