"""Every limit of the loader: at it a file is taken, beyond it the error says which limit it was."""

from __future__ import annotations

import pytest

from bayplan.compose.budget import TEXT_CHARS_MAX
from bayplan.compose.decoders import LINKS_MAX, NAMED_MAX
from bayplan.compose.envfiles import ENV_FILES_MAX
from bayplan.compose.interpolate import VALUE_CHARS_MAX
from bayplan.compose.ports import PORTS_MAX
from bayplan.compose.report import SHOWN_CHARS_MAX, WARNINGS_MAX
from tests.unit.compose.world import loaded, refusal, service, service_refusal, wrapped


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        (f"user: {'u' * (VALUE_CHARS_MAX + 1)}", f"a value is longer than {VALUE_CHARS_MAX} characters"),
        (f"user: {'$U' * 3}", f"the value becomes longer than {VALUE_CHARS_MAX} characters"),
        (
            f"x-l: &x '{'v' * VALUE_CHARS_MAX}'\nlabels: [{'*x, ' * (TEXT_CHARS_MAX // VALUE_CHARS_MAX)}]",
            f"the values of the file are longer than {TEXT_CHARS_MAX} characters together",
        ),
        (f"ports: [1-{PORTS_MAX}, 2000]", f"services.web.ports has more than {PORTS_MAX} ports"),
        (f"ports: ['1-{PORTS_MAX + 1}']", f"are more than the {PORTS_MAX} ports that a service may have"),
        (f"expose: [1-{PORTS_MAX}, 2000]", f"services.web.expose has more than {PORTS_MAX} ports"),
        (
            f"links: [{', '.join(['web'] * (LINKS_MAX + 1))}]",
            f"services.web.links has more than {LINKS_MAX} entries",
        ),
        (
            f"env_file: [{', '.join(['web.env'] * (ENV_FILES_MAX + 1))}]",
            f"env_file names more than {ENV_FILES_MAX} files",
        ),
    ],
)
def test_beyond_a_limit_a_service_is_refused(body: str, cause: str) -> None:
    assert any(cause in line for line in service_refusal(body, U="u" * (VALUE_CHARS_MAX // 2)))


def test_at_the_limits_a_service_is_taken() -> None:
    body = f"""
    user: {"u" * VALUE_CHARS_MAX}
    ports: [1-{PORTS_MAX}]
    env_file: [{", ".join(["web.env"] * ENV_FILES_MAX)}]
    """
    container = service(body, {"web.env": "A=1"}).container
    assert (len(container.user), len(container.ports)) == (VALUE_CHARS_MAX, PORTS_MAX)
    assert container.environment == ("A=1",)


def test_a_file_has_a_limited_number_of_services() -> None:
    text = "services:\n" + "".join(f"  s{i}: {{image: a}}\n" for i in range(NAMED_MAX))
    assert len(loaded(text).stack.services) == NAMED_MAX
    assert f"services has more than {NAMED_MAX} entries" in refusal(text + "  more: {image: a}\n")[0]


def test_a_limited_number_of_warnings_is_kept() -> None:
    environment = ", ".join(f"A{i}=$A{i}" for i in range(WARNINGS_MAX + 5))
    warnings = loaded(wrapped(f"environment: [{environment}]")).warnings
    assert (len(warnings), warnings[-1]) == (WARNINGS_MAX + 1, "and further warnings")


def test_long_and_unprintable_names_are_not_repeated_whole() -> None:
    lines = service_refusal(f'"{"k" * 1000}": 1\n"\\e[31mred": 1\n')
    assert (
        lines[0]
        == f"error: compose.yml:4: services.web.'{'k' * SHOWN_CHARS_MAX}...' is not a key of a service"
    )
    assert "services.web.'\\x1b[31mred' is not a key" in lines[2]
