"""Versions such as 28.2.2, v1.29.3+k3s1 or 2.0-rc1, and ranges of them: `>= 2.1, < 3`. Pure."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import NamedTuple

#: Most conditions of one range.
CONDITIONS_MAX = 10

#: What follows the numbers is only looked at for whether it comes before the release, as 2.0-rc1 does
#: (https://semver.org, 9); the suffix of a build or a distribution (+dfsg1, -1~debian.12) says nothing.
_VERSION = re.compile(
    r"v?(?P<numbers>[0-9]{1,18}(?:\.[0-9]{1,18}){0,9})(?P<rest>[-+~_ ].{0,100})?", re.I | re.S
)
_BEFORE_RELEASE = re.compile(r"[-~.]?(?:alpha|beta|pre|rc|dev)", re.I)
_CONDITION = re.compile(r"\s*(?P<compare>>=|<=|==|!=|>|<|=)?\s*(?P<version>[^\s<>=!]+)\s*")
_COMPARE: dict[str, Callable[[Version, Version], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "!=": operator.ne,
    "==": operator.eq,
    "=": operator.eq,
}


class Version(NamedTuple):
    """Its numbers without zeros at the end, then whether it is the release, then the name of what is not."""

    numbers: tuple[int, ...]
    released: bool
    name: str


def parse(text: str) -> Version:
    """A version from its text. Raises ValueError."""
    match = _VERSION.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text[:60]!r} is not a version")
    numbers = [int(number) for number in match["numbers"].split(".")]
    while numbers and not numbers[-1]:
        numbers.pop()
    rest = match["rest"] or ""
    early = _BEFORE_RELEASE.match(rest) is not None
    return Version(tuple(numbers), not early, rest.partition("+")[0].lower() if early else "")


def parse_range(text: str) -> tuple[tuple[str, Version], ...]:
    """The conditions of a range, each a comparison and a version. Raises ValueError."""
    written = text.split(",")
    if len(written) > CONDITIONS_MAX:
        raise ValueError(f"a range has {len(written)} conditions, more than {CONDITIONS_MAX}")
    found = []
    for each in written:
        match = _CONDITION.fullmatch(each)
        if match is None:
            raise ValueError(f"{each.strip()[:60]!r} is not a condition on a version")
        found.append((match["compare"] or "=", parse(match["version"])))
    return tuple(found)


def satisfies(version: str, wanted: str) -> bool:
    """Whether a version lies in a (sound) range; what is no version lies in none."""
    try:
        have = parse(version)
    except ValueError:
        return False
    return all(_COMPARE[compare](have, bound) for compare, bound in parse_range(wanted))
