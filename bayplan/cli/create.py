"""`bayplan service create`: one more service in a stack."""

from __future__ import annotations

import re
import secrets

import click
from msgspec.structs import replace

from bayplan.cli.arrival import ended_tasks
from bayplan.cli.commands import command, connect, waiting_options
from bayplan.cli.describing import Given, edited, spec_flags
from bayplan.cli.flags import CREATE, MODES
from bayplan.cli.follow import follow, way_back
from bayplan.cli.joining import joined, names_of
from bayplan.cli.output import note, out
from bayplan.cli.plan import painted
from bayplan.cli.rollout import Goal
from bayplan.compose.names import parse_image
from bayplan.diff import stack_plan
from bayplan.model import ContainerSpec, RestartCondition, RestartPolicy, ServiceSpec, StackSpec
from bayplan.render.plan import plan_lines

#: Random bytes behind a name that nobody gave.
NAME_BYTES = 2
#: Characters of the image's name in such a name.
IMAGE_CHARS_MAX = 40


@command(
    "create",
    "Add a service to a stack, and wait until it runs.",
    "bayplan service create --name shop_web --replicas 3 -p 8080:80 nginx:1.27",
    "bayplan service create --name shop_worker --limit-memory 256M --affinity "
    "service=db,topology=node.labels.zone app:2 work",
    'bayplan service create --mode replicated-job --schedule "@daily" --name shop_backup app:2 backup',
    takes_command=True,
)
@click.option("--name", metavar="NAME", help="SERVICE, STACK_SERVICE or STACK/SERVICE.")
@click.option("--stack", metavar="STACK", help="The stack; `default` where the name has none.")
@click.option("--mode", type=click.Choice(list(MODES)), default="replicated", show_default=True)
@spec_flags(CREATE)
@click.option("--dry-run", is_flag=True, help="Only show what would be made.")
@waiting_options
@click.argument("image")
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[COMMAND] [ARG...]")
def create(
    image: str, words: tuple[str, ...], name: str | None, stack: str | None, mode: str, given: Given,
    dry_run: bool, detach: bool, timeout_ms: int,
) -> None:  # fmt: skip
    with connect() as client:
        known = [each.name for each in client.stacks()]
        owner, spec = described(name, stack, known, image, words)
        spec = edited(_in_mode(spec, mode), given)
        spec = joined(client, owner, spec)
        if dry_run:
            _show(owner, spec)
            return
        full_name = f"{owner}_{spec.name}"
        known_tasks = ended_tasks(client.tasks(stack=owner)) if owner in known else frozenset[str]()
        deployed = client.create_service(owner, spec)
        for warning in deployed.warnings:
            note(f"warning: {warning}")
        out(full_name)
        goal = Goal(owner, {full_name: spec.restart.condition}, known=known_tasks)
        if detach:
            note(f"hint: {way_back(goal)}")
            return
        follow(client, goal, timeout_ms)


def described(
    name: str | None, stack: str | None, known: list[str], image: str, words: tuple[str, ...]
) -> tuple[str, ServiceSpec]:
    """The stack and the plainest spec of a service. Wrong names are usage errors."""
    try:
        container = ContainerSpec(image=parse_image(image), command=words or None)
        owner, short = names_of(name or _name_for(image), stack, known)
    except ValueError as error:
        hint = getattr(error, "hint", "")
        text = f"{error}; {hint}" if hint else str(error)
        raise click.UsageError(text, click.get_current_context()) from None
    return owner, ServiceSpec(name=short, container=container)


def _in_mode(spec: ServiceSpec, mode: str) -> ServiceSpec:
    """What shall end is started again only when it failed."""
    restart = RestartPolicy(condition=RestartCondition.ON_FAILURE) if mode.endswith("job") else spec.restart
    return replace(spec, mode=MODES[mode], restart=restart)


def _name_for(image: str) -> str:
    """`nginx-3f9a`, of an image's name."""
    base = re.split("[:@]", image.rpartition("/")[2])[0]
    return f"{re.sub('[^A-Za-z0-9-]', '-', base)[:IMAGE_CHARS_MAX]}-{secrets.token_hex(NAME_BYTES)}"


def _show(stack: str, spec: ServiceSpec) -> None:
    plan = stack_plan(StackSpec(name=stack), StackSpec(name=stack, services=(spec,)))
    for line in plan_lines(plan):
        out(painted(line))
