"""Configs and secrets: versions by content, who gets them, and when they are forgotten."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from bayplan.errors import ProblemKind
from bayplan.limits import FILE_BYTES_MAX
from bayplan.model import FileKind, FileMount, ServiceSpec, StackFile, StackSpec
from bayplan.session import FilesWanted
from controller.core import files, history
from controller.core.files import MESSAGE_BYTES_MAX
from controller.core.turn import Settings
from controller.events import DeployAsked, FileCreateAsked, FileUpdateAsked
from controller.records import FileContent
from tests.unit.controller.world import Node, World, service, stack

#: What no view, event or repr may show.
CANARY = b"the canary sings at midnight"


@pytest.fixture
def world() -> World:
    world = World(settings=Settings(file_key=b"k" * 32))
    world.node("n1")
    return world


def mounting(name: str = "web", *sources: str, digest: str = "", **fields: Any) -> ServiceSpec:
    """A service that mounts secrets by their full names."""
    mounts = tuple(
        FileMount(kind=FileKind.SECRET, source=each, target=f"/run/secrets/{each}", digest=digest)
        for each in sources or ("shop_key",)
    )
    wished = service(name, **fields)
    return replace(wished, container=replace(wished.container, files=mounts))


def secret(content: bytes = b"one", name: str = "shop_key", **fields: Any) -> StackFile:
    return StackFile(kind=FileKind.SECRET, name=name, content=content, **fields)


def shop(content: bytes = b"one", *services: ServiceSpec, name: str = "shop") -> StackSpec:
    return StackSpec(name=name, services=services or (mounting(),), files=(secret(content),))


def external(*services: ServiceSpec, name: str = "db_password", stack_name: str = "shop") -> StackSpec:
    brought = StackFile(kind=FileKind.SECRET, name=name, external=True, place="c.yml:12")
    return StackSpec(name=stack_name, services=services or (mounting("web", name),), files=(brought,))


def mounted(world: World, name: str = "shop_web") -> list[bytes | None]:
    """The contents that a service's tasks would have now."""
    found = world.state.service_named(name)
    assert found is not None
    return [world.state.contents.get(each.digest) for each in world.state.spec_of(found).container.files]


def kept(world: World) -> list[bytes]:
    return sorted(record.content for record in world.state.contents.records())


def node_of(world: World) -> Node:
    return next(iter(world.nodes.values()))


def test_a_stack_brings_its_files_and_new_content_rolls_who_mounts_it(world: World) -> None:
    world.deploy(shop(b"one", mounting(), service("other")))
    before = node_of(world).running()
    assert mounted(world) == [b"one"]
    plan = world.plan(shop(b"two", mounting(), service("other")))
    assert [(each.change.service, each.change.action.value) for each in plan.services] == [
        ("shop_web", "update"),
        ("shop_other", "same"),
    ]
    assert [(each.name, each.action.value) for each in plan.files] == [("shop_key", "update")]
    world.deploy(shop(b"two", mounting(), service("other")))
    assert mounted(world) == [b"two"]
    assert len(set(before) & set(node_of(world).running())) == 1
    assert world.state.files["secret/shop_key"].version == 2


def test_the_same_content_rolls_nobody(world: World) -> None:
    world.deploy(shop())
    world.log.clear()
    assert [each.action.value for each in world.deploy(shop()).value.changes] == ["same"]
    assert world.log == []


def test_a_digest_that_a_client_wrote_does_not_count(world: World) -> None:
    world.deploy(shop(b"one", mounting(digest="f" * 64)))
    assert mounted(world) == [b"one"]


def test_a_digest_is_keyed_and_tells_kinds_apart() -> None:
    from controller.decide.files import digest

    known = {digest(key, kind, b"hunter2") for key in (b"a" * 32, b"b" * 32) for kind in FileKind}
    assert len(known) == 4


def test_a_rollback_brings_the_old_content_back(world: World) -> None:
    world.deploy(shop(b"one"))
    world.deploy(shop(b"two"))
    world.rollback()
    assert mounted(world) == [b"one"]
    assert world.state.files["secret/shop_key"].version == 3


def test_contents_that_nothing_refers_to_are_forgotten(world: World) -> None:
    for number in range(history.REVISIONS_KEPT_MAX + 3):
        world.deploy(shop(b"%d" % number))
    assert len(kept(world)) == history.REVISIONS_KEPT_MAX
    assert b"0" not in kept(world)
    world.remove()
    assert kept(world) == []
    assert world.state.files == {}


