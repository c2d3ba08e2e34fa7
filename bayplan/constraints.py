"""Placement constraints, `node.labels.zone == a`: their grammar, shared by the loader and the scheduler.

Docker's `==` and `!=`, and what Nomad and Kubernetes have besides: sets, numbers, regular expressions and
versions. A node's value comes as text, empty where it has none. What a node is, is not known here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from ipaddress import ip_address, ip_network

from bayplan import platforms, regexp, units, versions
from bayplan.model import Model
from bayplan.nearest import did_you_mean

#: Longest text of one constraint, in characters.
CONSTRAINT_CHARS_MAX = 500
#: Values within `in (...)`.
VALUES_MAX = 100
#: Constraints kept read.
PARSED_KEPT_MAX = 10_000

#: What a node is, besides labels: what may be compared, and what tasks may be spread over.
ATTRIBUTES = (
    "node.hostname",
    "node.id",
    "node.ip",
    "node.platform.arch",
    "node.platform.os",
    "node.role",
    "engine.version",
)
#: How much a node has, in all.
CPUS, MEMORY, DISK = AMOUNTS = ("node.cpus", "node.memory", "node.disk")
#: What a constraint may ask about, besides labels.
KEYS = (*ATTRIBUTES, *AMOUNTS)
#: Before a label's name.
LABELS = "node.labels."
#: Before the name of a label of the node's engine.
ENGINE_LABELS = "engine.labels."

_KEY = r"\s*(?P<key>[^\s=!<>~]+)"
_FORM = re.compile(
    _KEY + r"(?:\s*(?P<sign>==|!=|=~|!~|>=|<=|>|<)|\s+(?P<word>in|not\s+in|version)(?=[\s(]))"
    r"\s*(?P<value>\S(?:.*\S)?)\s*",
    re.DOTALL,
)
_NUMBER = re.compile(r"[+-]?[0-9]{1,18}(?:\.[0-9]{1,18})?")
_EXAMPLE = "write it like node.labels.zone == a"


class Operator(StrEnum):
    """How a node's value is compared. What a node has no value for satisfies only NOT_EQUAL, NOT_IN and
    NO_MATCH."""

    EQUAL = "=="
    NOT_EQUAL = "!="
    IN = "in"
    NOT_IN = "not in"
    AT_LEAST = ">="
    AT_MOST = "<="
    ABOVE = ">"
    BELOW = "<"
    MATCH = "=~"
    NO_MATCH = "!~"
    VERSION = "version"


_EXACT = (Operator.EQUAL, Operator.NOT_EQUAL)
_NEGATED = {Operator.NOT_EQUAL, Operator.NOT_IN, Operator.NO_MATCH}
_ORDERED: dict[Operator, Callable[[Decimal, Decimal], bool]] = {
    Operator.AT_LEAST: Decimal.__ge__,
    Operator.AT_MOST: Decimal.__le__,
    Operator.ABOVE: Decimal.__gt__,
    Operator.BELOW: Decimal.__lt__,
}


class ConstraintError(ValueError):
    """A text that is no constraint; `column` (from 1) is where, `hint` the way out."""

    def __init__(self, summary: str, hint: str, column: int = 1) -> None:
        super().__init__(f"{summary}; {hint}")
        self.summary = f"{summary} (column {column})" if column > 1 else summary
        self.hint = hint
        self.column = column


class Constraint(Model, frozen=True, kw_only=True):
    """A node's attribute against `values`, one but for IN and NOT_IN; words are compared without regard to
    case, as Docker's are, and regular expressions with it."""

    key: str
    operator: Operator = Operator.EQUAL
    values: tuple[str, ...]

    def holds(self, actual: str) -> bool:
        """Whether a node whose value is `actual` (empty: it has none) satisfies it."""
        found = bool(actual) and self._agrees(actual)
        return found is not (self.operator in _NEGATED)

    def _agrees(self, actual: str) -> bool:
        wanted = self.values[0]
        if self.operator in _ORDERED or self.key in AMOUNTS:
            return self._compares(actual)
        if self.operator in (Operator.MATCH, Operator.NO_MATCH):
            return regexp.compiled(wanted).search(actual)
        if self.operator is Operator.VERSION:
            return versions.satisfies(actual, wanted)
        if self.key == "node.ip":
            return any(_within(actual, value) for value in self.values)
        return any(_same(self.key, actual, value) for value in self.values)

    def _compares(self, actual: str) -> bool:
        have, want = _number(self.key, actual), _number(self.key, self.values[0])
        if have is None or want is None:
            return False
        compare = _ORDERED.get(self.operator, Decimal.__eq__)
        return compare(have, want)

    def __str__(self) -> str:
        value = f"({', '.join(self.values)})" if _is_set(self.operator) else self.values[0]
        return f"{self.key} {self.operator} {value}"


@lru_cache(PARSED_KEPT_MAX)
def parse(text: str) -> Constraint:
    """A constraint from its text. Raises ConstraintError."""
    if len(text) > CONSTRAINT_CHARS_MAX:
        hint = f"write at most {CONSTRAINT_CHARS_MAX}, or give the nodes a label that says it"
        raise ConstraintError(f"a constraint has {len(text)} characters", hint)
    match = _FORM.fullmatch(text)
    if match is None:
        raise _unreadable(text)
    key = checked_key(match["key"], KEYS, column=match.start("key") + 1)
    operator = Operator(match["sign"] or re.sub(r"\s+", " ", match["word"]))
    column = match.start("value") + 1
    values = _set_values(match["value"], column) if _is_set(operator) else (match["value"],)
    found = Constraint(key=key, operator=operator, values=values)
    _check_value(found, column)
    return found


