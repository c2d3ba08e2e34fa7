"""How many of other people's compose files are taken as they are: `python -m bench.compose DIR`.

Every file below DIR that has `services:` is loaded, with the variables it needs supplied. Then each key
of it is taken out, and given other values: if neither the stack nor the warnings ever change, the key was
dropped without a word. Where the docker CLI is at hand, `docker stack config` reads the same files beside.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import yaml
from rich.console import Console
from rich.table import Table

from bayplan.compose.images import Build
from bayplan.compose.nodes import Source
from bayplan.compose.pipeline import load
from bayplan.compose.project import FileStat, PathKind, ProjectFiles
from bayplan.compose.rim import Disk
from bayplan.errors import Problem, ProblemError
from bayplan.model import StackSpec
from bench.common import progress

#: Values for variables without a default, by what their names say; the first match counts.
SUPPLIED = (
    (r"PORT", "18080"), (r"REPLICAS|COUNT|WORKERS|SCALE", "1"), (r"MEM|SIZE", "512m"), (r"CPU", "1"),
    (r"TIMEOUT|INTERVAL|PERIOD", "10s"), (r"UID|GID|PUID|PGID", "1000"), (r"VERSION|TAG|RELEASE", "1"),
    (r"IMAGE", "example/image:1"), (r"DIR|PATH|ROOT|FOLDER|LOCATION|DATA|VOLUME", "./data"),
    (r"MAIL", "someone@example.org"), (r"URL", "http://example.org"), (r"IP$|^IP_|SUBNET", "10.0.0.1"),
    (r"HOST|DOMAIN|ADDR|SERVER", "example.org"), (r"^HOME$", "/root"),
)  # fmt: skip
#: Longest wait for `docker stack config`, in seconds.
DOCKER_S = 20.0
#: Files that are looked at; a larger folder is cut, and said to be.
FILES_MAX = 5_000

_VARIABLE = re.compile(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)(?![A-Za-z0-9_]*:?[-+])")
Path_ = tuple[str | int, ...]


class Supplying(Disk):
    """The disk, with an empty file wherever one is read that the folder lacks."""

    def kind(self, path: Path) -> PathKind:
        found = super().kind(path)
        return PathKind.FILE if found is PathKind.MISSING else found

    def read(self, path: Path, bytes_max: int) -> bytes:
        return super().read(path, bytes_max) if path.exists() else b""

    def stat(self, path: Path) -> FileStat:
        return super().stat(path) if path.exists() else FileStat(0, executable=False)


class Result(NamedTuple):
    """What became of a file. `silent` are keys that were dropped without a word; `lacking`: it names files
    that are not there, and was taken with empty ones.
    """

    path: Path
    problems: tuple[Problem, ...]
    lacking: bool
    warnings: int
    silent: tuple[str, ...]
    docker: str
    ms: float

    @property
    def accepted(self) -> bool:
        return not self.problems


def compose_files(folder: Path) -> list[Path]:
    """Every YAML file below the folder with a top-level `services:`."""
    found = [path for pattern in ("*.yml", "*.yaml") for path in folder.rglob(pattern) if path.is_file()]
    return [path for path in sorted(found) if re.search(rb"^services:", path.read_bytes(), re.MULTILINE)]


def supplied(text: str) -> dict[str, str]:
    """A value for each variable that the text uses without a default of its own."""
    return {
        name: next((value for pattern, value in SUPPLIED if re.search(pattern, name)), "value")
        for name in _VARIABLE.findall(text)
    }


class Outcome(NamedTuple):
    """A load: a stack and warnings without their places, or problems."""

    stack: StackSpec | None
    builds: tuple[Build, ...]
    warnings: frozenset[str]
    problems: tuple[Problem, ...]


def outcome(text: bytes, path: Path, project: ProjectFiles | None = None) -> Outcome:
    """Loads a text as if it stood at `path`; images that would be built count as named."""
    variables = {"HOME": "/root", **supplied(text.decode(errors="replace"))}
    folder = path.parent.absolute()
    files = [*_bases(text, path), Source(str(path), text)]
    try:
        loaded = load(
            "bench", files, variables, folder,
            project=project or Disk(folder), build=True, profiles=("*",),
        )  # fmt: skip
    except ProblemError as error:
        return Outcome(None, (), frozenset(), error.problems)
    warnings = frozenset(re.sub(r"^\S+:\d+: ", "", warning) for warning in loaded.warnings)
    return Outcome(_placeless(loaded.stack), loaded.builds, warnings, ())


def _bases(text: bytes, path: Path) -> list[Source]:
    """What a file that only changes others is merged onto: `compose.yml` of `compose.dev.yml`."""
    if re.search(rb"^\s+(image|build|extends):|[{,] *(image|build|extends):|^include:", text, re.MULTILINE):
        return []
    base = path.with_name(f"{path.name.split('.')[0]}{path.suffix}")
    return [Source(str(base), base.read_bytes())] if base != path and base.is_file() else []


def _placeless(stack: StackSpec) -> StackSpec:
    replace = msgspec.structs.replace
    services = tuple(replace(service, places={}) for service in stack.services)
    return replace(stack, services=services, files=tuple(replace(file, place="") for file in stack.files))


def silent_keys(text: bytes, path: Path) -> Iterator[str]:
    """Keys whose value makes no difference: neither its removal nor any other value that is accepted.

    A value that is the default anyway is told from a dropped one by the other values.
    """
    tree = yaml.safe_load(text)
    whole = outcome(_dump(tree), path)
    for keys, value in _leaves(tree):
        # Not the user's own keys; not the version, which means nothing; and every profile is enabled here.
        if keys == ("version",) or keys[-1] == "profiles" or any(str(key).startswith("x-") for key in keys):
            continue
        if outcome(_dump(_without(tree, keys)), path) != whole:
            continue
        others = (_with(tree, keys, other) for other in _others(value))
        if not any(_differs(outcome(_dump(each), path), whole) for each in others):
            yield ".".join(map(str, keys))


def _differs(other: Outcome, whole: Outcome) -> bool:
    return other.stack is not None and other != whole


def _others(value: Any) -> tuple[Any, ...]:
    """Values of which one should be accepted and mean something else."""
    words = (
        "another", "no", "on-failure", "host", "global", "replicated-job", "dnsrr", "start-first", "rollback",
        "none", "local", "service_healthy", "udp", "tcp", "7s", "64m", "/another", "node.role", "0.25",
        "rprivate", "always",
    )  # fmt: skip
    return (not value if isinstance(value, bool) else True, False, 7, 8080, *words, ["another"], {"A": "b"})


def _leaves(node: Any, above: Path_ = ()) -> Iterator[tuple[Path_, Any]]:
    """Every key that has no keys below it, with its value."""
    for key, value in node.items() if isinstance(node, dict) else ():
        if isinstance(value, dict) and value:
            yield from _leaves(value, (*above, key))
        else:
            yield (*above, key), value


def _without(tree: Any, keys: Path_) -> Any:
    changed = copy.deepcopy(tree)
    del _parent(changed, keys)[keys[-1]]
    return changed


def _with(tree: Any, keys: Path_, value: Any) -> Any:
    changed = copy.deepcopy(tree)
    _parent(changed, keys)[keys[-1]] = value
    return changed


def _parent(tree: Any, keys: Path_) -> Any:
    for key in keys[:-1]:
        tree = tree[key]
    return tree


class _Dumper(yaml.SafeDumper):
    """Without aliases, so that taking a key out of one place leaves the others as they are."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _dump(tree: Any) -> bytes:
    return yaml.dump(tree, Dumper=_Dumper, sort_keys=False).encode()


