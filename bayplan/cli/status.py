"""`bayplan status`: the cluster on one screen, and whether all is well."""

from __future__ import annotations

import time
from collections.abc import Iterator

import click

from bayplan.cli import rows
from bayplan.cli.commands import command, connect
from bayplan.cli.output import marked, out
from bayplan.cli.rollout import PAUSED as WAITING
from bayplan.client import ClusterNow
from bayplan.model import Availability, Resources
from bayplan.render.amounts import clock, counted, span
from bayplan.render.printable import one_line
from bayplan.render.table import table
from bayplan.views import NodeView, ServiceView

#: Rows of one section; the lists have the rest.
ROWS_MAX = 20
#: Events shown.
EVENTS_MAX = 8
#: Words of health that stand for a service that is not as it should be.
SHORT = ("degraded", "down", "paused")
#: Exit code when something is not well (docs/cli.md).
EXIT_DEGRADED = 1


@command(
    "status",
    "Show the cluster on one screen. The exit code is 1 when something is degraded.",
    "bayplan status",
    "bayplan status || echo 'something is wrong'",
    "watch -c bayplan status",
)
@click.pass_context
def status(ctx: click.Context) -> None:
    with connect() as client:
        now = client.status()
    sections = (_head(now), _nodes(now), _stacks(now), _events(now), _problems(now))
    for index, section in enumerate(filter(None, sections)):
        if index:
            out()
        for line in section:
            out(line)
    if is_degraded(now):
        ctx.exit(EXIT_DEGRADED)


def is_degraded(now: ClusterNow) -> bool:
    """Whether a node is not ready, a service is short of tasks, or the controller tells of a problem."""
    return bool(now.problems) or any(True for _hint in _hints(now))


def _head(now: ClusterNow) -> list[str]:
    word = marked("degraded" if is_degraded(now) else "ready")
    lines = [
        f"cluster {now.cluster_id}  {word}",
        f"  controller {now.controller_version}, up {span(now.uptime_ms).lower()}",
    ]
    if now.join_address:
        lines.append(f"  machines join at {now.join_address}  (`bayplan join-token` prints the line)")
    if now.http_address:
        lines.append(f"  lookups at {now.http_address}/v1/lookup/STACK/SERVICE")
    return lines


def _nodes(now: ClusterNow) -> list[str]:
    if not now.nodes:
        return ["NODES  none yet: `bayplan join-token` prints the line with which a machine joins"]
    ready = sum(rows.node_is_well(node) for node in now.nodes)
    cells = [_node_cells(node) for node in now.nodes[:ROWS_MAX]]
    total = [node.inventory.capacity for node in now.nodes]
    used = [node.reserved for node in now.nodes]
    cells.append(
        [
            "all",
            f"{ready}/{len(now.nodes)} ready",
            "",
            rows.cpu_use(_sum(used), _sum(total)),
            rows.memory_use(_sum(used), _sum(total)),
            str(sum(node.tasks for node in now.nodes)),
            "",
        ]
    )
    return [
        *table(["NODE", "STATUS", "ADDRESS", "CPU", "MEM", "TASKS", "NOTE"], cells),
        *_more(len(now.nodes), "node"),
    ]


def _node_cells(node: NodeView) -> list[str]:
    takes_tasks = node.availability is Availability.ACTIVE or not rows.node_is_well(node)
    shown = node.status.value if takes_tasks else node.availability.value
    return [
        node.name,
        marked(shown),
        node.address,
        rows.cpu_use(node.reserved, node.inventory.capacity),
        rows.memory_use(node.reserved, node.inventory.capacity),
        str(node.tasks),
        rows.node_note(node, _now_ms()),
    ]


def _sum(resources: list[Resources]) -> Resources:
    return Resources(
        cpu_millis=sum(each.cpu_millis for each in resources),
        memory_bytes=sum(each.memory_bytes for each in resources),
    )


def _stacks(now: ClusterNow) -> list[str]:
    if not now.services:
        return ["STACKS  none yet: `bayplan stack deploy -c docker-compose.yml NAME`"]
    cells = [_service_cells(service) for service in now.services[:ROWS_MAX]]
    return [
        *table(["STACK", "SERVICE", "HEALTH", "READY", "IMAGE", "PORTS", "NOTE"], cells),
        *_more(len(now.services), "service"),
    ]


def _service_cells(service: ServiceView) -> list[str]:
    row = rows.service_row(service, _now_ms())
    ready = f"{min(service.desired, service.ready + service.completed)}/{service.desired}"
    return [
        service.stack,
        service.name,
        marked(row["Health"]),
        ready,
        row["Image"],
        row["Ports"],
        row["Note"],
    ]


def _now_ms() -> int:
    return int(time.time() * 1_000)


def _more(number: int, noun: str) -> list[str]:
    return (
        [f"and {counted(number - ROWS_MAX, 'more ' + noun)}: bayplan {noun} ls"] if number > ROWS_MAX else []
    )


def _events(now: ClusterNow) -> list[str]:
    return [
        "LAST EVENTS",
        *(
            f"  {clock(event.time_ms)}  {event.kind} {event.subject}: {one_line(event.text)}"
            for event in now.events[-EVENTS_MAX:]
        ),
    ] if now.events else []  # fmt: skip


def _problems(now: ClusterNow) -> list[str]:
    lines = [f"  {marked('degraded').split()[0]} {one_line(problem)}" for problem in now.problems]
    lines += [f"  hint: {hint}" for hint in list(_hints(now))[:ROWS_MAX]]
    return ["PROBLEMS", *lines] if lines else []


def _hints(now: ClusterNow) -> Iterator[str]:
    """The next command for each thing that is short of what it should be."""
    for node in now.nodes:
        if node.engine_silent_ms:
            yield f"on {node.name}: `systemctl status docker`; its engine does not answer"
        elif not rows.node_is_well(node):
            yield (
                f"on {node.name}: `systemctl status bayplan-agent`; here: "
                f"`bayplan node inspect --pretty {node.name}`"
            )
    for service in now.services:
        if service.rollout.startswith(WAITING):
            yield f"`bayplan rollout status {service.name}`, `bayplan logs {service.name}`"
        elif rows.service_health(service) in SHORT:
            yield f"`bayplan explain {service.name}`, `bayplan logs {service.name}`"
