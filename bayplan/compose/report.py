"""Collects what is wrong with the user's files, so that several errors are reported together.

Errors are ProblemErrors from the moment they arise; `collect` takes them in and lets the reading go on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from bayplan.errors import Problem, ProblemError, ProblemKind
from bayplan.render.printable import printable

#: Errors shown at once; the user mends the first ones first.
PROBLEMS_MAX = 20
#: Warnings shown; a file that has more is told so.
WARNINGS_MAX = 200
#: Most subjects of one warning that are kept.
SUBJECTS_MAX = 1_000
#: Most names in one warning; the others are counted.
NAMES_MAX = 12
#: Longest text repeated in an error, and longest name for which a nearest one is sought, in characters.
SHOWN_CHARS_MAX = 60


class FormError(ValueError):
    """Text that has not the form it should have, with a hint on the good form."""

    def __init__(self, problem: str, hint: str = "") -> None:
        super().__init__(problem)
        self.hint = hint


class LimitError(ProblemError):
    """A limit of the whole load was passed: nothing more is read, so no collector keeps it."""


class _Warned(NamedTuple):
    """Where something is warned of first, and of what it is true."""

    place: str
    subjects: dict[str, None]

    def line(self, text: str) -> str:
        first, *others = self.subjects
        if not first:
            return f"{self.place}: {text}"
        key = f".{first.rpartition('.')[2]}"
        names = [each.removesuffix(key).removeprefix("services.") for each in others]
        also = f" (the same: {listed(names)})" if names else ""
        return f"{self.place}: {first} {text}{also}"


class Report:
    """The problems and warnings of one load, each once, in the order in which they were found."""

    def __init__(self) -> None:
        self._problems: dict[Problem, None] = {}
        self._warnings: dict[tuple[str, str], _Warned] = {}

    @property
    def warnings(self) -> tuple[str, ...]:
        """The warnings, each beginning with its file:line. One of several subjects has the first's."""
        warnings = tuple(warned.line(text) for (text, _), warned in self._warnings.items())
        return (
            warnings if len(warnings) <= WARNINGS_MAX else (*warnings[:WARNINGS_MAX], "and further warnings")
        )

    def add(self, error: ProblemError) -> None:
        """Keeps an error's problems, as long as there is room."""
        if not self.full:
            self._problems.update(dict.fromkeys(error.problems))

    def warn(self, place: str, text: str, subject: str = "") -> None:
        """Keeps a warning, as long as there is room.

        What is said of several subjects (`services.web.tmpfs`) is one warning, which begins with the first.
        """
        key = text, "" if subject else place
        if key in self._warnings or len(self._warnings) <= WARNINGS_MAX:
            warned = self._warnings.setdefault(key, _Warned(place, {}))
            if len(warned.subjects) < SUBJECTS_MAX:
                warned.subjects[subject] = None

    def collect(self) -> _Collector:
        """A context that keeps the problems of an error that is raised inside, and ends the block there."""
        return _Collector(self)

    @property
    def full(self) -> bool:
        """Whether there is no room for further problems."""
        return len(self._problems) > PROBLEMS_MAX

    def finish(self) -> None:
        """Raises a ProblemError with all problems, in the order of the file, if there are any."""
        problems = sorted(self._problems, key=_file_and_line)
        if len(problems) > PROBLEMS_MAX:
            problems[PROBLEMS_MAX:] = [Problem(kind=ProblemKind.INVALID, summary="and further errors")]
        if problems:
            raise ProblemError(*problems)


class _Collector:
    """Entered for every field of a file: a class, since a generator would cost three times as much."""

    __slots__ = ("_report",)

    def __init__(self, report: Report) -> None:
        self._report = report

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        if isinstance(error, ProblemError) and not isinstance(error, LimitError):
            self._report.add(error)
            return True
        return False


def _file_and_line(problem: Problem) -> tuple[str, int]:
    path, _, line = problem.place.rpartition(":")
    return (path, int(line)) if line.isdecimal() else (problem.place, 0)


def invalid(place: str, summary: str, *details: str, hint: str = "") -> ProblemError:
    """The error of a file: what is wrong, where, and the way out. Details may name paths as they are."""
    safe = tuple(printable(each) for each in details)
    return ProblemError(
        Problem(kind=ProblemKind.INVALID, summary=summary, details=safe, hint=hint, place=place)
    )


def shown(text: str) -> str:
    """A text of the user's in quotes, on one line and cut to SHOWN_CHARS_MAX."""
    return repr(text if len(text) <= SHOWN_CHARS_MAX else text[:SHOWN_CHARS_MAX] + "...")


def listed(names: Sequence[str]) -> str:
    """Names, at most NAMES_MAX of them."""
    more = f" and {len(names) - NAMES_MAX} more" if len(names) > NAMES_MAX else ""
    return ", ".join(names[:NAMES_MAX]) + more