def parse_attribute(text: str) -> str:
    """What tasks are spread over or kept together by: an attribute or a label. Raises ConstraintError."""
    key = text.strip()
    return checked_key(key, ATTRIBUTES, what="an attribute of nodes", shown=text)


def checked_key(
    key: str, known: tuple[str, ...], what: str = "a key of a constraint", shown: str = "", column: int = 1
) -> str:
    """The key, if it is one of the known or a label. Raises ConstraintError with the nearest."""
    for before in (LABELS, ENGINE_LABELS):
        if key.startswith(before) and key != before and len(key) <= CONSTRAINT_CHARS_MAX:
            return key
    if key in known:
        return key
    label = key.rpartition(".")[2]
    candidates = (*known, *([LABELS + label] if label else []))
    otherwise = f"write one of {', '.join(known)}, {LABELS}NAME"
    if label == key and key:
        otherwise = f"did you mean {LABELS}{key[:60]}?"
    hint = did_you_mean(key, candidates, otherwise)
    raise ConstraintError(f"{_shown(shown or key)} is not {what}", hint, column)


def is_label(key: str) -> bool:
    """Whether a key asks for a label of nodes or of their engines."""
    return key.startswith((LABELS, ENGINE_LABELS))


def _unreadable(text: str) -> ConstraintError:
    """Cases: a key alone, an operator that is none, no value."""
    match = re.match(_KEY, text)
    if match is None:
        return ConstraintError(f"{_shown(text)} is not a constraint", _EXAMPLE)
    rest = text[match.end() :].strip()
    column = len(text) - len(text[match.end() :].lstrip()) + 1
    operator = next((each for each in sorted(Operator, key=len, reverse=True) if rest == each.value), None)
    if not rest or operator:
        after = operator or "it"
        return ConstraintError(
            f"{_shown(text)} is not a constraint: there is no value after {after}", _EXAMPLE, column
        )
    hint = f"{_EXAMPLE}, or with one of {' '.join(each for each in Operator)}"
    word = rest.split(maxsplit=1)[0]
    return ConstraintError(f"{_shown(text)} is not a constraint: {_shown(word)} is no operator", hint, column)


def _set_values(text: str, column: int) -> tuple[str, ...]:
    if not (text.startswith("(") and text.endswith(")")):
        hint = "write it like (a, b)"
        if text.startswith("("):
            hint += ", with quotes around the constraint: a comma ends an item of a list in [...]"
        raise ConstraintError(f"{_shown(text)} is no set of values", hint, column)
    values = tuple(value.strip() for value in text[1:-1].split(","))
    if not all(values):
        raise ConstraintError(f"a value is missing in {_shown(text)}", "write it like (a, b)", column)
    if len(values) > VALUES_MAX:
        hint = f"write at most {VALUES_MAX}, or give the nodes a label that says it"
        raise ConstraintError(f"the set has {len(values)} values", hint, column)
    return values


def _check_value(found: Constraint, column: int) -> None:
    """Raises ConstraintError when no node's value could be compared with what is wanted."""
    key, operator, value = found.key, found.operator, found.values[0]
    if key in AMOUNTS and operator not in (*_ORDERED, *_EXACT):
        raise ConstraintError(f"{key} is an amount", "compare it with == != > < >= or <=", column)
    if (key in AMOUNTS or operator in _ORDERED) and _number(key, value) is None:
        example = "64g" if key in (MEMORY, DISK) else "2.5"
        raise ConstraintError(f"{_shown(value)} is not a number", f"write it like {example}", column)
    if operator in (Operator.MATCH, Operator.NO_MATCH):
        try:
            regexp.compiled(value)
        except regexp.PatternError as error:
            raise ConstraintError(
                f"{_shown(value)} is no regular expression: {error}", error.hint, column + error.column - 1
            ) from error
    if operator is Operator.VERSION:
        try:
            versions.parse_range(value)
        except ValueError as error:
            raise ConstraintError(str(error), "write it like version >= 2.1, < 3", column) from error
    if key == "node.ip" and (wrong := next((each for each in found.values if not _is_range(each)), "")):
        raise ConstraintError(f"{_shown(wrong)} is no range of addresses", "write 10.0.0.0/8", column)


def _is_set(operator: Operator) -> bool:
    return operator in (Operator.IN, Operator.NOT_IN)


def _same(key: str, actual: str, wanted: str) -> bool:
    if key == "node.platform.arch":
        return platforms.architecture(actual) == platforms.architecture(wanted)
    return actual.lower() == wanted.lower()


def _number(key: str, text: str) -> Decimal | None:
    """The number that a text is, a size where the key is one; None when it is none."""
    if key in (MEMORY, DISK):
        try:
            return Decimal(units.parse_bytes(text))
        except ValueError:
            return None
    return Decimal(text) if _NUMBER.fullmatch(text.strip()) else None


def _within(actual: str, wanted: str) -> bool:
    try:
        return ip_address(actual) in ip_network(wanted, strict=False)
    except ValueError:
        return False


def _is_range(text: str) -> bool:
    try:
        ip_network(text, strict=False)
    except ValueError:
        return False
    return True


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:60] + "...")