def test_a_content_is_kept_while_a_task_still_runs_with_it(world: World) -> None:
    world.deploy(shop(b"one"))
    node_of(world).obedient = False
    world.remove()
    assert kept(world) == [b"one"]
    node_of(world).obey()
    assert kept(world) == []


def test_a_file_that_left_its_stack_goes_when_nobody_mounts_it(world: World) -> None:
    world.deploy(shop(b"one", mounting("web"), mounting("api")))
    world.deploy(stack(service("web")))
    assert "secret/shop_key" in world.state.files, "api still mounts it"
    plan = world.plan(stack(service("web")), prune=True)
    assert [(each.name, each.action.value) for each in plan.files] == [("shop_key", "remove")]
    world.deploy(stack(service("web")), prune=True)
    assert world.state.files == {}


def test_a_file_that_another_stack_mounts_outlives_its_own(world: World) -> None:
    world.deploy(shop(b"one"))
    world.deploy(external(mounting("app"), name="shop_key", stack_name="blog"))
    world.remove("shop")
    assert mounted(world, "blog_app") == [b"one"]
    assert world.state.files["secret/shop_key"].stack == "shop"
    world.remove("blog")
    assert world.remove_file("shop_key").problem is None
    assert kept(world) == []


def test_an_external_file_must_be_there(world: World) -> None:
    reply = world.deploy(external())
    assert reply.problem is not None and reply.problem.place == "c.yml:12"
    assert "bayplan secret create db_password FILE" in reply.problem.hint
    assert world.plan(external()).problems == (reply.problem,)
    world.create_file("db_password", b"hunter2")
    assert world.deploy(external()).problem is None
    assert mounted(world) == [b"hunter2"]


def test_new_content_by_name_rolls_all_who_mount_it(world: World) -> None:
    world.create_file("db_password", b"one")
    world.deploy(external())
    world.deploy(external(mounting("app", "db_password"), stack_name="blog"))
    before = node_of(world).running()
    changed = world.update_file("db_password", b"two").value
    assert changed.rolled == ("blog_app", "shop_web")
    assert (changed.file.version, changed.file.used_by) == (2, ("blog_app", "shop_web"))
    assert mounted(world) == mounted(world, "blog_app") == [b"two"]
    assert not set(before) & set(node_of(world).running())
    assert history.views(world.state, "shop")[0].cause == "update of secret db_password"
    world.rollback()
    assert mounted(world) == [b"one"]


def test_an_update_with_the_same_content_changes_nothing(world: World) -> None:
    world.create_file("db_password", b"one")
    world.deploy(external())
    world.log.clear()
    assert world.update_file("db_password", b"one").value.rolled == ()
    assert world.log == []


def test_names_are_not_taken_twice(world: World) -> None:
    world.create_file("shop_key", b"by hand")
    assert "is there already" in world.deploy(shop()).problem.summary
    assert world.create_file("shop_key", b"again").problem.kind is ProblemKind.REFUSED
    assert world.create_file("shop_key", b"a config", FileKind.CONFIG).problem is None


def test_a_stacks_own_file_is_changed_in_its_stack(world: World) -> None:
    world.deploy(shop())
    for reply in (world.create_file("shop_key", b"x"), world.update_file("shop_key", b"x")):
        assert reply.problem.kind is ProblemKind.REFUSED and "comes from stack shop" in str(reply.problem)
    assert "is used by shop_web" in world.remove_file("shop_key").problem.summary


def test_what_is_used_is_not_removed(world: World) -> None:
    world.create_file("db_password", b"one")
    world.deploy(external())
    problem = world.remove_file("db_password").problem
    assert "is used by shop_web" in problem.summary
    world.remove()
    assert world.remove_file("db_password").problem is None
    assert kept(world) == []


def test_a_misspelt_file_is_told_the_nearest(world: World) -> None:
    world.create_file("db_password", b"one")
    assert world.remove_file("db_pasword").problem.hint == "did you mean db_password?"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("../etc", b"", "must be letters"),
        ("", b"", "must be letters"),
        ("a", b"x" * (FILE_BYTES_MAX + 1), "KiB"),
    ],
)
def test_names_and_sizes_are_checked(world: World, name: str, content: bytes, said: str) -> None:
    problem = world.create_file(name, content).problem
    assert problem.kind is ProblemKind.INVALID and said in problem.summary


