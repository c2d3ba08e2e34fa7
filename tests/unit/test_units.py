"""Amounts as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bayplan.units import (
    DURATION_MS_MAX,
    format_bytes,
    format_cpus,
    format_duration_ms,
    parse_bytes,
    parse_cpus,
    parse_duration_ms,
)

MIB = 1024**2


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("0", 0),
        ("1024", 1024),
        ("512b", 512),
        ("64k", 64 * 1024),
        ("64kb", 64 * 1024),
        ("64KiB", 64 * 1024),
        ("512MiB", 512 * MIB),
        ("512 M", 512 * MIB),
        ("1g", 1024 * MIB),
        ("1.5g", 1536 * MIB),
        ("2TB", 2 * 1024**4),
    ],
)
def test_a_size_is_read_in_units_of_1024(text: str, amount: int) -> None:
    assert parse_bytes(text) == amount


@pytest.mark.parametrize(
    "text", ["", "-1", "1x", "g", "1 2", "1e3", "0x10", "9" * 5000, "9999999p", "１m", "1m\n2"]
)
def test_what_is_not_a_size_is_refused_with_the_good_forms(text: str) -> None:
    with pytest.raises(ValueError, match=r"512MiB|too large"):
        parse_bytes(text)


@pytest.mark.parametrize(
    ("text", "amount_ms"),
    [
        ("0", 0),
        ("0s", 0),
        ("10s", 10_000),
        ("1m30s", 90_000),
        ("500ms", 500),
        ("1h", 3_600_000),
        ("1.5s", 1_500),
        ("1h1m1s1ms", 3_661_001),
        ("1us", 1),
        ("2000us", 2),
        ("1ns", 1),
        ("3000000ns", 3),
    ],
)
def test_a_duration_is_read_as_docker_writes_it(text: str, amount_ms: int) -> None:
    assert parse_duration_ms(text) == amount_ms


@pytest.mark.parametrize("text", ["", "10", "s", "-1s", "1y", "1 s", "1s!", "1m 30s", "9999999999h"])
def test_what_is_not_a_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"1m30s|too long"):
        parse_duration_ms(text)


def test_a_bare_number_is_answered_with_its_seconds() -> None:
    with pytest.raises(ValueError, match="for seconds: 10s"):
        parse_duration_ms("10")


@pytest.mark.parametrize(
    ("text", "millis"), [("0", 0), ("0.5", 500), ("2", 2_000), (".25", 250), ("1.0019", 1_001)]
)
def test_cpus_are_thousandths_of_a_core(text: str, millis: int) -> None:
    assert parse_cpus(text) == millis


@pytest.mark.parametrize("text", ["", "-1", "half", "500m", "0.0001", "99999999999", "1e2", "nan"])
def test_what_is_not_a_number_of_cpus_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="CPU"):
        parse_cpus(text)


@pytest.mark.parametrize(
    ("amount", "text"), [(0, "0 B"), (512, "512 B"), (1536 * MIB, "1.5 GiB"), (24 * 1024 * MIB, "24 GiB")]
)
def test_a_size_is_shown_in_its_largest_unit(amount: int, text: str) -> None:
    assert format_bytes(amount) == text


@pytest.mark.parametrize(
    ("millis", "text"), [(0, "0 CPU"), (500, "0.5 CPU"), (6_500, "6.5 CPU"), (10_000, "10 CPU")]
)
def test_cpus_are_shown_exactly(millis: int, text: str) -> None:
    assert format_cpus(millis) == text


@pytest.mark.parametrize(
    ("amount_ms", "text"), [(0, "0s"), (90_000, "1m30s"), (1_500, "1s500ms"), (-1_000, "-1s")]
)
def test_a_duration_is_shown_in_parts(amount_ms: int, text: str) -> None:
    assert format_duration_ms(amount_ms) == text


@given(st.integers(0, DURATION_MS_MAX))
def test_a_shown_duration_is_read_back_exactly(amount_ms: int) -> None:
    assert parse_duration_ms(format_duration_ms(amount_ms)) == amount_ms


@given(st.integers(0, 10**9))
def test_shown_cpus_are_read_back_exactly(millis: int) -> None:
    assert parse_cpus(format_cpus(millis).removesuffix(" CPU")) == millis


@given(st.integers(0, 2**62))
def test_a_shown_size_is_read_back_within_one_part_in_twenty(amount: int) -> None:
    assert abs(parse_bytes(format_bytes(amount)) - amount) <= amount / 20


@given(st.text(max_size=30))
def test_any_text_gives_an_amount_or_a_value_error(text: str) -> None:
    for parse in (parse_bytes, parse_duration_ms, parse_cpus):
        try:
            assert 0 <= parse(text) < 2**63
        except ValueError as error:
            assert str(error)
