"""`bayplan events`: what happened in the cluster, and what happens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click

from bayplan.cli.commands import command, connect, since_option, whole
from bayplan.cli.feed import Feed
from bayplan.cli.listing import filled
from bayplan.cli.output import note, out
from bayplan.client import Client
from bayplan.render.amounts import clock, rfc3339
from bayplan.render.printable import one_line
from bayplan.render.template import to_json
from bayplan.views import Event

#: Time between two looks for Ctrl-C while nothing happens, in seconds.
TICK_S = 0.5
#: What can be filtered by.
KEYS = ("kind", "subject", "stack")


@command(
    "events",
    "Show what happened: the last 1,000 events that the controller keeps.",
    "bayplan events --since 10m",
    "bayplan events -f --filter kind=node",
    "bayplan events --filter stack=shop --format json",
)
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes.")
@since_option
@click.option("-n", "--tail", type=whole(), metavar="N", help="Only the last N of those that are kept.")
@click.option("--filter", "filters", multiple=True, metavar="KEY=VALUE", help=f"By {', '.join(KEYS)}.")
@click.option("-t", "--timestamps", is_flag=True, help="Whole timestamps (RFC 3339) for the time of day.")
@click.option("--format", "template", metavar="FORMAT", help="json, or a Go template such as '{{.Text}}'.")
def events(
    follow: bool, since_ms: int, tail: int | None, filters: tuple[str, ...], timestamps: bool,
    template: str | None,
) -> None:  # fmt: skip
    wanted = [_filter(text) for text in filters]
    with connect() as client:
        for batch in _followed(client, tail) if follow else _kept(client, tail):
            for event in batch:
                if event.time_ms >= since_ms and all(_matches(event, *each) for each in wanted):
                    _print(event, timestamps, template)


def _kept(client: Client, tail: int | None) -> Iterator[Sequence[Event]]:
    yield _last(client.events(), tail)


def _followed(client: Client, tail: int | None) -> Iterator[Sequence[Event]]:
    """Kept events first, then those to come; a controller that went away is waited for."""
    feed = Feed(client.watch_events(notice=lambda text: note(f"warning: {text}")))
    is_first = True
    while True:
        batch = feed.next(TICK_S)
        if batch:
            yield _last(batch, tail) if is_first else batch
            is_first = False


def _last(events: Sequence[Event], number: int | None) -> Sequence[Event]:
    return events if number is None else events[len(events) - min(number, len(events)) :]


def _filter(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or key not in KEYS:
        raise click.UsageError(
            f"--filter {text!r}: write KEY=VALUE with one of {', '.join(KEYS)}", click.get_current_context()
        )
    return key, value


def _matches(event: Event, key: str, value: str) -> bool:
    """Kinds as a whole; subjects by their beginning; a stack by what is in it."""
    if key == "kind":
        return event.kind == value
    if key == "stack":
        return event.subject == value or event.subject.startswith(f"{value}_")
    return event.subject.startswith(value)


def _print(event: Event, timestamps: bool, template: str | None) -> None:
    """`14:03:07 service shop_web: version 3 is rolled out`."""
    if template is not None:
        row = {
            "Time": rfc3339(event.time_ms),
            "Type": event.kind,
            "Actor": event.subject,
            "Text": event.text,
            "Index": str(event.index),
        }
        out(to_json(row) if template == "json" else filled(template, row))
        return
    moment = rfc3339(event.time_ms) if timestamps else clock(event.time_ms)
    out(f"{moment} {event.kind} {event.subject}: {one_line(event.text)}")
