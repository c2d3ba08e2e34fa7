"""Endpoints that are leaving, and who watches endpoints and says what it uses. In memory only.

Watchers are known by the service's full name, which outlives the service; nothing here knows tasks or
decides how long anything is waited for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

#: Watchers of one service that are waited for; further ones watch all the same.
WATCHERS_PER_SERVICE_MAX = 100
#: Watchers of all services that are waited for.
WATCHERS_MAX = 10_000


class Leaving(NamedTuple):
    """A task that shall stop and still serves: until when at most (monotonic ms), and the first revision
    of the registry that does not offer it any more (0: not shown yet)."""

    until_ms: int
    revision: int = 0


@dataclass
class Watcher:
    """How many streams a watcher has open, and the newest revision of which it uses nothing older."""

    streams: int = 0
    revision: int = 0


class Watchers:
    """Those who acknowledge what they are shown, by service and by their own names."""

    def __init__(self) -> None:
        self._by_service: dict[str, dict[str, Watcher]] = {}
        self._count = 0
        #: No copy of the directory offers anything that is older than this revision; None: there is no copy.
        self.followed: int | None = None

    def came(self, service: str, name: str) -> None:
        """A stream began. Whoever comes back has to acknowledge anew."""
        mine = self._by_service.setdefault(service, {})
        if name not in mine and len(mine) < WATCHERS_PER_SERVICE_MAX and self._count < WATCHERS_MAX:
            mine[name] = Watcher()
            self._count += 1
        if name in mine:
            mine[name] = Watcher(mine[name].streams + 1)
        elif not mine:
            del self._by_service[service]

    def acknowledged(self, service: str, name: str, revision: int) -> None:
        """A watcher uses nothing that is older than a revision."""
        watcher = self._by_service.get(service, {}).get(name)
        if watcher is not None:
            watcher.revision = max(watcher.revision, revision)

    def left(self, service: str, name: str) -> None:
        """A stream ended; a watcher without any is not waited for."""
        mine = self._by_service.get(service, {})
        if name not in mine:
            return
        mine[name].streams -= 1
        if mine[name].streams <= 0:
            del mine[name]
            self._count -= 1
        if not mine:
            del self._by_service[service]

    def revision(self, service: str) -> int | None:
        """The revision that all watchers of a service have acknowledged; None when there are none."""
        mine = self._by_service.get(service)
        return min(watcher.revision for watcher in mine.values()) if mine else None
