"""Text that Docker's users know: tables, times, amounts, templates."""

from __future__ import annotations

from typing import Any

import click
import pytest

from bayplan.render.amounts import ago, clock_ms, cpus, parse_moment_ms, rfc3339_ns, size, span
from bayplan.render.printable import one_line, printable
from bayplan.render.table import table
from bayplan.render.template import TemplateError, render

ROW: dict[str, Any] = {
    "Name": "shop_web",
    "Spec": {"Labels": {"zone": "a"}, "Env": ["A=1", "B=ü"], "Init": False},
    "None": None,
}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{.Name}}", "shop_web"),
        ("{{ .Name }}\\t{{.Spec.Init}}", "shop_web\tfalse"),
        ("{{json .Spec.Env}}", '["A=1","B=ü"]'),
        ("{{upper .Name}}-{{lower .Name}}", "SHOP_WEB-shop_web"),
        ("{{len .Spec.Env}}", "2"),
        ('{{index .Spec.Labels "zone"}}', "a"),
        ('{{index .Spec.Labels "nope"}}', ""),
        ("{{.None}}", "<no value>"),
        ("plain", "plain"),
    ],
)
def test_a_template_prints_what_go_prints(template: str, text: str) -> None:
    assert render(template, ROW) == text


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{{.Nope}}", "no field 'Nope'; there are Name, Spec, None"),
        ("{{.Name.First}}", "no field 'First'"),
        ("{{range .Spec.Env}}x{{end}}", "is not supported"),
        ("{{.Name", "unclosed action"),
        ("{{}}", "is not supported"),
    ],
)
def test_a_template_that_cannot_be_used_says_why(template: str, reason: str) -> None:
    with pytest.raises(TemplateError, match=reason):
        render(template, ROW)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "Less than a second"),
        (1, "1 second"),
        (59, "59 seconds"),
        (61, "About a minute"),
        (180, "3 minutes"),
        (3_700, "About an hour"),
        (47 * 3_600, "47 hours"),
        (3 * 86_400, "3 days"),
        (15 * 86_400, "2 weeks"),
        (70 * 86_400, "2 months"),
        (800 * 86_400, "2 years"),
    ],
)
def test_a_span_reads_as_in_docker(seconds: int, text: str) -> None:
    assert span(seconds * 1_000) == text


def test_ago_of_an_unknown_time_is_empty_and_a_clock_behind_is_now() -> None:
    assert ago(0, 5_000) == ""
    assert ago(9_000, 5_000) == "less than a second ago"


@pytest.mark.parametrize(
    ("text", "expected_ms"),
    [("10m", 400_000), ("1970-01-01T00:01:40Z", 100_000), ("1700000000", 1_700_000_000_000)],
)
def test_a_moment_is_a_duration_ago_a_time_or_unix_seconds(text: str, expected_ms: int) -> None:
    assert parse_moment_ms(text, now_ms=1_000_000) == expected_ms


def test_a_moment_that_is_none_names_the_good_forms() -> None:
    with pytest.raises(ValueError, match=r"10m \(ago\)"):
        parse_moment_ms("yesterday", now_ms=0)


def test_nanoseconds_are_kept() -> None:
    assert rfc3339_ns(1_000_000_007) == "1970-01-01T00:00:01.000000007Z"
    assert clock_ms(1_250_000_000).endswith(":01.250")


@pytest.mark.parametrize(
    ("amount", "text"), [(0, "0B"), (1_023, "1023B"), (512 * 1024**2, "512MiB"), (33_607_000_000, "31.3GiB")]
)
def test_sizes_read_as_in_docker(amount: int, text: str) -> None:
    assert size(amount) == text


def test_cpus_are_exact() -> None:
    assert [cpus(0), cpus(250), cpus(1_500), cpus(8_000)] == ["0", "0.25", "1.5", "8"]


def test_columns_are_padded_by_what_is_seen() -> None:
    lines = table(["A", "B"], [[click.style("ü✓", fg="red"), "x"], ["日本", ""]])
    assert [click.unstyle(line) for line in lines] == ["A      B", "ü✓     x", "日本"]


def test_control_characters_are_shown_and_lines_joined() -> None:
    assert printable("a\x1b[2Jb\tc") == "a\\x1b[2Jb\tc"
    assert one_line("one\n\n two \r\nthree") == "one · two · three"
