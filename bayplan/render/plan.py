"""A plan as lines for people: what changes, how it rolls, where new tasks go and why. Pure.

Each line about a change begins with its sign, so that colour is never all that tells it. Equal reasons
are told once; `whole` shows every field and task.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from bayplan.model import StackSpec
from bayplan.render.amounts import counted
from bayplan.render.printable import one_line, printable
from bayplan.render.reservation import reserved
from bayplan.views import (
    FieldChange,
    FileChange,
    NetworkView,
    Placement,
    Plan,
    PlannedTask,
    ServiceAction,
    ServicePlan,
)

#: Fields of one service shown unless the whole plan is asked for.
FIELDS_MAX = 20
#: Nodes, and unchanged services, named on one line.
NAMED_MAX = 8
#: Longest change told in the one line about a service, in characters.
GIST_CHARS_MAX = 100
#: Changing services shown unless the whole plan is asked for.
SERVICES_MAX = 50
#: Characters of a digest, its algorithm included: enough to tell two apart.
DIGEST_CHARS = 19
#: The sign of each action.
SIGNS = {
    ServiceAction.CREATE: "+",
    ServiceAction.UPDATE: "~",
    ServiceAction.SCALE: "~",
    ServiceAction.SAME: "=",
    ServiceAction.REMOVE: "-",
}
#: Longest path to which the others of a service are padded, in characters.
_PATH_CHARS_MAX = 40
_FILES = "container.files."
_TOLD = (ServiceAction.CREATE, ServiceAction.UPDATE, ServiceAction.SCALE, ServiceAction.REMOVE)


def is_changing(plan: Plan) -> bool:
    """Whether a deploy would change anything."""
    return bool(changing(plan)) or any(file.action is not ServiceAction.SAME for file in plan.files)


def changing(plan: Plan) -> list[ServicePlan]:
    """The services that would change."""
    return [each for each in plan.services if each.change.action is not ServiceAction.SAME]


def network_changes(
    stack: StackSpec, plan: Plan, known: Sequence[NetworkView]
) -> list[tuple[ServiceAction, str]]:
    """The networks that a deploy makes, and those of the stack that nobody is in afterwards."""
    leaving = {each.change.service for each in plan.services if each.change.action is ServiceAction.REMOVE}
    wished = {
        each.network for spec in stack.services for each in spec.container.networks if each.spec.spans_nodes
    }
    there = {each.name: each for each in known}
    gone = [
        name
        for name, network in sorted(there.items())
        if network.stack == stack.name
        and name not in wished
        and {user.service for user in network.services} <= leaving
    ]
    made = [(ServiceAction.CREATE, name) for name in sorted(wished - there.keys())]
    return made + [(ServiceAction.REMOVE, name) for name in gone]


def plan_lines(plan: Plan, whole: bool = False) -> list[str]:
    """The plan without its summary; empty when nothing changes."""
    lines: list[str] = []
    if not is_changing(plan) and not whole:
        return lines
    lines += [_file_line(file) for file in plan.files if file.action is not ServiceAction.SAME]
    told = plan.services if whole else changing(plan)
    for each in told if whole else told[:SERVICES_MAX]:
        lines += _service_lines(each, bool(plan.problems), whole)
    if not whole:
        lines += _more(len(told) - SERVICES_MAX, "changing service", "")
        lines += _unchanged(plan)
    return lines + _order(plan)


def summary_line(plan: Plan) -> str:
    """`Plan: 2 to create, 1 to update, 0 to remove; revision 4`."""
    count = Counter(each.change.action for each in plan.services)
    revision = f"revision {plan.index}" if plan.index else "a new stack"
    if not is_changing(plan):
        return f"{plan.stack} would not change: {counted(len(plan.services), 'service')}, {revision}"
    parts = [
        f"{count[action]} to {action}"
        for action in _TOLD
        if count[action] or action is not ServiceAction.SCALE
    ]
    if count[ServiceAction.SAME]:
        parts.append(f"{count[ServiceAction.SAME]} unchanged")
    return f"Plan: {', '.join(parts)}; {revision}"


def gist(plan: ServicePlan) -> str:
    """Why a service changes, in a few words: its first field, and how many there are besides."""
    fields = _fields(plan)
    if plan.change.action not in (ServiceAction.UPDATE, ServiceAction.SCALE) or not fields:
        return ""
    first = fields[0]
    file, version, _rest = first.after.partition("@")
    text = f"{_path(first)} {_values(first)}"
    text = text if len(text) <= GIST_CHARS_MAX else f"{_path(first)} changes"
    if first.path.startswith(_FILES) and version and first.before.startswith(f"{file}@"):
        text = f"new content of {file}"
    more = f" and {counted(len(fields) - 1, 'more field')}" if len(fields) > 1 else ""
    return f"{text}{more}"


def plan_json(plan: Plan) -> dict[str, Any]:
    """The plan as an object, every field there."""
    shown: dict[str, Any] = _plain(plan)
    return shown


def _service_lines(plan: ServicePlan, has_problems: bool, whole: bool) -> Iterator[str]:
    change = plan.change
    place = f"  ({plan.place})" if plan.place and change.action is not ServiceAction.SAME else ""
    yield f"{SIGNS[change.action]} {change.action} {change.service}{place}"
    fields = _fields(plan)
    shown = fields if whole else fields[:FIELDS_MAX]
    width = min(_PATH_CHARS_MAX, max((len(_path(field)) for field in shown), default=0))
    for field in shown:
        yield f"    {_sign(field)} {_path(field):<{width}}  {_values(field)}"
    yield from _more(len(fields) - len(shown), "field", "    ")
    if plan.rolls:
        yield f"    rolls    {one_line(plan.rolls)}"
    if plan.tasks and (text := reserved(plan.reservation)):
        yield f"    reserve  {text} each"
    yield from (f"    place    {line}" for line in _placement(plan, has_problems, whole))


def _fields(plan: ServicePlan) -> list[FieldChange]:
    """What changes; an image whose name means another digest now counts."""
    fields = list(plan.fields)
    if plan.image_before != plan.image_after:
        before, after = plan.image_before[:DIGEST_CHARS], plan.image_after[:DIGEST_CHARS]
        fields.append(FieldChange(path="image digest", before=before, after=after))
    return fields


def _sign(field: FieldChange) -> str:
    if field.before and field.after:
        return "~"
    return "+" if field.after else "-"


def _path(field: FieldChange) -> str:
    """The path as it is shown; the container's fields stand for themselves, but labels are of two kinds."""
    is_label = field.path.startswith("container.labels")
    return printable(field.path if is_label else field.path.removeprefix("container."))