def test_there_are_so_many_contents_and_no_more(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("controller.core.proposals.CONTENTS_BYTES_MAX", 10)
    assert world.create_file("a", b"x" * 10).problem is None
    assert "together" in world.create_file("b", b"y").problem.summary
    assert world.create_file("b", b"x" * 10).problem is None, "the content is there already"
    assert "together" in world.deploy(shop()).problem.summary
    monkeypatch.setattr("controller.core.proposals.FILES_MAX", 2)
    assert "at most 2" in world.create_file("c", b"").problem.summary


# --- who gets contents ---


def asked_for(world: World, node: Node, *contents: bytes) -> dict[str, bytes]:
    """What a node is given that asks for these contents."""
    digests = {record.content: record.digest for record in world.state.contents.records()}
    node.given.clear()
    node.says(FilesWanted(digests=tuple(digests.get(each, "0" * 64) for each in contents)))
    return {digest: data for message in node.given for digest, data in message.contents.items()}


def test_a_node_is_given_what_its_own_tasks_mount_and_nothing_else(world: World) -> None:
    second = world.node("n2")
    world.create_file("db_password", b"elsewhere")
    world.deploy(external(mounting("web", "db_password", constraints=("node.hostname == n2",))))
    world.deploy(shop(b"mine", mounting(constraints=("node.hostname == n1",)), name="blog"))
    given = asked_for(world, node_of(world), b"mine", b"elsewhere", b"nowhere")
    assert list(given.values()) == [b"mine"]
    assert "asked for 2 contents that no task of it mounts" in world.state.events[-1].text
    assert list(asked_for(world, second, b"mine", b"elsewhere").values()) == [b"elsewhere"]


def test_assignments_carry_digests_and_no_contents(world: World) -> None:
    world.deploy(shop(CANARY))
    (spec,) = node_of(world).assigned.specs.values()
    assert spec.files[0].digest
    assert "canary" not in repr(node_of(world).assigned)


def test_large_contents_come_in_several_messages(world: World) -> None:
    contents = [bytes([number]) * FILE_BYTES_MAX for number in range(5)]
    names = [f"shop_k{number}" for number in range(5)]
    brought = tuple(secret(content, name) for content, name in zip(contents, names, strict=True))
    world.deploy(StackSpec(name="shop", services=(mounting("web", *names),), files=brought))
    given = asked_for(world, node_of(world), *contents)
    assert sorted(given.values()) == contents
    sizes = [sum(map(len, message.contents.values())) for message in node_of(world).given]
    assert len(sizes) == 3 and max(sizes) <= MESSAGE_BYTES_MAX


# --- nothing shows ---


def test_contents_show_in_no_view_event_or_repr(world: World) -> None:
    world.create_file("db_password", CANARY)
    world.deploy(shop(CANARY))
    plan = world.plan(shop(CANARY + b"2"))
    world.deploy(shop(b"x" * 600_000 + CANARY))
    shown: list[Any] = [
        plan,
        *world.state.events,
        *world.replies.values(),
        *history.views(world.state, "shop"),
        *(files.view(file, []) for file in world.state.files.values()),
        history.find(world.state, "shop", 0).spec,
        *world.log,
        shop(CANARY),
        DeployAsked(ticket="t", stack=shop(CANARY)),
        FileCreateAsked(ticket="t", kind=FileKind.SECRET, name="n", content=CANARY),
        FileUpdateAsked(ticket="t", kind=FileKind.SECRET, name="n", content=CANARY),
        FileContent(digest="d", content=CANARY),
    ]
    asked_for(world, node_of(world), CANARY)
    assert node_of(world).given
    shown += node_of(world).given
    assert [each for each in shown if "canary" in repr(each)] == []


def test_a_revision_that_can_be_read_has_no_contents(world: World) -> None:
    world.deploy(shop(CANARY))
    spec = history.find(world.state, "shop", 0).spec
    assert [(each.name, each.content) for each in spec.files] == [("shop_key", b"")]


def test_files_survive_a_restart(world: World) -> None:
    world.create_file("db_password", b"two")
    world.deploy(shop(b"one"))
    again = world.restarted()
    assert kept(again) == [b"one", b"two"]
    assert again.state.files == world.state.files
    again.event(DeployAsked(ticket="t", stack=shop(b"one")))
    assert [each.action.value for each in again.replies["t"].value.changes] == ["same"]  # type: ignore[union-attr]
