"""The check of a stack from any client: whatever it is, the rest of the controller and the agents can
take it afterwards.

The compose loader has checked its stacks before, with better words; the controller believes nobody. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

import msgspec

from bayplan import constraints, cron
from bayplan.directory import EXTERNAL
from bayplan.errors import Problem, ProblemKind
from bayplan.limits import (
    AFFINITIES_MAX,
    CONSTRAINTS_MAX,
    FULL_NAME,
    PIDS_MAX,
    PREFERENCES_MAX,
    PRIORITY_MAX,
    REPLICAS_MAX,
    SERVICE_NAME,
    SERVICES_MAX,
    STACK_FILES_BYTES_MAX,
    STACK_NAME,
)
from bayplan.model import ServiceSpec, StackSpec
from bayplan.units import CPU_MILLIS_MAX, format_bytes
from controller.decide import containers, files, network_check, order, tagging
from controller.records import JOB_MODES

#: A service's spec, encoded, in bytes.
SPEC_BYTES_MAX = 1_000_000
#: Configs and secrets of one stack.
STACK_FILES_MAX = 1_000
#: Faults that one answer names.
PROBLEMS_MAX = 20
#: Most memory, or disk, of one task, in bytes (4 PiB): sums over a node stay far within 64 bits.
BYTES_MAX = 2**52
#: Longest name and value of a label of a service or container, in characters.
LABEL_KEY_CHARS_MAX = 255
LABEL_VALUE_CHARS_MAX = 16_384
#: Most of one countable good of a node that a task may want.
GENERIC_MAX = 1_000_000
#: Longest part of a user's text that an error repeats, in characters.
QUOTE_CHARS_MAX = 80


class Fault(NamedTuple):
    """What is wrong, the key of `places` that says where, and the way out."""

    text: str
    field: str = "service"
    hint: str = ""


def check(stack: StackSpec, accepted: Collection[str] = ()) -> tuple[Problem, ...]:
    """What is wrong with a stack; empty when nothing is. Services that were `accepted` before, by name, are
    only looked at together with the others."""
    return tuple(islice(_check(stack, accepted), PROBLEMS_MAX))


def _check(stack: StackSpec, accepted: Collection[str]) -> Iterator[Problem]:
    yield from _check_stack(stack)
    yield from _check_files(stack)
    declared = {files.key_of(file.kind, file.name) for file in stack.files}
    names = {spec.name for spec in stack.services}
    sound = True
    for spec in stack.services:
        for fault in _check_service(spec, declared, names) if spec.name not in accepted else ():
            sound = False
            yield _problem(fault, spec)
    path = order.circle(stack.services) if sound else ()
    if path:
        first = next(spec for spec in stack.services if spec.name == path[0])
        circle = Fault(
            f"depends_on goes in a circle: {' -> '.join(path)}", "depends_on", "take one of these away"
        )
        yield _problem(circle, first)


def _check_stack(stack: StackSpec) -> Iterator[Problem]:
    if not STACK_NAME.fullmatch(stack.name):
        yield _invalid(
            f"stack name {quote(stack.name)} must be lower case letters, digits, '-' and '_', at most 63, "
            "and begin with a letter or digit"
        )
    if stack.name == EXTERNAL:
        yield _invalid(f"stack name {EXTERNAL} is that of those who register themselves: choose another")
    if not stack.services:
        yield _invalid(f"stack {quote(stack.name)} has no services")
    if len(stack.services) > SERVICES_MAX:
        yield _invalid(f"the stack has {len(stack.services)} services; at most {SERVICES_MAX}")
    for name in _doubles(spec.name for spec in stack.services):
        yield _invalid(f"service {quote(name)} is there twice")


def _check_networks(spec: ServiceSpec) -> Iterator[Fault]:
    """Networks that span nodes, and the addresses that it wants in any."""
    for each in spec.container.networks:
        if each.ipv4_address and not network_check.is_address(each.ipv4_address):
            yield Fault(f"{quote(each.ipv4_address)} is no address of IPv4", "networks")
        for text, hint in network_check.faults(each.network, each.spec):
            yield Fault(f"the network {each.network} {text}", "networks", hint)


def _check_files(stack: StackSpec) -> Iterator[Problem]:
    if len(stack.files) > STACK_FILES_MAX:
        yield _invalid(f"the stack has {len(stack.files)} configs and secrets; at most {STACK_FILES_MAX}")
    total_bytes = sum(len(file.content) for file in stack.files)
    if total_bytes > STACK_FILES_BYTES_MAX:
        size, most = format_bytes(total_bytes), format_bytes(STACK_FILES_BYTES_MAX)
        yield _invalid(f"configs and secrets of the stack have {size} together; at most {most}")
    for key in _doubles(files.key_of(file.kind, file.name) for file in stack.files):
        yield _invalid(f"{quote(key)} is there twice")
    for file in stack.files:
        for text in files.unfit(file.kind, file.name, file.content, file.labels):
            yield Problem(kind=ProblemKind.INVALID, summary=text, place=file.place)


def _check_service(spec: ServiceSpec, declared: set[str], names: set[str]) -> Iterator[Fault]:
    """Faults of one service, each with the field whose place tells where."""
    who = f"service {quote(spec.name)}"
    if not SERVICE_NAME.fullmatch(spec.name):
        yield Fault(f"service name {quote(spec.name)} must be letters, digits, '.', '-' and '_', at most 63")
    size_bytes = len(msgspec.msgpack.encode(spec))
    if size_bytes > SPEC_BYTES_MAX:
        yield Fault(f"{who} has {size_bytes} bytes; at most {SPEC_BYTES_MAX}")
        return
    broken = list(containers.unfit_values(spec))
    for field, text in broken:
        yield Fault(f"{who}: {text}", field)
    if not broken:
        yield from (Fault(f"{who}{text}", field) for field, text in _unfit_wishes(spec))
        yield from (
            Fault(f"{who}: {text}", field) for field, text in containers.unfit(spec.container, declared)
        )
        yield from _unfit_dependencies(spec, names, who)
        yield from _check_networks(spec)


def _unfit_wishes(spec: ServiceSpec) -> Iterator[tuple[str, str]]:
    """Fields of the service itself, as (key of places, what is wrong with it)."""
    if not 0 <= spec.replicas <= REPLICAS_MAX:
        yield "replicas", f" wants {spec.replicas} replicas; 0 to {REPLICAS_MAX}"
    for amount in (spec.reservations, spec.container.limits):
        if amount.cpu_millis > CPU_MILLIS_MAX or max(amount.memory_bytes, amount.disk_bytes) > BYTES_MAX:
            yield "resources", " asks for more CPU, memory or disk than any machine has"
    if spec.reservations.pids > PIDS_MAX:
        yield "resources", f" sets {spec.reservations.pids} processes aside; at most {PIDS_MAX}"
    if spec.container.limits.disk_bytes or spec.container.limits.pids:
        yield "resources", " has a limit of disk or processes here: pids_limit is the field for the latter"
    for kind, count in spec.generic.items():
        if not kind or count > GENERIC_MAX:
            yield "resources", f" wants {count} of {quote(kind)}; at most {GENERIC_MAX}"
    yield from _unfit_labels(spec)
    yield from _unfit_placement(spec)
    if spec.fence and spec.update.canaries:
        yield "update_config", " is fenced and wants canaries, but a fenced slot never has two tasks"
    for policy, field in ((spec.update, "update_config"), (spec.rollback, "rollback_config")):
        if not 0 <= policy.max_failure_ratio <= 1:
            yield field, f": max_failure_ratio {policy.max_failure_ratio} is not between 0 and 1"
    yield from _unfit_for_jobs(spec)


def _unfit_labels(spec: ServiceSpec) -> Iterator[tuple[str, str]]:
    """Labels that are no labels any more but a load on every node and on every list, or mean nothing."""
    yield from (("labels", f": {text}") for text in tagging.unfit(spec))
    for owner in (spec, spec.container):
        for key, value in owner.labels.items():
            if not key or len(key) > LABEL_KEY_CHARS_MAX:
                yield "labels", f" has a label whose name has {len(key)} letters; 1 to {LABEL_KEY_CHARS_MAX}"
            if len(value) > LABEL_VALUE_CHARS_MAX:
                most = f"at most {LABEL_VALUE_CHARS_MAX}"
                yield "labels", f": label {quote(key)} has a value of {len(value)} letters; {most}"


def _unfit_placement(spec: ServiceSpec) -> Iterator[tuple[str, str]]:
    """What is said about nodes and other services."""
    for field, items, most in (
        ("constraints", spec.constraints, CONSTRAINTS_MAX),
        ("preferences", spec.preferences, PREFERENCES_MAX),
        ("affinity", spec.affinities, AFFINITIES_MAX),
    ):
        if len(items) > most:
            yield field, f" has {len(items)} items of {field}; at most {most}"
            return
    for text in spec.constraints:
        yield from _unread("constraints", partial(constraints.parse, text))
    for text in spec.preferences:
        yield from _unread("preferences", partial(constraints.parse_attribute, text))
    for each in spec.affinities:
        if each.topology:
            yield from _unread("affinity", partial(constraints.parse_attribute, each.topology))
        if not FULL_NAME.fullmatch(each.service):
            yield "affinity", f" has an affinity to {quote(each.service)}, which is no service's name"
    if spec.priority > PRIORITY_MAX:
        yield "priority", f" has the priority {spec.priority}; 0 to {PRIORITY_MAX}"


def _unread(field: str, read: Callable[[], object]) -> Iterator[tuple[str, str]]:
    try:
        read()
    except ValueError as error:
        yield field, f": {error}"


def _unfit_for_jobs(spec: ServiceSpec) -> Iterator[tuple[str, str]]:
    if spec.mode not in JOB_MODES:
        if spec.schedule is not None:
            yield "schedule", " has a schedule, which is for jobs, and it is none"
        if spec.ttl_ms:
            yield "ttl", " has a ttl, which is for jobs, and it is none"
    if spec.schedule is None:
        return
    if spec.ttl_ms:
        yield "ttl", " has both a schedule and a ttl, but a scheduled job never finishes"
    try:
        cron.parse_cron(spec.schedule.cron)
        cron.parse_zone(spec.schedule.timezone)
    except ValueError as error:
        yield "schedule", f": {error}"


def _unfit_dependencies(spec: ServiceSpec, names: set[str], who: str) -> Iterator[Fault]:
    for name in _doubles(each.service for each in spec.depends_on):
        yield Fault(f"{who} depends on {quote(name)} twice", "depends_on")
    for each in spec.depends_on:
        if each.required and each.service not in names:
            hint = f"the stack has: {', '.join(sorted(names)[:10])}"
            yield Fault(
                f"{who} depends on {quote(each.service)}, which is not there", "depends_on", hint[:400]
            )


def quote(text: str) -> str:
    """A user's text within an error."""
    return repr(text if len(text) <= QUOTE_CHARS_MAX else text[:QUOTE_CHARS_MAX] + "...")


def _doubles(names: Iterable[Any]) -> list[Any]:
    return sorted(name for name, count in Counter(names).items() if count > 1)


def _problem(fault: Fault, spec: ServiceSpec) -> Problem:
    place = spec.places.get(fault.field, spec.places.get("service", ""))
    return Problem(kind=ProblemKind.INVALID, summary=fault.text, hint=fault.hint, place=place)


def _invalid(summary: str) -> Problem:
    return Problem(kind=ProblemKind.INVALID, summary=summary)
