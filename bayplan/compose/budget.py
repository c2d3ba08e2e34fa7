"""What one load may take in all, over every file that it names: a bomb is one error, and quickly.

Each file that is read, each value and character that is put into the tree is counted here when it
arises; what a service takes over by `extends` counts again each time.
"""

from __future__ import annotations

from bayplan.compose.nodes import List, Map, Node, Override, Scalar
from bayplan.compose.report import LimitError, invalid

#: Most values of a load, each alias and each inherited value counted with all that it stands for.
NODES_MAX = 100_000
#: Most characters of all values together, aliases counted in full.
TEXT_CHARS_MAX = 2 * 1024 * 1024
#: Most compose files of a load, those given and those named by `include` and `extends`.
FILES_MAX = 256
#: Most bytes of all these files together.
FILES_BYTES_MAX = 8 * 1024 * 1024


class Budget:
    """The running totals of a load. Every method raises LimitError when a limit is passed."""

    def __init__(self) -> None:
        self.nodes = 0
        self._chars = 0
        self._files = 0
        self._bytes = 0

    def add_file(self, place: str, size_bytes: int) -> None:
        """Counts a compose file before it is parsed."""
        self._files += 1
        self._bytes += size_bytes
        if self._files > FILES_MAX:
            raise _limit(place, f"more than {FILES_MAX} compose files are put together")
        if self._bytes > FILES_BYTES_MAX:
            raise _limit(place, f"the compose files have more than {FILES_BYTES_MAX} bytes together")

    def add_nodes(self, path: str, line: int, nodes: int) -> None:
        """Counts values. Called for each one, so the place is put together only for the error."""
        self.nodes += nodes
        if self.nodes > NODES_MAX:
            what = "the file stands" if self._files <= 1 else "the files together stand"
            summary = f"{what} for more than {NODES_MAX} values, aliases counted in full"
            raise _limit(f"{path}:{line}", summary)

    def add_chars(self, node: Node, chars: int) -> None:
        """Counts characters of a value."""
        self._chars += chars
        if self._chars > TEXT_CHARS_MAX:
            what = "file" if self._files <= 1 else "files"
            summary = f"the values of the {what} are longer than {TEXT_CHARS_MAX} characters together"
            raise _limit(node.place, summary)

    def add_copy(self, node: Node, at: Node) -> None:
        """Counts a part of the tree that is taken over once more, at another node."""
        match node:
            case Scalar(text=text):
                self.add_nodes(at.path, at.line, 1)
                self.add_chars(at, len(text))
            case List(items=items):
                self.add_nodes(at.path, at.line, 1)
                for item in items:
                    self.add_copy(item, at)
            case Map(entries=entries):
                self.add_nodes(at.path, at.line, 1)
                for entry in entries.values():
                    self.add_copy(entry.value, at)
            case Override(value=value):
                self.add_copy(value, at)
            case _:
                pass


def _limit(place: str, summary: str) -> LimitError:
    hint = "put less into one stack, or use fewer aliases, includes and extends"
    return LimitError(*invalid(place, summary, hint=hint).problems)
