"""Variables in values: $NAME, ${NAME}, and ${NAME} with :- - :? ? :+ +, nested, and $$ for a dollar.

Follows the Compose specification's interpolation. Keys are left alone. A value put in is not read
again, so a variable cannot bring variables of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from bayplan.compose.budget import Budget
from bayplan.compose.nodes import Entry, List, Map, Node, Override, Reset, Scalar
from bayplan.compose.report import Report, invalid, shown

#: Deepest nesting of ${} in ${}.
NESTING_MAX = 16
#: Longest single value in characters: what Linux takes as one argument or variable of a process.
VALUE_CHARS_MAX = 128 * 1024

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BRACED = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?:(:?)([-?+])(.*))?", re.DOTALL)
_BRACES = re.compile(r"\$\$|\$\{|\}")


class Variables(NamedTuple):
    """Where values come from, and a sentence on where the env file was looked for."""

    values: Mapping[str, str]
    looked_for: str = ""


class MissingVariableError(ValueError):
    """A variable that the file requires is not set."""


def interpolate(tree: Map, variables: Variables, report: Report, budget: Budget) -> Map:
    """The tree with every variable put in.

    An unset variable becomes empty, with a warning. A malformed or required one goes to the report and
    its value stays as written. Raises ProblemError when the text grows beyond the limits.
    """
    return _Interpolation(variables, report, budget).map(tree)


def expand(text: str, values: Mapping[str, str], unset: Callable[[str], None], depth: int = 0) -> str:
    """The text with its variables put in; `unset` is told of each used name that has no value.

    Raises MissingVariableError for an unmet ${NAME?message}, ValueError for a malformed reference or a
    result longer than VALUE_CHARS_MAX.
    """
    if depth > NESTING_MAX:
        raise ValueError(f"variables are nested more than {NESTING_MAX} deep")
    parts: list[str] = []
    position = chars = 0
    while (dollar := text.find("$", position)) >= 0:
        parts.append(text[position:dollar])
        following = text[dollar + 1 : dollar + 2]
        if following == "$":
            parts.append("$")
            position = dollar + 2
        elif following == "{":
            end = _closing_brace(text, dollar + 2)
            parts.append(_braced(text[dollar + 2 : end], values, unset, depth))
            position = end + 1
        elif (name := _NAME.match(text, dollar + 1)) is not None:
            parts.append(_plain(name.group(), values, unset))
            position = name.end()
        else:
            raise ValueError(
                f"{shown(text[dollar : dollar + 2])} is not a variable; a plain dollar is written $$"
            )
        chars += len(parts[-1])
        if chars > VALUE_CHARS_MAX:
            raise ValueError(f"the value becomes longer than {VALUE_CHARS_MAX} characters")
    parts.append(text[position:])
    return "".join(parts)


def _closing_brace(text: str, position: int) -> int:
    depth = 1
    for brace in _BRACES.finditer(text, position):
        depth += {"$$": 0, "${": 1, "}": -1}[brace.group()]
        if depth == 0:
            return brace.start()
    raise ValueError(f"{shown(text[position - 2 :])} has no closing brace")


def _braced(body: str, values: Mapping[str, str], unset: Callable[[str], None], depth: int) -> str:
    match = _BRACED.fullmatch(body)
    if match is None:
        raise ValueError(f"{shown('${' + body + '}')} is not a variable; a plain dollar is written $$")
    name, colon, operator, argument = match.groups()
    value = values.get(name)
    present = bool(value) if colon else value is not None
    match operator:
        case None:
            return _plain(name, values, unset)
        case "+":
            return expand(argument, values, unset, depth + 1) if present else ""
        case _ if present:
            return value or ""
        case "-":
            return expand(argument, values, unset, depth + 1)
        case _:
            message = expand(argument, values, unset, depth + 1)
            state = "empty" if value is not None else "not set"
            raise MissingVariableError(
                f"the variable {name} is {state}" + (f": {message}" if message else "")
            )


def _plain(name: str, values: Mapping[str, str], unset: Callable[[str], None]) -> str:
    value = values.get(name)
    if value is None:
        unset(name)
        return ""
    return value


class _Interpolation:
    def __init__(self, variables: Variables, report: Report, budget: Budget) -> None:
        self._variables = variables
        self._report = report
        self._budget = budget

    def of(self, node: Node) -> Node:
        match node:
            case Scalar():
                return self._scalar(node)
            case List():
                return List(node.path, node.line, tuple(self.of(item) for item in node.items))
            case Map():
                return self.map(node)
            case Override():
                return Override(node.path, node.line, self.of(node.value))
            case Reset():
                return node
            case _:
                raise AssertionError(node)

    def map(self, node: Map) -> Map:
        entries: dict[str, Entry] = {}
        for name, entry in node.entries.items():
            value = self.of(entry.value)
            entries[name] = entry if value is entry.value else Entry(entry.key, value)
        return Map(node.path, node.line, entries)

    def _scalar(self, node: Scalar) -> Scalar:
        result = self._expanded(node) if "$" in node.text else node
        if len(result.text) > VALUE_CHARS_MAX:
            raise invalid(node.place, f"a value is longer than {VALUE_CHARS_MAX} characters")
        self._budget.add_chars(node, len(result.text))
        return result

    def _expanded(self, node: Scalar) -> Scalar:
        try:
            text = expand(node.text, self._variables.values, lambda name: self._unset(node, name))
        except MissingVariableError as error:
            hint = "set it in the environment or in an env file"
            found = [self._variables.looked_for] if self._variables.looked_for else []
            self._report.add(invalid(node.place, str(error), *found, hint=hint))
        except ValueError as error:
            self._report.add(invalid(node.place, str(error)))
        else:
            return Scalar(node.path, node.line, text)
        return node

    def _unset(self, node: Scalar, name: str) -> None:
        self._report.warn(node.place, f"{name} is not set; it becomes empty", "the variable")
