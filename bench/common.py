"""What the benches share: flags, the table, its JSON file and (`python -m bench.common FILE`) Markdown."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Options:
    """`quick` is a smaller run, of a minute or a few; `json` is where the figures go besides the table."""

    quick: bool
    json: Path | None


def options(description: str) -> Options:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="a smaller run, a minute or a few")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to FILE")
    given = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("error: this bench makes network namespaces and engines\nhint: run it as root")
    return Options(given.quick, given.json)


def progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def publish(name: str, rows: Sequence[dict[str, Any]], wanted: Options) -> None:
    """Prints the rows as a table (columns are the keys) and writes them to the JSON file."""
    table = Table(title=f"bench.{name}")
    for column in rows[0]:
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(*(f"{v:.2f}" if isinstance(v, float) else str(v) for v in row.values()))
    Console(width=120).print(table)
    if wanted.json is not None:
        machine = {"cores": os.cpu_count(), "kernel": platform.release(), "python": platform.python_version()}
        wanted.json.write_text(json.dumps({"bench": name, "machine": machine, "rows": list(rows)}, indent=1))


def markdown(file: Path) -> str:
    """The table of a page of the docs, from a file that `--json` wrote."""
    rows = json.loads(file.read_text())["rows"]
    lines = [
        list(rows[0]),
        ["---", *["---:"] * (len(rows[0]) - 1)],
        *([str(v) for v in r.values()] for r in rows),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    print(markdown(Path(sys.argv[1])))
