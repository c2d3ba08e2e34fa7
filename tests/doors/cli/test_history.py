"""`stack history|diff|rollback|export|rm`: the revisions of a stack as the command line shows them."""

from __future__ import annotations

import pytest

from bayplan.model import ContainerSpec, ServiceSpec, StackSpec
from bayplan.views import ServiceAction, ServiceChange
from tests.doors.cli.canned_controller import World
from tests.doors.cli.cli_world import Cli


def stack(image: str, *more: str) -> StackSpec:
    container = ContainerSpec(image=image)
    return StackSpec(
        name="shop", services=tuple(ServiceSpec(name=name, container=container) for name in ("web", *more))
    )


@pytest.fixture
def old(world: World) -> World:
    """A stack at its third revision."""
    world.shop()
    world.specs_of_stack = {1: stack("demo:1"), 2: stack("demo:2"), 3: stack("demo:2", "api")}
    world.revision = 3
    return world


def test_history_is_newest_first_and_marks_the_current_one(old: World, cli: Cli) -> None:
    lines = cli("stack", "history", "shop").out.splitlines()
    assert lines[0].split() == ["REVISION", "AGE", "CAUSE", "SERVICES", "CURRENT"]
    assert lines[1].split() == ["3", "7", "minutes", "deploy", "2", "*"]
    assert cli("stack", "history", "-q", "shop").out.split() == ["3", "2", "1"]


@pytest.mark.parametrize(
    ("revisions", "lines"),
    [
        ((), ["+ create shop_api", "= same shop_web", "revision 2 -> 3: 1 service changes"]),
        (
            ("1", "2"),
            ["~ update shop_web", "    ~ image  demo:1 -> demo:2", "revision 1 -> 2: 1 service changes"],
        ),
        (("3", "3"), ["revision 3 -> 3: no difference"]),
        (
            ("1",),
            [
                "~ update shop_web",
                "    ~ image  demo:1 -> demo:2",
                "+ create shop_api",
                "revision 1 -> 3: 2 services change",
            ],
        ),
    ],
)
def test_diff_is_between_revisions(
    old: World, cli: Cli, revisions: tuple[str, ...], lines: list[str]
) -> None:
    answer = cli("stack", "diff", "shop", *revisions)
    assert (answer.code, answer.out.splitlines()) == (0, lines)


def test_diff_can_tell_by_its_exit_code(old: World, cli: Cli) -> None:
    assert cli("stack", "diff", "--detailed-exitcode", "shop", "3", "3").code == 0
    assert cli("stack", "diff", "--detailed-exitcode", "shop", "1").code == 2


def test_a_revision_that_is_not_kept_ends_with_1(old: World, cli: Cli) -> None:
    answer = cli("stack", "diff", "shop", "9")
    assert answer.code == 1
    assert "no revision 9 of shop" in answer.err
    assert "did you mean" not in answer.err


def test_the_first_revision_has_none_before_it(world: World, cli: Cli) -> None:
    world.specs_of_stack = {1: stack("demo:1")}
    for command in ("diff", "rollback"):
        answer = cli("stack", command, "shop")
        assert answer.code == 1
        assert "shop has no revision before the current one" in answer.err


def test_rollback_deploys_the_revision_before_and_says_what_changes(old: World, cli: Cli) -> None:
    old.actions = [ServiceChange(service="shop_api", action=ServiceAction.REMOVE, version=1)]
    answer = cli("stack", "rollback", "-d", "--check-index", "3", "shop")
    assert answer.code == 0
    assert answer.out == "Removing service shop_api\n"
    assert answer.err.startswith("shop goes back to revision 2, as revision 4\n")
    (request,) = old.asked
    assert (request.revision, request.check_index) == (2, 3)


def test_a_dry_rollback_shows_its_plan_and_changes_nothing(old: World, cli: Cli) -> None:
    answer = cli("stack", "rollback", "--dry-run", "shop", "1")
    assert answer.out.splitlines() == [
        "~ update shop_web",
        "    ~ image  demo:2 -> demo:1",
        "- remove shop_api",
        "Plan: 0 to create, 1 to update, 1 to remove; revision 3",
    ]
    assert old.asked == []


def test_stack_ls_has_the_revision_after_dockers_columns(old: World, cli: Cli) -> None:
    assert cli("stack", "ls").out.splitlines()[0].split()[-1] == "REVISION"
    assert cli("stack", "ls", "--format", "{{.Name}} {{.Revision}}").out == "shop 3\n"


def test_rm_of_what_is_not_there_is_no_error_when_told_so(world: World, cli: Cli) -> None:
    answer = cli("stack", "rm", "-y", "--if-exists", "shop")
    assert (answer.code, answer.out, answer.err) == (0, "", "there is no stack shop\n")
    assert world.asked == []
