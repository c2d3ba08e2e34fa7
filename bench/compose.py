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

import yaml
from rich.console import Console
from rich.table import Table

from bayplan.errors import Problem
from bench.common import progress
from bench.compose_load import Circumstances, Yaml, best, outcome

#: Longest wait for `docker stack config`, in seconds.
DOCKER_S = 20.0
#: Files that are looked at; a larger folder is cut, and said to be.
FILES_MAX = 5_000

Path_ = tuple[str | int, ...]


class Result(NamedTuple):
    """What became of a file. `silent` are keys that were dropped without a word; `of_profiles` what is
    wrong with the profiles that it was taken without.
    """

    path: Path
    problems: tuple[Problem, ...]
    of_profiles: tuple[Problem, ...]
    given: Circumstances
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


def silent_keys(text: bytes, given: Circumstances) -> Iterator[str]:
    """Keys whose value makes no difference: neither its removal nor any other value that is accepted.

    A value that is the default anyway is told from a dropped one by the other values, for which the keys
    beside it or files that are not there may be in the way.
    """
    tree = yaml.load(text, Yaml)
    for keys, value in _leaves(tree):
        # Not the user's own keys; not the version, which means nothing; and every profile is enabled here.
        if keys == ("version",) or keys[-1] == "profiles" or any(str(key).startswith("x-") for key in keys):
            continue
        if value not in ({}, []) and not any(
            _matters(around, keys, circumstances)
            for around, circumstances in (
                (tree, given),
                (_alone(tree, keys), given),
                (tree, given._replace(lacking=True)),
            )
        ):
            yield ".".join(map(str, keys))


def _matters(tree: Any, keys: Path_, given: Circumstances) -> bool:
    """Whether a key makes a difference, or is told to make none, it or what it is part of."""
    whole = outcome(_dump(tree), given)
    if not whole.stacks:
        return False
    if outcome(_dump(_without(tree, keys)), given) != whole:
        return True
    for length in range(1, len(keys)):
        other = outcome(_dump(_without(tree, keys[:length])), given)
        if other.stacks == whole.stacks and other.warnings != whole.warnings:
            return True
    others = (outcome(_dump(_with(tree, keys, other)), given) for other in _others())
    return any(other.stacks and other != whole for other in others)


def _alone(tree: Any, keys: Path_) -> Any:
    """The tree without the keys beside one."""
    changed = copy.deepcopy(tree)
    beside = _parent(changed, keys)
    for key in [key for key in beside if key != keys[-1]]:
        del beside[key]
    return changed


def _others() -> tuple[Any, ...]:
    """Values of which one should be accepted and mean something else."""
    words = (
        "another", "no", "on-failure", "host", "global", "replicated-job", "dnsrr", "start-first", "rollback",
        "none", "local", "service_healthy", "udp", "tcp", "7s", "64m", "/another", "node.role", "0.25",
        "rprivate", "always", "true", "false",
    )  # fmt: skip
    return (7, 8080, *words, ["another"], {"A": "b"})


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


def docker_says(given: Circumstances) -> str:
    """`yes`, or the first line of the reason, or `-` where there is no docker CLI that can tell."""
    if shutil.which("docker") is None:
        return "-"
    environment = {"PATH": os.environ["PATH"], **given.variables}
    done = subprocess.run(
        ["docker", "stack", "config", "-c", str(given.path)],
        capture_output=True, text=True, env=environment, timeout=DOCKER_S, check=False,
    )  # fmt: skip
    if "unknown command" in done.stderr or "is not a docker command" in done.stderr:
        return "-"
    return "yes" if done.returncode == 0 else (done.stderr.strip().splitlines() or ["refused"])[0]


def examine(path: Path, keys: bool) -> Result:
    text = path.read_bytes()
    given, found = best(text, path)
    began = time.process_time()
    outcome(text, given)
    ms = (time.process_time() - began) * 1000
    silent = tuple(silent_keys(text, given)) if keys and found.stacks else ()
    of_profiles = tuple(
        problem
        for name in given.refused
        for problem in outcome(text, given._replace(profiles=((name,),))).problems
    )
    warnings = len(found.warnings)
    return Result(path, found.problems, of_profiles, given, warnings, silent, docker_says(given), ms)


def _accepted(given: Circumstances) -> str:
    """How a file was taken that has no errors."""
    how = [
        *(["with small files for those it lacks"] if given.lacking else []),
        *([f"over {given.base.name}"] if given.base else []),
        *(["profile by profile"] if len(given.profiles) > 1 else []),
        *([f"but not with the profile {', '.join(given.refused)}"] if given.refused else []),
    ]
    return ", ".join(["yes", *how])


def report(results: list[Result], folder: Path) -> dict[str, Any]:
    """Prints the table and the shares; returns them."""
    table = Table(
        "file", "bayplan", "warnings", "dropped", "docker stack config", "ms", title="bench.compose"
    )
    for each in results:
        ours = _accepted(each.given) if each.accepted else each.problems[0].summary
        dropped = ", ".join(each.silent) or "-"
        name = str(each.path.relative_to(folder))
        table.add_row(name, ours, str(each.warnings), dropped, each.docker, f"{each.ms:.1f}")
    console = Console(width=160)
    console.print(table)
    accepted = [each for each in results if each.accepted]
    shares = {
        "files": len(results),
        "accepted_percent": _percent(accepted, results),
        "accepted_with_every_profile_percent": _percent(
            [each for each in accepted if not each.of_profiles], results
        ),
        "no_key_dropped_percent": _percent([each for each in accepted if not each.silent], accepted),
        "docker_accepted_percent": _percent([each for each in results if each.docker == "yes"], results),
    }
    for name, value in shares.items():
        print(f"{name.replace('_', ' ')}: {value}")
    for each in results:
        for problem in (*each.problems, *each.of_profiles):
            print("\n".join(problem.lines()))
    return shares


def _percent(part: list[Result], whole: list[Result]) -> float:
    return round(100 * len(part) / max(1, len(whole)), 1)


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
