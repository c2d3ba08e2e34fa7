"""Bytes -> compose -> what an agent would ask of its engine: nothing but the typed errors may leave.

    python -m tests.fuzz.compose [SECONDS]

Coverage-guided (atheris); the dictionary is the schema's own keys, the seeds are beside this file. An
input that raises anything else is printed and kept.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["bayplan.compose", "bayplan.units", "agent.decide"]):
    from agent.decide.container import create_config
    from agent.decide.templates import SpecError
    from bayplan.compose import schema
    from bayplan.compose.nodes import Source
    from bayplan.compose.pipeline import load
    from bayplan.compose.project import Sent

from agent.events import NodeRef
from bayplan.errors import ProblemError
from bayplan.model import Assignment, Desired, ServiceSpec, StackSpec

#: How long to look when nothing else is said, in seconds.
SECONDS = 60
#: Largest input in bytes: enough for every key, small enough for thousands of runs a second.
INPUT_BYTES_MAX = 4_096
#: One input may take so long, in seconds, and all of it so much memory, in MiB.
INPUT_S, MEMORY_MIB = 10, 2_048

SEEDS = Path(__file__).parent / "seeds"
FOLDER = Path("/project")
BESIDE = Sent(
    {
        FOLDER / ".env": b"A=1\n",
        FOLDER / "web.env": b"B=2\nC='3'\n",
        FOLDER / "conf/app.conf": b"listen 80\n",
        FOLDER / "base.yml": b"services:\n  base: {image: a, environment: {X: 1}}\n",
    }
)
VARIABLES = {"TAG": "1", "PORT": "8080", "EMPTY": ""}
NODE = NodeRef(node_id="n1", cluster_id="c1")


def one(data: bytes) -> None:
    """One input."""
    try:
        stack = _load(data)
    except ProblemError:
        return
    for number, service in enumerate(stack.services, 1):
        _render(service, number)


def _load(data: bytes) -> StackSpec:
    source = Source("compose.yaml", data)
    loaded = load("fuzz", [source], VARIABLES, FOLDER, project=BESIDE, profiles=("*",), build=True)
    return loaded.stack


def _render(service: ServiceSpec, number: int) -> None:
    assignment = Assignment(
        task_id=f"t{number}", service=f"fuzz_{service.name}", stack="fuzz", slot=1, version=1,
        desired=Desired.RUN, spec_id="s/1",
    )  # fmt: skip
    try:
        create_config(NODE, assignment, service.container)
    except SpecError:
        return


def dictionary() -> str:
    """The schema's keys as libFuzzer wants them."""
    keys = {key for table in schema.TABLES.values() for key in table}
    return (
        "\n".join(f'"{key}: "' for key in sorted(keys))
        + '\n"\\x0a  "\n"${"\n"!reset"\n"!override"\n"<<: *"\n'
    )


def main() -> None:
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else SECONDS
    for seed in SEEDS.glob("*.yml"):
        _load(seed.read_bytes())  # a seed that is refused would teach nothing
    with tempfile.TemporaryDirectory(prefix="bayplan-fuzz-") as folder:
        words = Path(folder, "words")
        words.write_text(dictionary())
        found = Path(folder, "found")
        found.mkdir()
        flags = (
            f"-max_total_time={seconds}", f"-max_len={INPUT_BYTES_MAX}", f"-timeout={INPUT_S}",
            f"-rss_limit_mb={MEMORY_MIB}", f"-dict={words}", "-artifact_prefix=fuzz-",
            "-verbosity=0", "-print_final_stats=1",
        )  # fmt: skip
        atheris.Setup([sys.argv[0], *flags, str(found), str(SEEDS)], one)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
