"""The one form of an error for people: cause, place, what was nearest, the way out, the next command."""

from __future__ import annotations

from enum import StrEnum

from bayplan.model import Model


class ProblemKind(StrEnum):
    INVALID = "invalid"
    NOT_FOUND = "not_found"
    REFUSED = "refused"
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    UNAUTHORISED = "unauthorised"
    UNPLACEABLE = "unplaceable"


#: Exit codes of the command line, by kind (docs/cli.md).
EXIT_CODES: dict[ProblemKind, int] = {
    ProblemKind.INVALID: 125,
    ProblemKind.NOT_FOUND: 1,
    ProblemKind.REFUSED: 1,
    ProblemKind.TIMEOUT: 3,
    ProblemKind.UNREACHABLE: 4,
    ProblemKind.UNAUTHORISED: 4,
    ProblemKind.UNPLACEABLE: 5,
}


class Problem(Model, frozen=True, kw_only=True):
    """What went wrong, as a value. `place` is file:line in the user's files."""

    kind: ProblemKind
    summary: str
    details: tuple[str, ...] = ()
    hint: str = ""
    why: str = ""
    place: str = ""

    @property
    def exit_code(self) -> int:
        """The exit code of a command that ends with this problem."""
        return EXIT_CODES[self.kind]

    def lines(self) -> list[str]:
        """The problem as it is printed, without colour."""
        head = f"{self.place}: {self.summary}" if self.place else self.summary
        return [
            f"error: {head}",
            *(f"  {line}" for line in self.details),
            *([f"hint: {self.hint}"] if self.hint else []),
            *([f"why:  {self.why}"] if self.why else []),
        ]


class ProblemError(Exception):
    """Carries one or several problems up to whoever speaks with the user."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__("; ".join(problem.summary for problem in problems))
        self.problems = problems

    @property
    def problem(self) -> Problem:
        """The first problem: it gives the exit code."""
        return self.problems[0]


def refuse(
    kind: ProblemKind, summary: str, *details: str, hint: str = "", why: str = "", place: str = ""
) -> ProblemError:
    """A ProblemError with one problem, to be raised."""
    return ProblemError(Problem(kind=kind, summary=summary, details=details, hint=hint, why=why, place=place))
