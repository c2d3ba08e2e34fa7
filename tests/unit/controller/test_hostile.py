"""A stack from a hostile client is refused with a problem, or is one that the controller can live with."""

from __future__ import annotations

import types
import typing
from enum import Enum
from functools import cache
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck as Check
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from bayplan import wire
from bayplan.model import (
    ContainerSpec,
    Dependency,
    Device,
    FileKind,
    FileMount,
    HealthCheck,
    Hook,
    Mount,
    MountKind,
    NetworkAttachment,
    PortSpec,
    ServiceSpec,
    StackFile,
    StackSpec,
    Ulimit,
)
from bayplan.policy import Privilege
from bayplan.views import Deployed, Plan
from controller.core.turn import Settings
from controller.events import DeployAsked, PlanAsked
from tests.unit.controller.world import World

#: A stack that uses most of the vocabulary, to be spoilt.
GOOD = StackSpec(
    name="shop",
    services=(
        ServiceSpec(
            name="web",
            container=ContainerSpec(
                image="app:1",
                environment=("A=1",),
                mounts=(Mount(kind=MountKind.VOLUME, source="shop_data", target="/data"),),
                files=(FileMount(kind=FileKind.SECRET, source="shop_key", target="/key"),),
                ports=(PortSpec(target=80, published=8080),),
                networks=(NetworkAttachment(network="shop_default", aliases=("web",)),),
                health_check=HealthCheck(test=("CMD", "true")),
                post_start=(Hook(command=("true",)),),
                ulimits=(Ulimit(name="nofile", soft=1, hard=2),),
                devices=(Device(source="/dev/null", target="/dev/null"),),
                labels={"a": "b"},
            ),
            depends_on=(Dependency(service="db", required=True),),
            constraints=("node.hostname == n1",),
        ),
        ServiceSpec(name="db", container=ContainerSpec(image="db:1")),
    ),
    files=(StackFile(kind=FileKind.SECRET, name="shop_key", content=b"x"),),
)

WORDS = [
    "",
    "a",
    "web",
    "db",
    "shop",
    "/",
    "/data",
    "../..",
    "host",
    "\0",
    "=",
    "node.id == x",
    "x" * 70,
    "é",
    "\n",
]
NUMBERS = [-(2**63), -(2**31), -1, 0, 1, 2, 80, 65_536, 2**31 - 1, 2**32 - 1, 2**63 - 1, 2**64 - 1]


@cache
def hostile(hint: Any) -> st.SearchStrategy[Any]:
    """Values of a field's type, the worst ones often; of a struct a few fields are given."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return st.none() | hostile(next(arg for arg in args if arg is not type(None)))
    if origin is tuple:
        return st.lists(hostile(args[0]), max_size=3).map(tuple)
    if origin is dict:
        return st.dictionaries(hostile(str), hostile(args[1]), max_size=3)
    if issubclass(hint, msgspec.Struct):
        return structs(hint)
    if issubclass(hint, Enum):
        return st.sampled_from(list(hint))
    plain: dict[type, st.SearchStrategy[Any]] = {
        str: st.sampled_from(WORDS) | st.text(max_size=8),
        bytes: st.binary(max_size=8),
        bool: st.booleans(),
        int: st.sampled_from(NUMBERS),
        float: st.floats(),
    }
    return plain[hint]


@st.composite
def structs(draw: Any, hint: Any) -> Any:
    hints = typing.get_type_hints(hint)
    needed = [each.name for each in msgspec.structs.fields(hint) if each.required]
    others = [each.name for each in msgspec.structs.fields(hint) if not each.required]
    chosen = draw(st.lists(st.sampled_from(others), max_size=3, unique=True)) if others else []
    return hint(**{name: draw(hostile(hints[name])) for name in (*needed, *chosen)})


def spoilt(draw: Any, value: Any, hint: Any) -> Any:
    """A value with one thing in it, however deep, exchanged for a hostile one."""
    if isinstance(value, msgspec.Struct) and draw(st.integers(0, 19)):
        name = draw(st.sampled_from([each.name for each in msgspec.structs.fields(type(value))]))
        inner = typing.get_type_hints(type(value))[name]
        return msgspec.structs.replace(value, **{name: spoilt(draw, getattr(value, name), inner)})
    if isinstance(value, tuple) and value and draw(st.integers(0, 3)):
        at = draw(st.integers(0, len(value) - 1))
        return (*value[:at], spoilt(draw, value[at], type(value[at])), *value[at + 1 :])
    return draw(hostile(hint))


@st.composite
def spoilt_stacks(draw: Any) -> StackSpec:
    """The good stack with a few things spoilt, in its containers most of all."""
    services = []
    for spec in GOOD.services:
        container, found = spec.container, spec
        for _ in range(draw(st.integers(0, 2))):
            container = spoilt(draw, container, ContainerSpec)
        if not draw(st.integers(0, 3)):
            found = spoilt(draw, found, ServiceSpec)
        services.append(msgspec.structs.replace(found, container=container))
    found = msgspec.structs.replace(GOOD, services=tuple(services))
    return found if draw(st.integers(0, 9)) else spoilt(draw, found, StackSpec)


def over_the_wire(stack: StackSpec) -> StackSpec:
    """What the door makes of it; what cannot even be written is no message."""
    try:
        data = wire.to_pb(stack).SerializeToString()
    except ValueError:
        assume(False)
    return typing.cast(StackSpec, wire.from_pb(wire.message_of("StackSpec").FromString(data)))


@pytest.fixture(scope="module")
def allowing() -> Settings:
    return Settings(allowed=frozenset(Privilege), file_key=b"k")


#: Found by this test: nothing of a good that the node does not have.
NOTHING_OF_A_GOOD = msgspec.structs.replace(
    GOOD, services=(msgspec.structs.replace(GOOD.services[1], generic={"gpu": 0}),)
)


@example(stack=NOTHING_OF_A_GOOD)
@settings(max_examples=200, deadline=None, suppress_health_check=[Check.too_slow, Check.filter_too_much])
@given(stack=st.one_of(spoilt_stacks(), spoilt_stacks(), spoilt_stacks(), hostile(StackSpec)))
def test_no_stack_breaks_the_controller(stack: StackSpec, allowing: Settings) -> None:
    world = World(settings=allowing)
    world.node("n1"), world.node("n2")
    wished = over_the_wire(stack)
    world.event(PlanAsked(ticket="plan", stack=wished))
    world.event(DeployAsked(ticket="deploy", stack=wished))
    plan, deployed = world.replies["plan"], world.replies["deploy"]
    assert isinstance(plan.value, Plan) or plan.problems
    assert isinstance(deployed.value, Deployed) or deployed.problems
    if isinstance(plan.value, Plan):
        assert bool(plan.value.problems) is bool(deployed.problems)
        wire.to_pb(plan.value).SerializeToString()
    world.pass_time(20_000)
    if deployed.value is not None:
        for node in world.nodes.values():
            wire.to_pb(node.assigned).SerializeToString()
        world.restarted().pass_time(20_000)


def test_the_stack_that_is_spoilt_is_good(allowing: Settings) -> None:
    world = World(settings=allowing)
    world.node("n1")
    plan = world.plan(over_the_wire(GOOD))
    assert plan.problems == ()
