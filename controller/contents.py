"""Contents of configs and secrets, and which of them no record refers to any more.

Counts references as records come and go, in whatever order they do. Knows nothing of sealing, nor of
what is done with a content that nobody uses.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from controller.records import FileContent


class Contents:
    """Contents of configs and secrets by digest, and how many records refer to each."""

    def __init__(self) -> None:
        self._by_digest: dict[str, FileContent] = {}
        self._references: Counter[str] = Counter()
        self._unused: set[str] = set()
        self.size_bytes = 0

    def __contains__(self, digest: str) -> bool:
        return digest in self._by_digest

    def get(self, digest: str) -> bytes | None:
        """A content, if it is here."""
        record = self._by_digest.get(digest)
        return record.content if record else None

    def put(self, record: FileContent) -> None:
        """Keep a content."""
        self.drop(record.digest)
        self._by_digest[record.digest] = record
        self.size_bytes += len(record.content)
        self._judge(record.digest)

    def drop(self, digest: str) -> None:
        """Forget a content."""
        record = self._by_digest.pop(digest, None)
        self.size_bytes -= len(record.content) if record else 0
        self._judge(digest)

    def refer(self, digests: Iterable[str], count: int) -> None:
        """So many more (or fewer) records refer to each of these."""
        for digest in digests:
            self._references[digest] += count
            self._judge(digest)

    def unused(self) -> list[FileContent]:
        """Contents to which no record refers."""
        return [self._by_digest[digest] for digest in sorted(self._unused)]

    def records(self) -> Iterator[FileContent]:
        """All of them."""
        yield from self._by_digest.values()

    def _judge(self, digest: str) -> None:
        if self._references[digest] <= 0:
            del self._references[digest]
        used = digest in self._references or digest not in self._by_digest
        (self._unused.discard if used else self._unused.add)(digest)