def _values(field: FieldChange) -> str:
    before, after = one_line(field.before), one_line(field.after)
    return f"{before} -> {after}" if before and after else before or after


def _placement(plan: ServicePlan, has_problems: bool, whole: bool) -> Iterator[str]:
    """Where the tasks go: one line a reason, or one a task; of many tasks the numbers instead. Why some go
    nowhere is told by the problems."""
    rest = plan.placement.tasks - len(plan.tasks)
    if rest > 0:
        yield from _totals(plan.placement)
    if whole:
        for task in plan.tasks:
            yield f"{task.name} {f'on {task.node}' if task.node else 'nowhere'}{_because(task.reasons)}"
        if rest > 0:
            yield f"and {counted(rest, 'more task')}"
    elif rest <= 0:
        yield from _by_reason(plan.tasks, has_problems)


def _by_reason(tasks: Sequence[PlannedTask], has_problems: bool) -> Iterator[str]:
    groups: dict[tuple[str, ...], Counter[str]] = {}
    for task in tasks:
        reasons = () if has_problems and not task.node else task.reasons
        groups.setdefault(reasons, Counter())[task.node or "nowhere"] += 1
    for reasons, nodes in groups.items():
        yield f"{_named(nodes.most_common(NAMED_MAX), len(nodes))}{_because(reasons)}"


def _totals(placement: Placement) -> Iterator[str]:
    """`998 on 250 nodes: n1 ×5, n2 ×4 and 248 more nodes`, and how many go nowhere."""
    placed = placement.tasks - placement.nowhere
    if placed:
        shares = [(share.node, share.tasks) for share in placement.shares[:NAMED_MAX]]
        yield f"{placed} on {counted(placement.nodes, 'node')}: {_named(shares, placement.nodes)}"
    if placement.nowhere:
        yield f"{placement.nowhere} nowhere"


def _named(nodes: Sequence[tuple[str, int]], total: int) -> str:
    named = [f"{node} ×{number}" if number > 1 else node for node, number in nodes]
    more = f" and {counted(total - len(nodes), 'more node')}" if total > len(nodes) else ""
    return f"{', '.join(named)}{more}"


def _because(reasons: Sequence[str]) -> str:
    return f": {one_line(chr(10).join(reasons))}" if reasons else ""


def _unchanged(plan: Plan) -> list[str]:
    names = [each.change.service for each in plan.services if each.change.action is ServiceAction.SAME]
    if not names:
        return []
    more = f" and {len(names) - NAMED_MAX} more" if len(names) > NAMED_MAX else ""
    return [f"{SIGNS[ServiceAction.SAME]} same {', '.join(names[:NAMED_MAX])}{more}"]


def _file_line(file: FileChange) -> str:
    return f"{SIGNS[file.action]} {file.action} {file.kind} {file.name}"


def _order(plan: Plan) -> list[str]:
    """`order: shop_db, then shop_api and shop_web`; nothing where all go at once."""
    waves: dict[int, list[str]] = {}
    for each in changing(plan):
        if each.change.action is not ServiceAction.REMOVE:
            waves.setdefault(each.wave, []).append(each.change.service)
    if len(waves) < 2:
        return []
    steps = []
    for wave in sorted(waves):
        names = waves[wave]
        more = f" and {len(names) - NAMED_MAX} more" if len(names) > NAMED_MAX else ""
        steps.append(", ".join(names[:NAMED_MAX]) + more)
    return [f"order: {'; then '.join(steps)}"]


def _more(number: int, noun: str, indent: str) -> list[str]:
    return [f"{indent}and {counted(number, 'more ' + noun)} (--verbose shows all)"] if number > 0 else []


def _plain(value: Any) -> Any:
    if isinstance(value, msgspec.Struct):
        return {name: _plain(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value
