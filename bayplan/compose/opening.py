"""Opens the compose files and env files of one load, each once, within the project folder and the budget.

Gives trees with the variables put in and paths that start in the project folder. What the files say to
each other (merge, include, extends) is not known here.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from bayplan.compose.budget import Budget
from bayplan.compose.dotenv import ENV_FILE_BYTES_MAX, parse_env
from bayplan.compose.interpolate import Variables, interpolate
from bayplan.compose.nodes import Map, Scalar, Source, describe
from bayplan.compose.parse import SOURCE_BYTES_MAX, parse
from bayplan.compose.project import PathKind, ProjectFiles, locate
from bayplan.compose.rebase import rebased
from bayplan.compose.report import Report, invalid, shown


class Scope(NamedTuple):
    """What counts for the files of one model: where their relative paths start, and their variables.

    `trail` has the files that led here by `include`, the outermost first.
    """

    folder: Path
    variables: Variables
    trail: tuple[Path, ...] = ()


class Opening:
    """The files of one load. `folder` is the project folder, `shown_folder` how places show it.

    `marked` says whether a file so far had `!reset` or `!override`.
    """

    def __init__(self, project: ProjectFiles, folder: Path, shown_folder: str, report: Report) -> None:
        self.report = report
        self.budget = Budget()
        self.marked = False
        self._project = project
        self._folder = folder
        self._shown_folder = shown_folder

    def parsed(self, source: Source) -> Map:
        """The file's mapping without the keys that are the user's own (`x-`). Raises ProblemError."""
        self.budget.add_file(source.path, len(source.text))
        tree, marked = parse(source, self.report, self.budget)
        self.marked |= marked
        if not isinstance(tree, Map):
            problem = f"a compose file is a mapping, not {describe(tree)}"
            raise invalid(tree.place, problem, hint="begin it with `services:`")
        entries = {name: entry for name, entry in tree.entries.items() if not name.startswith("x-")}
        return Map(tree.path, tree.line, entries)

    def filled(self, tree: Map, scope: Scope) -> Map:
        """The file with its variables put in and its paths relative to the project folder."""
        tree = interpolate(tree, scope.variables, self.report, self.budget)
        return rebased(tree, posixpath.relpath(scope.folder, self._folder))

    def locate(self, written: Scalar, base: Path, what: str) -> Path:
        """The absolute path of what a file names. Raises ProblemError if it is outside the project."""
        _check_local(written, what)
        return locate(self._folder, base, written.text, what, written.place)

    def source(self, path: Path, written: Scalar, what: str) -> Source:
        """A compose file that another one names. Raises ProblemError if it cannot be read."""
        return self._read(path, written, what, SOURCE_BYTES_MAX)

    def env_file(
        self, path: Path, written: Scalar, environment: Mapping[str, str], earlier: Mapping[str, str]
    ) -> dict[str, str]:
        """The variables of an env file that `include` names. Raises ProblemError if it cannot be read."""
        source = self._read(path, written, "the env file", ENV_FILE_BYTES_MAX)
        return self._variables(source, environment, earlier)

    def env_file_beside(self, folder: Path, environment: Mapping[str, str]) -> dict[str, str] | None:
        """The variables of `.env` in a folder; None when there is no such file."""
        path = folder / ".env"
        if self._project.kind(path) is not PathKind.FILE:
            return None
        shown_path = self.shown(path)
        at = Scalar(shown_path, 1, shown_path)
        return self._variables(self._read(path, at, "the env file", ENV_FILE_BYTES_MAX), environment, {})

    def shown(self, path: Path) -> str:
        """A path as places show it."""
        return posixpath.normpath(posixpath.join(self._shown_folder, posixpath.relpath(path, self._folder)))

    def path_of(self, tree: Map) -> Path:
        """The absolute path of a file by its shown one."""
        return Path(
            posixpath.normpath(self._folder / posixpath.relpath(tree.path, self._shown_folder or "."))
        )

    def _read(self, path: Path, written: Scalar, what: str, bytes_max: int) -> Source:
        try:
            return Source(self.shown(path), self._project.read(path, bytes_max))
        except OSError as error:
            reason = error.strerror or str(error)
            problem = f"{what} {shown(written.text)} cannot be read: {reason}"
            hint = "the path starts in the folder of the file that names it"
            raise invalid(written.place, problem, f"it was looked for at {path}", hint=hint) from error

    def _variables(
        self, source: Source, environment: Mapping[str, str], earlier: Mapping[str, str]
    ) -> dict[str, str]:
        values = parse_env(source, environment, self.report, earlier)
        return {name: value for name, value in values.items() if value is not None}


def _check_local(written: Scalar, what: str) -> None:
    if "://" in written.text or written.text.startswith(("git@", "oci:")):
        hint = "fetch it, and name the file in the project folder"
        raise invalid(written.place, f"{what} {shown(written.text)} is not on this machine", hint=hint)
