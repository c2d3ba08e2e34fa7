"""What is said arrives: in columns, each spec once, and nothing that was garbled."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from bayplan import columns, ids, session_wire
from bayplan.lifecycle import TaskState
from bayplan.model import (
    Assignment,
    Assignments,
    BoundPort,
    ContainerSpec,
    Desired,
    Health,
    Inventory,
    RestartCondition,
    TaskStatus,
)
from bayplan.session import Hello, Pulse, Report, StatusGroup
from bayplan.session_wire import Listener, Shelf, Speaker
from bayplan.v1 import agent_pb2
from bayplan.wire import WireError, from_pb

WEB, DB = ContainerSpec(image="web:1"), ContainerSpec(image="db:1", command=("serve",))
SPECS = {"web/1": WEB, "db/1": DB}

numbers = st.integers(0, ids.NUMBERS - 1)
task_ids = st.one_of(numbers.map(ids.to_id), st.sampled_from(["t1", "node-of-old", "2" * 12, "z" * 12]))
containers = st.one_of(
    st.just(""),
    st.binary(min_size=32, max_size=32).map(bytes.hex),
    st.sampled_from(["c1", "0" * 64, "AB" * 32, " " + "ab" * 32]),
)
addresses = st.one_of(st.just(""), st.ip_addresses().map(str), st.just("0.0.0.0"), st.just("host"))
statuses = st.builds(
    TaskStatus,
    task_id=task_ids,
    state=st.sampled_from(TaskState),
    health=st.sampled_from(Health),
    message=st.sampled_from(["", "", "killed"]),
    exit_code=st.sampled_from([None, None, 0, 137]),
    container_id=containers,
    address=addresses,
    ports=st.sampled_from([(), (), (BoundPort(target=80, published=8080),)]),
    since_ms=st.integers(-(2**63), 2**63 - 1),
    restarts=st.sampled_from([0, 0, 3]),
)
assigned = st.builds(
    Assignment,
    task_id=task_ids,
    service=st.sampled_from(["shop_web", "shop_db"]),
    stack=st.just("shop"),
    slot=st.integers(0, 2**32 - 1),
    version=st.integers(1, 3),
    desired=st.sampled_from(Desired),
    spec_id=st.sampled_from(sorted(SPECS)),
    restart=st.sampled_from(RestartCondition),
    fence=st.booleans(),
    goods=st.sampled_from([{}, {}, {"gpu": "a,b"}]),
)


def by_id(items: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    unique = st.lists(items, max_size=12, unique_by=lambda item: item.task_id)
    return unique.map(lambda found: tuple(sorted(found, key=lambda item: item.task_id)))


def assignments(tasks: tuple[Assignment, ...], revision: int = 1) -> Assignments:
    named = {task.spec_id for task in tasks}
    return Assignments(revision=revision, tasks=tasks, specs={key: SPECS[key] for key in named})


def numbered(count: int, **others: Any) -> tuple[Assignment, ...]:
    common: dict[str, Any] = {"service": "shop_web", "stack": "shop", "version": 1, "desired": Desired.RUN}
    return tuple(
        Assignment(task_id=ids.to_id(n), slot=n, **{**common, "spec_id": "web/1", **others})
        for n in range(count)
    )


def on_the_wire(data: bytes) -> Assignments:
    found: Assignments = from_pb(agent_pb2.SessionResponse.FromString(data).assignments)
    return found


@settings(max_examples=200, deadline=None)
@given(by_id(statuses), st.lists(task_ids, unique=True).map(sorted).map(tuple))
def test_a_report_arrives_as_it_was_said(told: tuple[TaskStatus, ...], gone: tuple[str, ...]) -> None:
    report = Report(revision=7, tasks=told, gone=gone)
    assert columns.unpacked(session_wire.hear(session_wire.say(report))) == report


@settings(max_examples=50, deadline=None)
@given(by_id(statuses))
def test_a_hello_arrives_as_it_was_said(told: tuple[TaskStatus, ...]) -> None:
    hello = Hello(boot_id="b", epoch=2, revision=3, inventory=Inventory(hostname="h"), tasks=told)
    assert columns.unpacked(session_wire.hear(session_wire.say(hello))) == hello


@settings(max_examples=200, deadline=None)
@given(st.lists(by_id(assigned), max_size=4))
def test_assignments_of_a_session_arrive_as_they_were_said(sets: list[tuple[Assignment, ...]]) -> None:
    speaker, listener = Speaker(Shelf()), Listener()
    for revision, tasks in enumerate(sets, 1):
        message = assignments(tasks, revision)
        assert listener.hear(speaker.say(message)) == message


def test_other_messages_pass_as_they_are() -> None:
    assert Listener().hear(Speaker(Shelf()).say(Pulse(number=3, window_ms=50))) == Pulse(
        number=3, window_ms=50
    )


def test_a_spec_is_said_once_in_a_session() -> None:
    speaker, other = Speaker(shelf := Shelf()), Speaker(shelf)
    first = speaker.say(assignments(numbered(3), 1))
    again = speaker.say(assignments(numbered(4), 2))
    assert on_the_wire(first).specs == {"web/1": WEB}
    assert on_the_wire(again).specs == {}
    assert on_the_wire(other.say(assignments(numbered(3), 1))).specs == {"web/1": WEB}


def test_a_spec_that_was_not_in_the_message_before_is_said_again() -> None:
    speaker, listener = Speaker(Shelf()), Listener()
    for tasks in (numbered(2), (), numbered(2)):
        message = assignments(tasks)
        assert listener.hear(speaker.say(message)) == message


def test_a_spec_that_has_changed_under_its_name_is_said_again() -> None:
    speaker, listener = Speaker(Shelf()), Listener()
    listener.hear(speaker.say(assignments(numbered(2))))
    changed = replace(assignments(numbered(2)), specs={"web/1": DB})
    assert listener.hear(speaker.say(changed)) == changed


def test_a_task_in_columns_takes_sixteen_bytes() -> None:
    def size(count: int) -> int:
        return len(Speaker(Shelf()).say(assignments(numbered(count))))

    assert size(2_000) - size(1_000) <= 16_000 + 6  # and what their number adds to the lengths


def test_a_spec_that_was_never_said_is_an_error() -> None:
    speaker = Speaker(Shelf())
    speaker.say(assignments(numbered(1)))
    with pytest.raises(WireError, match=r"spec 'web/1' was never said"):
        Listener().hear(speaker.say(assignments(numbered(1))))


@pytest.mark.parametrize(
    ("group", "said"),
    [
        ({"ids": b"123"}, "3 bytes, which is no multiple of 8"),
        ({"since_ms": bytes(7)}, "since_ms has 7 bytes for 1 tasks"),
        ({"containers": bytes(31)}, "containers has 31 bytes for 1 tasks"),
        ({"addresses": bytes(5)}, "addresses has 5 bytes for 1 tasks"),
        ({"ids": (ids.NUMBERS).to_bytes(8, "little")}, "the number of none"),
    ],
)
def test_columns_that_do_not_fit_together_are_an_error(group: dict[str, bytes], said: str) -> None:
    told = StatusGroup(state=TaskState.RUNNING, health=Health.NONE, ids=bytes(8), since_ms=bytes(8))
    report = Report(revision=1, groups=(replace(told, **group),))
    with pytest.raises(WireError, match=said):
        session_wire.hear(session_wire.say(report))


def test_what_is_no_message_is_an_error() -> None:
    with pytest.raises(WireError, match="4 bytes are no SessionRequest"):
        session_wire.hear(b"\x0a\xff\xff\xff")
    with pytest.raises(WireError, match="4 bytes are no SessionResponse"):
        Listener().hear(b"\x0a\xff\xff\xff")
    with pytest.raises(WireError, match="empty SessionRequest"):
        session_wire.hear(b"")


@pytest.mark.parametrize("number", [ids.NUMBERS, -3, 2**63 - 1])
def test_a_number_that_no_id_has_is_an_error(number: int) -> None:
    wild = number.to_bytes(8, "little", signed=True)
    with pytest.raises(WireError, match="the number of none"):
        session_wire.hear(session_wire.say(Report(revision=1, gone_ids=wild)))


@pytest.mark.parametrize(
    ("column", "said"),
    [
        ({"ids": bytes(7)}, "no multiple of 8"),
        ({"slots": bytes(3)}, "slots has 3 bytes for 1 tasks"),
        ({"kind_of": b""}, "kind_of has 0 bytes for 1 tasks"),
        ({"kind_of": b"\1\0\0\0"}, "of kind 1 of 1"),
    ],
)
def test_assignments_whose_columns_do_not_fit_are_an_error(column: dict[str, bytes], said: str) -> None:
    whole = columns.packed(assignments(numbered(1)))
    garbled = replace(whole, columns=replace(whole.columns, **column))
    with pytest.raises(WireError, match=said):
        Listener().hear(Speaker(Shelf()).say(garbled))


def test_columns_of_several_nodes_are_joined_by_state_and_health() -> None:
    def group(state: TaskState, first: int, *, container: bool) -> StatusGroup:
        told = [
            TaskStatus(
                task_id=ids.to_id(first + n), state=state, since_ms=first, container_id="ab" * 32 * container
            )
            for n in range(2)
        ]
        return columns.pack_statuses(told)[0][0]

    running, ended = TaskState.RUNNING, TaskState.COMPLETE
    groups = [group(running, 10, container=True), group(ended, 20, container=False)]
    joined = columns.status_columns([*groups, group(running, 30, container=False)])
    assert [(each.state, each.numbers.tolist()) for each in joined] == [
        (running, [10, 11, 30, 31]),
        (ended, [20, 21]),
    ]
    assert joined[0].since_ms.tolist() == [10, 10, 30, 30]
    assert [bytes(each)[:1] for each in joined[0].containers] == [b"\xab", b"\xab", b"\0", b"\0"]
    assert joined[0].addresses.tolist() == [0, 0, 0, 0]
