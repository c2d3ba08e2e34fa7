"""A plan as a newcomer reads it: short, signs first, equal reasons once."""

from __future__ import annotations

from typing import Any

import pytest

from bayplan.errors import Problem, ProblemKind
from bayplan.model import FileKind, Resources
from bayplan.render.plan import FIELDS_MAX, NAMED_MAX, gist, is_changing, plan_json, plan_lines, summary_line
from bayplan.render.reservation import reserved
from bayplan.views import (
    FieldChange,
    FileChange,
    NodeShare,
    Origin,
    Placement,
    Plan,
    PlannedTask,
    Reservation,
    ServiceAction,
    ServiceChange,
    ServicePlan,
)

CREATE, UPDATE, SCALE, SAME, REMOVE = ServiceAction
MIB = 1024**2


def service(name: str, action: ServiceAction = SAME, **fields: Any) -> ServicePlan:
    return ServicePlan(change=ServiceChange(service=f"shop_{name}", action=action, version=1), **fields)


def plan(*services: ServicePlan, **fields: Any) -> Plan:
    return Plan(stack="shop", index=4, services=services, **fields)


def tasks(number: int, *nodes: str, reasons: tuple[str, ...] = ("fewest tasks",)) -> tuple[PlannedTask, ...]:
    return tuple(
        PlannedTask(name=f"shop_web.{slot + 1}", node=nodes[slot % len(nodes)], reasons=reasons)
        for slot in range(number)
    )


IMAGE = FieldChange(path="container.image", before="demo:1", after="demo:2")


def test_a_plan_without_changes_is_one_line() -> None:
    same = plan(service("api"), service("web"))
    assert not is_changing(same)
    assert plan_lines(same) == []
    assert summary_line(same) == "shop would not change: 2 services, revision 4"


def test_each_action_has_its_sign_and_is_counted() -> None:
    found = plan(
        service("new", CREATE),
        service("api", UPDATE),
        service("web", SCALE),
        service("db"),
        service("old", REMOVE),
    )
    assert plan_lines(found) == [
        "+ create shop_new",
        "~ update shop_api",
        "~ scale shop_web",
        "- remove shop_old",
        "= same shop_db",
    ]
    assert (
        summary_line(found)
        == "Plan: 1 to create, 1 to update, 1 to scale, 1 to remove, 1 unchanged; revision 4"
    )


def test_a_new_stack_is_called_so() -> None:
    found = Plan(stack="shop", services=(service("web", CREATE),))
    assert summary_line(found) == "Plan: 1 to create, 0 to update, 0 to remove; a new stack"


def test_fields_are_aligned_with_before_and_after() -> None:
    fields = (
        IMAGE,
        FieldChange(path="container.environment.MODE", after="fast"),
        FieldChange(path="labels.team", before="a"),
    )
    found = plan(service("web", UPDATE, fields=fields, rolls="1 at a time, the old task stops first"))
    assert plan_lines(found)[1:] == [
        "    ~ image             demo:1 -> demo:2",
        "    + environment.MODE  fast",
        "    - labels.team       a",
        "    rolls    1 at a time, the old task stops first",
    ]


def test_an_image_whose_name_means_another_digest_is_a_change_of_its_own() -> None:
    before, after = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"
    lines = plan_lines(plan(service("web", UPDATE, image_before=before, image_after=after)))
    assert lines[1] == "    ~ image digest  sha256:aaaaaaaaaaaa -> sha256:bbbbbbbbbbbb"


def test_tasks_with_equal_reasons_share_a_line_and_the_whole_plan_has_one_each() -> None:
    found = plan(service("web", CREATE, tasks=tasks(3, "n1", "n2")))
    assert plan_lines(found)[1:] == ["    place    n1 ×2, n2: fewest tasks"]
    assert plan_lines(found, whole=True)[1:] == [
        "    place    shop_web.1 on n1: fewest tasks",
        "    place    shop_web.2 on n2: fewest tasks",
        "    place    shop_web.3 on n1: fewest tasks",
    ]


