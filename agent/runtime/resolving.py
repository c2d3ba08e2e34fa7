"""The resolv.conf of each container that has our name server: a file of its own, which it may change.

<data dir>/resolv/<task id>          survives a reboot, like the container
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from pathlib import Path
from typing import Any

from agent.labels import RESOLV_CONF
from bayplan.files import write_whole

#: Everybody in the container reads it, whoever he is there.
_MODE = 0o644
_FOLDER_MODE = 0o755


class ResolverFiles:
    """The folder. All methods block."""

    def __init__(self, data_dir: Path) -> None:
        self._folder = data_dir / "resolv"

    def put(self, task_id: str, text: str) -> dict[str, Any]:
        """Make a task's file be there; gives its mount for the engine's create request. Raises OSError."""
        self._folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        path = self._folder / task_id
        write_whole(path, text.encode(), _MODE)
        return {"Type": "bind", "Source": str(path), "Target": RESOLV_CONF}

    def remove(self, task_id: str) -> None:
        """Make a task's file be gone."""
        with contextlib.suppress(OSError):
            (self._folder / task_id).unlink()

    def keep_only(self, task_ids: Collection[str]) -> None:
        """Remove the files of all others."""
        with contextlib.suppress(OSError):
            for entry in list(self._folder.iterdir()):
                # A file that is being written has its name between dots.
                if entry.name.lstrip(".").partition(".")[0] not in task_ids:
                    entry.unlink()
