"""Reading one field: from a node to a value of the wanted type, or an error with its place.

A `Field` is a node with its path in the file and the report. A decoder takes a field and returns a
value, or raises ProblemError; collections keep their items' errors and go on. What keys there are is
not known here: `struct` is told by a table.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Generic, NamedTuple, TypeVar

from bayplan.compose.nodes import Entry, List, Map, Node, Scalar, describe, is_null
from bayplan.compose.report import SHOWN_CHARS_MAX, FormError, Report, invalid, shown
from bayplan.errors import ProblemError
from bayplan.model import Model
from bayplan.nearest import did_you_mean

T = TypeVar("T")

_TRUE = frozenset({"true", "yes", "on", "y", "1", "t"})
_FALSE = frozenset({"false", "no", "off", "n", "0", "f"})
_BOOLEANS = frozenset({"true", "True", "TRUE", "false", "False", "FALSE"})


class Field(NamedTuple):
    """A value in the file: where it stands (`services.web.ports`) and where it was written."""

    node: Node
    path: str
    place: str
    report: Report

    def refuse(self, problem: str, hint: str = "") -> ProblemError:
        """The error about this field: its path and what is wrong with it."""
        return invalid(self.place, f"{self.path} {problem}", hint=hint)

    def warn(self, text: str) -> None:
        """Warns about this field."""
        self.report.warn(self.place, text, self.path)

    def entries(self) -> Iterator[tuple[str, Field]]:
        """The entries of a mapping, by key."""
        if not isinstance(self.node, Map):
            raise self.refuse(f"shall be a mapping, not {describe(self.node)}")
        for name, entry in self.node.entries.items():
            yield name, self.entry(name, entry)

    def entry(self, name: str, entry: Entry) -> Field:
        """The field of one entry; its place is that of its key."""
        step = name if name.isprintable() and len(name) <= SHOWN_CHARS_MAX else shown(name)
        return Field(entry.value, f"{self.path}.{step}" if self.path else step, entry.key.place, self.report)

    def items(self) -> Iterator[Field]:
        """The items of a list."""
        if not isinstance(self.node, List):
            hint = "begin each value with a dash: `- VALUE`" if isinstance(self.node, Scalar) else ""
            raise self.refuse(f"shall be a list, not {describe(self.node)}", hint=hint)
        for index, item in enumerate(self.node.items):
            yield Field(item, f"{self.path}[{index}]", item.place, self.report)


Decoder = Callable[[Field], T]


class Placed(NamedTuple, Generic[T]):
    """A value and where it was written."""

    place: str
    value: T


class Support(StrEnum):
    """What becomes of a key."""

    YES = "yes"
    MAPPED = "mapped"
    WARNED = "warned"
    REFUSED = "refused"


class Key(NamedTuple):
    """A key of the specification: what becomes of it, and how it is read.

    `note` is for the documentation; of a refused key it is the reason and the way out. `warning` is said at
    each use. `keeps_empty`: an empty text is a value of its own, elsewhere it is as good as no key at all (a
    variable that is not set).
    """

    support: Support
    decode: Decoder[Any] | None = None
    note: str = ""
    warning: str = ""
    keeps_empty: bool = False


Keys = Mapping[str, Key]


class Typed(Model, frozen=True, kw_only=True):
    """Base of what `struct` makes: `places` has the file:line of each key that was written, also of a
    key whose value was wrong and is in the report.
    """

    places: dict[str, str] = {}


S = TypeVar("S", bound=Typed)


def yes(decode: Decoder[Any], note: str = "", keeps_empty: bool = False) -> Key:
    """A key that is honoured as the specification says."""
    return Key(Support.YES, decode, note, keeps_empty=keeps_empty)


def mapped(decode: Decoder[Any], note: str, warning: str = "", keeps_empty: bool = False) -> Key:
    """A key that is honoured in another way, told by the note."""
    return Key(Support.MAPPED, decode, note, warning, keeps_empty)


def warned(decode: Decoder[Any], warning: str) -> Key:
    """A key that has no effect, or not its whole effect, which each use is told."""
    return Key(Support.WARNED, decode, warning, warning)


def refused(why: str, write: str) -> Key:
    """A key of the specification that is an error: the reason, and what to write instead."""
    return Key(Support.REFUSED, None, f"{why}: {write}")


def struct(kind: type[S], keys: Keys, what: str) -> Decoder[S]:
    """Reads a mapping with known keys into a struct whose fields have the keys' names; only a key that is
    warned of, or was dealt with before (`done_before`), may have no field.

    Other keys beginning with `x-` and keys without a value are left out; unknown and refused keys are errors.
    `what` is the thing's name in the error about an unknown key. The field of `x-NAME` is NAME.
    """

    fields = frozenset(kind.__struct_fields__)
    for name, key in keys.items():
        lost = key.support in (Support.YES, Support.MAPPED) and key.decode is not done_before
        assert _field_of(name) in fields or not lost, f"{kind.__name__} has no field for {name}"

    def decode(field: Field) -> S:
        values: dict[str, Any] = {}
        places: dict[str, str] = {}
        for name, child in field.entries():
            if name.startswith("x-") and name not in keys:
                continue
            with field.report.collect():
                key = known_key(child, name, keys, what)
                if is_null(child.node):
                    continue
                places[name] = child.place
                if key.keeps_empty or not _is_empty(child.node):
                    value = _read(child, key)
                    if _field_of(name) in fields:
                        values[_field_of(name)] = value
        return kind(**values, places=places)

    return decode


def _field_of(name: str) -> str:
    return name.removeprefix("x-")


def known_key(field: Field, name: str, keys: Keys, what: str) -> Key:
    """The row of a key. Raises ProblemError, with the nearest name, when there is none."""
    key = keys.get(name)
    if key is None:
        hint = did_you_mean(
            name, keys, otherwise="remove it, or begin its name with x- to keep it for yourself"
        )
        raise field.refuse(f"is not a key of {what}", hint=hint)
    return key


def _read(field: Field, key: Key) -> Any:
    if key.decode is None:
        raise field.refuse("is not supported", hint=key.note)
    if key.warning:
        field.warn(key.warning)
    return key.decode(field)


def _is_empty(node: Node) -> bool:
    return isinstance(node, Scalar) and not node.text


def text(field: Field) -> str:
    """Any single value, as it was written."""
    if not isinstance(field.node, Scalar):
        raise field.refuse(f"shall be a single value, not {describe(field.node)}")
    return field.node.text


def loose_text(field: Field) -> str:
    """As `text`, but booleans become lower case and nothing becomes the empty text, as in Docker."""
    value = text(field)
    if not isinstance(field.node, Scalar) or not field.node.plain:
        return value
    return "" if is_null(field.node) else value.lower() if value in _BOOLEANS else value


def anything(field: Field) -> None:
    """Takes any value: that of a key without effect."""


def done_before(field: Field) -> None:
    """For a key with which the merging of the files has dealt before its value is read here."""


def flag(field: Field) -> bool:
    """true or false; yes/no and on/off too."""
    value = text(field).lower()
    if value not in _TRUE | _FALSE:
        raise field.refuse(f"shall be true or false, not {shown(text(field))}")
    return value in _TRUE


def via(read: Callable[[str], T]) -> Decoder[T]:
    """Reads a single value with a function that raises ValueError for bad text."""

    def decode(field: Field) -> T:
        try:
            return read(text(field))
        except ValueError as error:
            hint = error.hint if isinstance(error, FormError) else ""
            raise field.refuse(f"is wrong: {error}", hint=hint) from error

    return decode


def whole(least: int, most: int) -> Decoder[int]:
    """A whole number within bounds."""

    def decode(field: Field) -> int:
        value = text(field)
        digits = value.removeprefix("-")
        number = int(value) if digits.isascii() and digits.isdigit() and len(digits) <= 18 else None
        if number is None or not least <= number <= most:
            raise field.refuse(f"shall be a whole number from {least} to {most}, not {shown(value)}")
        return number

    return decode


def choice(choices: Mapping[str, T], refused: Mapping[str, str] = MappingProxyType({})) -> Decoder[T]:
    """One of some words. `refused` are words that the specification knows besides, with the way out."""

    def decode(field: Field) -> T:
        word = text(field)
        if word in refused:
            raise field.refuse(f"{word} is not supported", hint=refused[word])
        if word not in choices:
            hint = did_you_mean(word, choices, otherwise=f"write {' or '.join(choices)}")
            raise field.refuse(f"has the unknown value {shown(word)}", hint=hint)
        return choices[word]

    return decode


def each(decode: Decoder[T]) -> Decoder[tuple[T, ...]]:
    """A list of such values; the errors of several items are all kept."""

    def decode_list(field: Field) -> tuple[T, ...]:
        values: list[T] = []
        for item in field.items():
            with field.report.collect():
                values.append(decode(item))
        return tuple(values)

    return decode_list


def few(most: int, decode: Decoder[T]) -> Decoder[tuple[T, ...]]:
    """As `each`, with a limit."""

    def decode_few(field: Field) -> tuple[T, ...]:
        if isinstance(field.node, List) and len(field.node.items) > most:
            raise field.refuse(f"has {len(field.node.items)} items", hint=f"write at most {most}")
        return each(decode)(field)

    return decode_few


def placed(decode: Decoder[T]) -> Decoder[Placed[T]]:
    """The value together with its place."""
    return lambda field: Placed(field.place, decode(field))


def one_or_each(decode: Decoder[T]) -> Decoder[tuple[T, ...]]:
    """A single value, or a list of such values."""

    def decode_either(field: Field) -> tuple[T, ...]:
        return (decode(field),) if isinstance(field.node, Scalar) else each(decode)(field)

    return decode_either


def words(field: Field) -> tuple[str, ...]:
    """A command: a list of arguments, or one text that is split as a shell would."""
    if isinstance(field.node, List):
        return each(loose_text)(field)
    try:
        return tuple(shlex.split(text(field)))
    except ValueError as error:
        hint = "close the quote, or write the command as a list"
        raise field.refuse(f"cannot be split into words: {error}", hint=hint) from error


def pairs(field: Field) -> dict[str, str | None]:
    """NAME=value: a mapping, or a list of such texts. None for a name without a value."""
    values: dict[str, str | None] = {}
    if isinstance(field.node, List):
        for item in field.items():
            with field.report.collect():
                if isinstance(item.node, Map):
                    hint = "write `- NAME=value`, or `NAME: value` without the dash"
                    raise item.refuse("shall be a single value, not a mapping", hint=hint)
                name, equals, value = loose_text(item).partition("=")
                values[_name(item, name)] = value if equals else None
        return values
    for name, child in field.entries():
        with field.report.collect():
            values[_name(child, name)] = None if is_null(child.node) else loose_text(child)
    return values


def labels(field: Field) -> dict[str, str]:
    """As `pairs`, a name without a value having the empty one."""
    return {name: value or "" for name, value in pairs(field).items()}


def _name(field: Field, name: str) -> str:
    if not name or "=" in name:
        raise field.refuse(f"has no usable name: {shown(name)}", hint="write NAME=value")
    return name
