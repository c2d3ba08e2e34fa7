"""Regular expressions whose time is linear in the text, whoever wrote them.

Python's `re` backtracks: a short pattern on a short text can take it years, and a scheduler cannot wait. So a
pattern becomes a nondeterministic automaton that is followed in all its states at once (Ken Thompson,
"Regular Expression Search Algorithm", 1968), with the steps that were taken once remembered. What needs
backtracking (back references, look-around) is refused by name. Single characters are left to `re`.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple, assert_never

#: Longest pattern, in characters.
PATTERN_CHARS_MAX = 200
#: Largest number within {...}.
REPEATS_MAX = 100
#: Largest automaton, in states: repeats of repeats multiply.
STATES_MAX = 2_000
#: Deepest nesting of groups.
DEPTH_MAX = 20
#: Steps remembered for one pattern; beyond that they are worked out again.
STEPS_KEPT_MAX = 10_000
#: Patterns kept ready.
PATTERNS_KEPT_MAX = 256

_START, _END = "^", "$"
#: Before a pattern that ignores case.
_FOLDED = "(?i)"
_SUPPORTED = "letters, . [...] ( ) | * + ? {m,n} ^ $ and \\d \\w \\s are"

_TOKEN = re.compile(
    r"(?P<set>\[\^?\]?(?:\\.|[^\]\\])*\])"
    r"|(?P<escape>\\.)"
    r"|(?P<group>\((?:\?(?P<kind>:|[^:]))?)"
    r"|(?P<repeat>\*|\+|\?|\{(?P<least>[0-9]{0,4})(?P<comma>,)?(?P<most>[0-9]{0,4})\})"
    r"|(?P<anchor>[\^$])"
    r"|(?P<mark>[)|])"
    r"|(?P<plain>[^\[\\{])",
    re.DOTALL,
)
_ESCAPES = re.compile(r"\\(?:[dDwWsS]|[^A-Za-z0-9])")


class PatternError(ValueError):
    """A text that is no pattern; `column` (from 1) is where, `hint` the way out."""

    def __init__(self, summary: str, column: int, hint: str = "") -> None:
        super().__init__(summary)
        self.column = column
        self.hint = hint or f"{_SUPPORTED} understood"


class _Letter(NamedTuple):
    """One character, or an anchor."""

    test: re.Pattern[str] | str


class _Row(NamedTuple):
    """One part after the other."""

    parts: tuple[_Part, ...]


class _Either(NamedTuple):
    """One of several."""

    branches: tuple[_Part, ...]


class _Times(NamedTuple):
    """A part again and again; `most` None is without end."""

    part: _Part
    least: int
    most: int | None


_Part = _Letter | _Row | _Either | _Times


class Pattern:
    """A pattern that is looked for anywhere in a text, as Go's and Nomad's are. Raises PatternError."""

    def __init__(self, text: str) -> None:
        if len(text) > PATTERN_CHARS_MAX:
            hint = f"write at most {PATTERN_CHARS_MAX}"
            raise PatternError(f"the pattern has {len(text)} characters", 1, hint)
        self._states = _States()
        self._last = self._states.add()
        self._first = self._states.build(_Reader(text).whole(), self._last)
        self._steps: dict[tuple[frozenset[int], str, str], frozenset[int]] = {}

    def search(self, text: str) -> bool:
        """Whether the pattern is found in the text."""
        there = self._states.reach([self._first], _START if text else _START + _END)
        for at, letter in enumerate(text, start=1):
            if self._last in there:
                return True
            there = self._step(there, letter, _END if at == len(text) else "")
        return self._last in there

    def _step(self, there: frozenset[int], letter: str, anchors: str) -> frozenset[int]:
        """Where a character leads; the pattern may begin anew behind it."""
        key = (there, letter, anchors)
        found = self._steps.get(key)
        if found is None:
            found = self._states.reach([self._first, *self._states.taken(there, letter)], anchors)
            if len(self._steps) < STEPS_KEPT_MAX:
                self._steps[key] = found
        return found


class _States:
    """The automaton: by state what the next character must be, and what follows.

    None takes no character, and an anchor none either: it lets through at its end of the text only.
    """

    def __init__(self) -> None:
        self._tests: list[re.Pattern[str] | str | None] = []
        self._after: list[list[int]] = []

    def add(self, test: re.Pattern[str] | str | None = None, *after: int) -> int:
        """One more state. Raises PatternError beyond the limit."""
        if len(self._tests) >= STATES_MAX:
            raise PatternError("the pattern repeats too much", 1, "write smaller numbers within {...}")
        self._tests.append(test)
        self._after.append(list(after))
        return len(self._tests) - 1

    def build(self, part: _Part, after: int) -> int:
        """The states of a part that leads to the state `after`: where it begins."""
        match part:
            case _Letter():
                return self.add(part.test, after)
            case _Row():
                for each in reversed(part.parts):
                    after = self.build(each, after)
                return after
            case _Either():
                return self.add(None, *(self.build(each, after) for each in part.branches))
            case _Times():
                return self._repeat(part, after)
            case _:
                assert_never(part)

    def _repeat(self, times: _Times, after: int) -> int:
        begin, left = after, times.least
        if times.most is None:  # the last copy leads back to itself
            loop = self.add(None, after)
            begin = self.build(times.part, loop)
            self._after[loop].append(begin)
            begin, left = (begin, left - 1) if left else (loop, 0)
        for _ in range((times.most or times.least) - times.least):
            begin = self.add(None, after, self.build(times.part, begin))
        for _ in range(left):
            begin = self.build(times.part, begin)
        return begin

    def taken(self, there: frozenset[int], letter: str) -> list[int]:
        """Where a character leads from these states."""
        tests = ((each, self._tests[each]) for each in there)
        take = [each for each, test in tests if isinstance(test, re.Pattern) and test.fullmatch(letter)]
        return [follower for each in take for follower in self._after[each]]

    def reach(self, begin: list[int], anchors: str) -> frozenset[int]:
        """These states and those to which they lead without a character, where these anchors hold."""
        found: set[int] = set()
        while begin:
            number = begin.pop()
            if number not in found:
                found.add(number)
                test = self._tests[number]
                if test is None or (isinstance(test, str) and test in anchors):
                    begin += self._after[number]
        return frozenset(found)


class _Reader:
    """Reads the text of a pattern, by recursive descent."""

    def __init__(self, text: str) -> None:
        folded = text.startswith(_FOLDED)
        self._text, self._at, self._depth = text, len(_FOLDED) if folded else 0, 0
        self._flags = re.DOTALL | re.IGNORECASE if folded else re.DOTALL

    def whole(self) -> _Part:
        """All of it. Raises PatternError."""
        found = self._either()
        if self._at < len(self._text):
            raise PatternError("a ) has no (", self._at + 1, "write \\) for the character itself")
        return found

    def _either(self) -> _Part:
        branches = [self._row()]
        while self._peek() == "|":
            self._at += 1
            branches.append(self._row())
        return _Either(tuple(branches))

    def _row(self) -> _Part:
        parts: list[_Part] = []
        while self._peek() not in ("", "|", ")"):
            part = self._one()
            repeat = _TOKEN.match(self._text, self._at)
            if repeat is not None and repeat["repeat"]:
                part = self._repeated(part, repeat)
            parts.append(part)
        return _Row(tuple(parts))

    def _repeated(self, part: _Part, repeat: re.Match[str]) -> _Part:
        if isinstance(part, _Letter) and isinstance(part.test, str):
            raise PatternError("^ and $ cannot be repeated", self._at + 1)
        self._at = repeat.end()
        more = _TOKEN.match(self._text, self._at)
        if more is not None and more["repeat"]:
            raise PatternError(f"{more['repeat']} follows another repeat", self._at + 1, "take one away")
        return _Times(part, *_times(repeat))

    def _one(self) -> _Part:
        column, token = self._at + 1, self._next()
        if token["group"]:
            return self._group(column)
        if token["anchor"]:
            return _Letter(token["anchor"])
        if token["escape"] and not _ESCAPES.fullmatch(token["escape"]):
            raise PatternError(f"{token['escape']} is not understood", column)
        if token["repeat"]:
            hint = f"write \\{token['repeat'][0]} for the character itself"
            raise PatternError(f"there is nothing that {token['repeat']} repeats", column, hint)
        if token["set"] and "--" in token["set"]:
            hint = "write \\- for the character itself"
            raise PatternError(f"{token['set']} has two - in a row", column, hint)
        try:
            return _Letter(re.compile(_plain_set(token[0]) if token["set"] else token[0], self._flags))
        except re.error as error:
            raise PatternError(f"{token[0]}: {error.msg}", column) from error

    def _group(self, column: int) -> _Part:
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise PatternError(f"groups nest deeper than {DEPTH_MAX}", column, "write it flatter")
        found = self._either()
        if self._peek() != ")":
            raise PatternError("a ( is not closed", column, "write \\( for the character itself")
        self._at += 1
        self._depth -= 1
        return found

    def _next(self) -> re.Match[str]:
        token = _TOKEN.match(self._text, self._at)
        if token is None:
            hint = f"write \\{self._text[self._at]} for the character itself"
            raise PatternError(f"{self._text[self._at]} is not closed", self._at + 1, hint)
        if token["kind"] not in (None, ":"):
            raise PatternError(f"(?{token['kind']} is not understood", self._at + 1)
        self._at = token.end()
        return token

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]


def _plain_set(text: str) -> str:
    """A set in which nothing is what later versions of `re` may read as an operation on sets."""
    return text[0] + re.sub(
        r"\\.|[\[&~|]", lambda found: found[0] if found[0][1:] else f"\\{found[0]}", text[1:]
    )


def _times(repeat: re.Match[str]) -> tuple[int, int | None]:
    """How often at least and at most; None is without end."""
    simple = {"*": (0, None), "+": (1, None), "?": (0, 1)}
    if repeat["repeat"] in simple:
        return simple[repeat["repeat"]]
    column = repeat.start() + 1
    least = int(repeat["least"] or 0)
    most = int(repeat["most"]) if repeat["most"] else None if repeat["comma"] else least
    if not repeat["least"] and not repeat["most"]:
        raise PatternError(f"{repeat[0]} has no number", column, "write it like {2} or {2,5}")
    if max(least, most or 0) > REPEATS_MAX or (most is not None and most < least):
        hint = f"write 0 to {REPEATS_MAX}, the least first"
        raise PatternError(f"{repeat[0]} is out of range", column, hint)
    return least, most


@lru_cache(PATTERNS_KEPT_MAX)
def compiled(text: str) -> Pattern:
    """A pattern, kept for the next time. Raises PatternError."""
    return Pattern(text)