def docker_says(path: Path) -> str:
    """`yes`, or the first line of the reason, or `-` where there is no docker CLI that can tell."""
    if shutil.which("docker") is None:
        return "-"
    environment = {"PATH": os.environ["PATH"], "HOME": "/root", **supplied(path.read_text(errors="replace"))}
    done = subprocess.run(
        ["docker", "stack", "config", "-c", str(path)],
        capture_output=True, text=True, env=environment, timeout=DOCKER_S, check=False,
    )  # fmt: skip
    if "unknown command" in done.stderr or "is not a docker command" in done.stderr:
        return "-"
    return "yes" if done.returncode == 0 else (done.stderr.strip().splitlines() or ["refused"])[0]


def examine(path: Path, keys: bool) -> Result:
    text = path.read_bytes()
    began = time.process_time()
    found = outcome(text, path)
    ms = (time.process_time() - began) * 1000
    lacking = bool(found.problems) and all("does not exist" in each.summary for each in found.problems)
    if lacking:
        found = outcome(text, path, Supplying(path.parent.absolute()))
    silent = tuple(silent_keys(text, path)) if keys and found.stack is not None and not lacking else ()
    return Result(path, found.problems, lacking, len(found.warnings), silent, docker_says(path), ms)


def report(results: list[Result], folder: Path) -> dict[str, Any]:
    """Prints the table and the shares; returns them."""
    table = Table(
        "file", "bayplan", "warnings", "dropped", "docker stack config", "ms", title="bench.compose"
    )
    for each in results:
        yes = "yes, with empty files for those it lacks" if each.lacking else "yes"
        ours = yes if each.accepted else each.problems[0].summary
        dropped = ", ".join(each.silent) or "-"
        name = str(each.path.relative_to(folder))
        table.add_row(name, ours, str(each.warnings), dropped, each.docker, f"{each.ms:.1f}")
    console = Console(width=160)
    console.print(table)
    accepted = [each for each in results if each.accepted]
    shares = {
        "files": len(results),
        "accepted_percent": round(100 * len(accepted) / len(results), 1),
        "no_key_dropped_percent": round(
            100 * sum(not each.silent for each in accepted) / max(1, len(accepted)), 1
        ),
        "docker_accepted_percent": round(
            100 * sum(each.docker == "yes" for each in results) / len(results), 1
        ),
    }
    for name, value in shares.items():
        print(f"{name.replace('_', ' ')}: {value}")
    for each in results:
        for problem in each.problems:
            print("\n".join(problem.lines()))
    return shares


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="a folder of compose files")
    parser.add_argument("--no-keys", action="store_true", help="do not take each key out in turn (faster)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to FILE")
    wanted = parser.parse_args()
    files = compose_files(wanted.folder)
    if not files:
        sys.exit(
            f"error: no compose file below {wanted.folder}\nhint: a compose file has a top-level `services:`"
        )
    if len(files) > FILES_MAX:
        progress(f"{len(files)} files; only the first {FILES_MAX} are looked at")
    results = []
    for number, path in enumerate(files[:FILES_MAX], 1):
        progress(f"{number}/{len(files)} {path}")
        results.append(examine(path, keys=not wanted.no_keys))
    shares = report(results, wanted.folder)
    if wanted.json is not None:
        wanted.json.write_text(json.dumps(shares, indent=1))


if __name__ == "__main__":
    main()
