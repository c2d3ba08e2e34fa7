"""A node's desired set, made from the table: the same as made of each task, whatever the tasks are."""

from __future__ import annotations

from bayplan import ids
from bayplan.columns import unpacked
from bayplan.lifecycle import TaskState
from bayplan.model import (
    Assignment,
    Assignments,
    ContainerSpec,
    Dependency,
    DependencyCondition,
    Desired,
    Good,
    RestartCondition,
    ServiceSpec,
    TaskStatus,
)
from bayplan.session_wire import Listener, Shelf, Speaker
from controller.core.assigning import Assigner
from controller.endpoints import Leaving
from controller.records import Cluster, Drop, Node, Put, Service, ServiceVersion, Task
from controller.state import State

WEB = ServiceSpec(name="web", container=ContainerSpec(image="web:1"), fence=True)
WEB2 = ServiceSpec(name="web", container=ContainerSpec(image="web:2"))
DB = ServiceSpec(name="db", container=ContainerSpec(image="db:1"))


def version(service_id: str, number: int, spec: ServiceSpec) -> ServiceVersion:
    return ServiceVersion(service_id=service_id, version=number, spec=spec)


def cluster(*tasks: Task) -> State:
    services = [
        Service(id=key, name=f"shop_{key}", stack="shop", version=1, replicas=3) for key in ("web", "db")
    ]
    versions = [version("web", 1, WEB), version("web", 2, WEB2), version("db", 1, DB)]
    return State([Cluster(id="c"), Node(id="n", name="n1"), *services, *versions, *tasks])


def task(number: int, service: str = "web", node: str = "n", **fields: object) -> Task:
    usual = {"slot": number, "version": 1, "node_id": node, "service_id": service}
    return Task(id=ids.to_id(number), **{**usual, **fields})  # type: ignore[arg-type]


def given(state: State, node: str = "n") -> Assignments:
    found = Assigner(state).assignments(node)
    assert found is not None
    return unpacked(found)


def of(found: Assignments) -> dict[int, Assignment]:
    """By slot."""
    return {each.slot: each for each in found.tasks}


def test_a_set_has_all_tasks_of_its_node_with_their_specs() -> None:
    state = cluster(task(1), task(2, version=2), task(3, "db"), task(4, node="other"), task(5, node=""))
    state.lives["n"].revision = 6
    found = given(state)
    assert (found.revision, sorted(of(found))) == (6, [1, 2, 3])
    assert found.specs == {"web/1": WEB.container, "web/2": WEB2.container, "db/1": DB.container}
    assert of(found)[1] == Assignment(
        task_id=ids.to_id(1),
        service="shop_web",
        stack="shop",
        slot=1,
        version=1,
        desired=Desired.RUN,
        spec_id="web/1",
        restart=RestartCondition.ANY,
        fence=True,
    )
    assert not of(found)[2].fence


def test_what_is_desired_is_what_the_record_says() -> None:
    state = cluster(
        task(1, desired=Desired.READY),
        task(2, desired=Desired.STOP),
        task(3, completed=True),
        task(4, removing=True),
    )
    desired = {slot: each.desired for slot, each in of(given(state)).items()}
    assert desired == {1: Desired.READY, 2: Desired.STOP, 3: Desired.STOP}


def test_what_serves_on_for_now_runs_whatever_shall_become_of_it() -> None:
    state = cluster(task(1, desired=Desired.STOP), task(2, removing=True), task(3, desired=Desired.STOP))
    for number in (1, 2):
        state.leaving[ids.to_id(number)] = Leaving(1_000)
    desired = {slot: each.desired for slot, each in of(given(state)).items()}
    assert desired == {1: Desired.RUN, 2: Desired.RUN, 3: Desired.STOP}


def test_odd_tasks_are_told_as_others_are_and_goods_are_their_own() -> None:
    ended = TaskStatus(task_id=ids.to_id(1), state=TaskState.FAILED)
    goods = Good(kind="gpu", name="a"), Good(kind="gpu", name="b"), Good(kind="fpga", name="x")
    state = cluster(task(1, end=ended), task(2, goods=goods), task(3))
    found = of(given(state))
    assert [found[slot].goods for slot in (1, 2, 3)] == [{}, {"gpu": "a,b", "fpga": "x"}, {}]
    assert found[2].spec_id == "web/1"


def test_a_task_whose_id_has_no_number_is_told_whole() -> None:
    state = cluster(task(1), Task(id="of-old", service_id="db", slot=2, version=1, node_id="n"))
    assert [(each.task_id, each.spec_id) for each in given(state).tasks] == [
        (ids.to_id(1), "web/1"),
        ("of-old", "db/1"),
    ]


def test_a_node_that_is_no_more_has_no_set_and_an_empty_one_has_nothing_in_it() -> None:
    state = cluster()
    assert given(state) == Assignments(revision=0)
    state.apply(Drop(kind="Node", key="n"))
    assert Assigner(state).assignments("n") is None


def test_equal_kinds_are_the_same_object_until_their_records_change() -> None:
    state = cluster(task(1), task(2, node="other"))
    state.apply(Put(record=Node(id="other", name="n2")))
    assigner = Assigner(state)

    def kind(node: str) -> Assignment:
        found = assigner.assignments(node)
        assert found is not None
        return found.columns.kinds[0]

    first = kind("n")
    assert kind("other") is first
    state.apply(Put(record=Service(id="web", name="shop_web", stack="shop", version=1, replicas=9)))
    assert kind("n") is first, "nothing of it has changed"
    awaits = Dependency(service="web", condition=DependencyCondition.COMPLETED)
    waiter = ServiceSpec(name="db", container=DB.container, depends_on=(awaits,))
    state.apply(Put(record=version("db", 1, waiter)))
    assert kind("n").restart is RestartCondition.ON_FAILURE


def test_a_set_that_was_said_and_heard_is_the_set_that_was_made() -> None:
    state = cluster(*(task(number, "web" if number % 2 else "db") for number in range(1, 30)))
    made = Assigner(state).assignments("n")
    assert made is not None
    assert Listener().hear(Speaker(Shelf()).say(made)) == unpacked(made)
