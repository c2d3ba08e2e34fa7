"""Grammars: what is written by the rules is read as it was meant, and a printed stack comes back."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayplan.compose.interpolate import MissingVariableError, expand
from bayplan.compose.ports import PORTS_MAX, parse_port
from bayplan.errors import ProblemError
from bayplan.model import Mount, MountKind, PortMode, PortSpec, Protocol, StackSpec, VolumeSpec
from bayplan.render.compose_yaml import render
from bayplan.units import exact_bytes, parse_bytes, parse_duration_ms
from tests.unit.compose.stacks import comparable, paths, stacks
from tests.unit.compose.world import FOLDER, loaded, service

# Amounts.

_UNITS_MS = {"w": 604_800_000, "d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
_UNITS_BYTES = {"": 1, "b": 1, "k": 1024, "KB": 1024, "KiB": 1024, "m": 1024**2, "MB": 1024**2, "g": 1024**3}


@given(st.lists(st.tuples(st.integers(0, 2_000), st.sampled_from(sorted(_UNITS_MS))), min_size=1, max_size=6))
def test_the_parts_of_a_duration_add_up(parts: list[tuple[int, str]]) -> None:
    written = "".join(f"{number}{unit}" for number, unit in parts)
    assert parse_duration_ms(written) == sum(number * _UNITS_MS[unit] for number, unit in parts)


@given(st.integers(0, 2**30), st.sampled_from(sorted(_UNITS_BYTES)), st.sampled_from(["", " "]))
def test_a_size_is_its_number_times_its_unit(number: int, unit: str, blank: str) -> None:
    assert parse_bytes(f"{number}{blank}{unit}") == number * _UNITS_BYTES[unit]


@given(st.integers(0, 2**62))
def test_an_exact_size_is_read_back(amount: int) -> None:
    assert parse_bytes(exact_bytes(amount)) == amount


# Ports.

addresses = st.one_of(
    st.just(""), st.ip_addresses(v=4).map(str), st.ip_addresses(v=6).map(str)
)  # fmt: skip


@st.composite
def written_ports(draw: st.DrawFn) -> tuple[str, tuple[PortSpec, ...]]:
    """The text of a port or a range, and what it means."""
    count = draw(st.integers(1, min(PORTS_MAX, 5)))
    target = draw(st.integers(1, 65_535 - count))
    published = draw(st.one_of(st.none(), st.integers(1, 65_535 - count)))
    protocol = draw(st.sampled_from(Protocol))
    address = draw(addresses)

    def span(first: int) -> str:
        return f"{first}-{first + count - 1}" if count > 1 else f"{first}"

    host = f"[{address}]:" if ":" in address else f"{address}:" if address else ""
    middle = f"{span(published)}:" if published else ":" if host else ""
    suffix = draw(st.sampled_from(["", "/tcp", "/TCP"])) if protocol is Protocol.TCP else f"/{protocol}"
    meant = tuple(
        PortSpec(
            target=target + step,
            published=published + step if published else 0,
            protocol=protocol,
            host_ip=address,
            mode=PortMode.INGRESS,
        )
        for step in range(count)
    )
    return f"{host}{middle}{span(target)}{suffix}", meant


@given(written_ports())
def test_a_port_means_what_its_parts_say(case: tuple[str, tuple[PortSpec, ...]]) -> None:
    written, meant = case
    assert parse_port(written) == meant


# Volumes.


@st.composite
def written_volumes(draw: st.DrawFn) -> tuple[str, Mount]:
    """The short form of a mount, and what it means in the project folder."""
    target = draw(paths)
    source = draw(st.one_of(st.just(""), st.just("data"), paths, paths.map(lambda path: f".{path}")))
    options = draw(st.lists(st.sampled_from(["ro", "rw"]), max_size=2)) if source else []
    read_only = bool(options) and options[-1] == "ro"
    written = ":".join(filter(None, (source, target, ",".join(options))))
    if source in ("", "data"):
        spec = VolumeSpec() if source else None
        name = f"shop_{source}" if source else ""
        return written, Mount(
            kind=MountKind.VOLUME, source=name, target=target, read_only=read_only, volume=spec
        )
    absolute = str(FOLDER) + source[1:] if source.startswith(".") else source
    return written, Mount(
        kind=MountKind.BIND, source=absolute, target=target, read_only=read_only, create_source=True
    )


@given(written_volumes())
def test_a_volume_means_what_its_parts_say(case: tuple[str, Mount]) -> None:
    written, meant = case
    assert service(f"volumes: ['{written}']").container.mounts == (meant,)


@given(
    st.text("ab./:~,-row0$ ", max_size=20),
    st.sampled_from(["volumes", "tmpfs", "devices", "ports", "expose"]),
)
def test_any_text_in_a_list_is_read_or_refused(written: str, key: str) -> None:
    try:
        service(f"{key}: ['{written}']", HOME="/root")
    except ProblemError as error:
        assert all(problem.place.startswith("compose.yml:4") for problem in error.problems)


# Variables.


class Template(NamedTuple):
    """A text with variables, what it becomes, and whether it lacks a required one."""

    written: str
    value: str
    lacks: bool = False


VARIABLES = {"SET": "value $X}", "EMPTY": ""}
plain = st.text("ab :-?+/", max_size=6).map(lambda text: Template(text, text))
literals = st.one_of(plain, st.just(Template("$$", "$")), st.just(Template("${SET}", VARIABLES["SET"])))


def joined(parts: list[Template]) -> Template:
    return Template(
        "".join(part.written for part in parts),
        "".join(part.value for part in parts),
        any(part.lacks for part in parts),
    )


def applied(name: str, operator: str, argument: Template) -> Template:
    """By the table of the Compose specification: what counts as there, and what the operator then does."""
    value = VARIABLES.get(name)
    there = bool(value) if operator[0] == ":" else value is not None
    written = f"${{{name}{operator}{argument.written}}}"
    match operator[-1]:
        case "+":
            return argument._replace(written=written) if there else Template(written, "")
        case _ if there:
            return Template(written, value or "")
        case "-":
            return argument._replace(written=written)
        case _:
            return Template(written, "", lacks=True)


templates = st.recursive(
    literals,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(joined),
        st.builds(
            applied,
            st.sampled_from(["SET", "EMPTY", "UNSET"]),
            st.sampled_from([":-", "-", ":?", "?", ":+", "+"]),
            inner,
        ),
    ),
    max_leaves=8,
)


@given(templates)
def test_variables_follow_the_table_of_the_specification(template: Template) -> None:
    if template.lacks:
        with pytest.raises(MissingVariableError):
            expand(template.written, VARIABLES, lambda name: None)
    else:
        assert expand(template.written, VARIABLES, lambda name: None) == template.value


# Whole stacks.


@given(stacks())
@settings(deadline=None)
def test_a_stack_that_was_printed_is_loaded_as_it_was(stack: StackSpec) -> None:
    assert comparable(loaded(render(stack)).stack) == comparable(stack)
