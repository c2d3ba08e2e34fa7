"""Compose text that came with a message, loaded in a process of its own: `python -m bayplan.compose.child`.

Reads one Job on standard input and writes one Outcome on standard output, both msgpack. It first takes
from itself what it does not need, so that a hostile text costs its sender's answer and nothing else.
Neither the machine's files nor its environment reach the text.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path, PurePosixPath

import msgspec

from bayplan.compose.nodes import Source
from bayplan.compose.pipeline import Loaded, load
from bayplan.compose.project import Sent
from bayplan.compose.report import invalid
from bayplan.errors import Problem, ProblemError
from bayplan.model import Model

#: The project folder of text that has none: only a name, nothing is looked up there.
FOLDER = Path("/project")

#: The exit code that says so; the limit of CPU time ends the process by a signal.
OUT_OF_MEMORY = 3


class Limits(Model, frozen=True, kw_only=True):
    """What the process may use: seconds of CPU time, bytes of address space."""

    cpu_s: int = 2
    memory_bytes: int = 512 * 1024 * 1024


class Job(Model, frozen=True, kw_only=True):
    """What `load` takes. Paths are relative to the project folder."""

    stack: str
    compose_files: tuple[tuple[str, bytes], ...]
    files: dict[str, bytes] = {}
    environment: dict[str, str] = {}
    profiles: tuple[str, ...] = ()
    limits: Limits = Limits()


class Outcome(Model, frozen=True, kw_only=True):
    """What `load` gave: a stack, or problems."""

    loaded: Loaded | None = None
    problems: tuple[Problem, ...] = ()


def restrict(limits: Limits) -> None:
    """Takes time, memory, new files and new processes from this process, for good."""
    resource.setrlimit(resource.RLIMIT_CPU, (limits.cpu_s, limits.cpu_s))
    resource.setrlimit(resource.RLIMIT_AS, (limits.memory_bytes, limits.memory_bytes))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def run(job: Job) -> Outcome:
    """Loads the job's text."""
    try:
        files = {_inside(path): content for path, content in job.files.items()}
        sources = [Source(path, content) for path, content in job.compose_files]
        for source in sources:
            files[_inside(source.path)] = source.text
        loaded = load(
            job.stack, sources, job.environment, FOLDER, project=Sent(files), profiles=job.profiles,
            looked_for="only the variables that came with the request count",
        )  # fmt: skip
    except ProblemError as error:
        return Outcome(problems=error.problems)
    return Outcome(loaded=loaded)


def _inside(path: str) -> Path:
    """The path in the project folder. Raises ProblemError when it leads out of it."""
    parts = PurePosixPath(path)
    if parts.is_absolute() or ".." in parts.parts or "\0" in path:
        hint = "give each file a path relative to the project folder, without `..`"
        raise invalid(path, "the file's path leads out of the project folder", hint=hint)
    return FOLDER / parts


def main() -> None:
    job = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Job)
    try:
        restrict(job.limits)
        sys.stdout.buffer.write(msgspec.msgpack.encode(run(job)))
    except MemoryError:
        sys.exit(OUT_OF_MEMORY)


if __name__ == "__main__":
    main()