def test_of_many_tasks_the_numbers_are_told() -> None:
    shares = tuple(NodeShare(node=f"n{number}", tasks=5) for number in range(20))
    large = Placement(tasks=1_000, nowhere=10, nodes=250, shares=shares)
    found = plan(service("web", CREATE, tasks=tasks(3, ""), placement=large))
    named = ", ".join(f"n{number} ×5" for number in range(NAMED_MAX))
    assert plan_lines(found)[1:] == [
        f"    place    990 on 250 nodes: {named} and {250 - NAMED_MAX} more nodes",
        "    place    10 nowhere",
    ]
    whole = plan_lines(found, whole=True)
    assert whole[3:4] + whole[-1:] == [
        "    place    shop_web.1 nowhere: fewest tasks",
        "    place    and 997 more tasks",
    ]


def test_the_reasons_of_what_fits_nowhere_are_left_to_the_problems() -> None:
    nowhere = tasks(2, "", reasons=("needs 8 CPU",))
    problem = Problem(kind=ProblemKind.UNPLACEABLE, summary="shop_web.1 cannot be placed")
    assert plan_lines(plan(service("web", CREATE, tasks=nowhere), problems=(problem,)))[1:] == [
        "    place    nowhere ×2"
    ]


def test_many_fields_are_cut_unless_the_whole_plan_is_asked_for() -> None:
    many = tuple(FieldChange(path=f"labels.l{number}", after="x") for number in range(FIELDS_MAX + 5))
    found = plan(service("web", UPDATE, fields=many))
    assert plan_lines(found)[-1] == "    and 5 more fields (--verbose shows all)"
    assert len(plan_lines(found, whole=True)) == 1 + len(many)


def test_order_is_told_only_where_there_is_one() -> None:
    found = plan(service("db", CREATE), service("api", CREATE, wave=2), service("web", CREATE, wave=2))
    assert plan_lines(found)[-1] == "order: shop_db; then shop_api, shop_web"
    assert not any(line.startswith("order") for line in plan_lines(plan(service("db", CREATE))))


def test_configs_and_secrets_that_change_are_named() -> None:
    files = (
        FileChange(kind=FileKind.SECRET, name="shop_key", action=UPDATE),
        FileChange(kind=FileKind.CONFIG, name="shop_conf", action=SAME),
    )
    found = plan(service("web"), files=files)
    assert is_changing(found)
    assert plan_lines(found) == ["~ update secret shop_key", "= same shop_web"]


def test_text_of_files_cannot_drive_the_terminal() -> None:
    field = FieldChange(path="container.environment.A\x1b[2J", after="a\x1b]0;x\x07\nb")
    text = "\n".join(plan_lines(plan(service("web", UPDATE, fields=(field,)))))
    assert "\x1b" not in text
    assert "\x07" not in text


def test_the_gist_is_the_first_field_and_a_count() -> None:
    fields = (IMAGE, FieldChange(path="replicas", before="1", after="2"))
    assert gist(service("web", UPDATE, fields=fields)) == "image demo:1 -> demo:2 and 1 more field"
    assert gist(service("web", CREATE)) == ""
    secret = FieldChange(path="container.files./run/key", before="secret key@aa", after="secret key@bb")
    assert gist(service("web", UPDATE, fields=(secret,))) == "new content of secret key"


def test_json_has_every_field_even_the_empty_ones() -> None:
    shown = plan_json(plan(service("web", CREATE, tasks=tasks(1, "n1"))))
    assert shown["stack"] == "shop"
    assert shown["problems"] == []
    assert shown["services"][0]["change"] == {"service": "shop_web", "action": "create", "version": 1}
    assert shown["services"][0]["tasks"] == [
        {"name": "shop_web.1", "node": "n1", "reasons": ["fewest tasks"]}
    ]


@pytest.mark.parametrize(
    ("cpu", "memory", "text"),
    [
        (Origin.DEFAULT, Origin.DEFAULT, "0.05 CPU, 64MiB (default)"),
        (Origin.EXPLICIT, Origin.LIMIT, "0.05 CPU, 64MiB (limit)"),
        (Origin.DEFAULT, Origin.LIMIT, "0.05 CPU (default), 64MiB (limit)"),
        (Origin.EXPLICIT, Origin.EXPLICIT, "0.05 CPU, 64MiB"),
    ],
)
def test_a_reservation_tells_where_it_comes_from(cpu: Origin, memory: Origin, text: str) -> None:
    resources = Resources(cpu_millis=50, memory_bytes=64 * MIB)
    assert reserved(Reservation(resources=resources, cpu_origin=cpu, memory_origin=memory)) == text


def test_nothing_reserved_is_nothing_said() -> None:
    assert reserved(Reservation()) == ""
