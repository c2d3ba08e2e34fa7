"""The cluster's content key: a file beside the store, from which the keys for contents are derived.

One key seals contents in the store, the other makes their digests. A copy of the database alone gives
neither contents nor a way to guess them.
"""

from __future__ import annotations

import secrets
from pathlib import Path

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from bayplan.errors import ProblemKind, refuse
from bayplan.files import SECRET_MODE, write_whole
from controller.store.seal import KEY_BYTES

#: Its name in the data directory.
CONTENT_KEY_FILE = "content.key"


class ContentKey:
    """The key, and those that are derived from it (HKDF, RFC 5869)."""

    def __init__(self, master: bytes) -> None:
        self._master = master
        self.sealing = _derived(master, b"bayplan seal of contents")
        self.digests = _derived(master, b"bayplan digests of contents")

    @classmethod
    def make(cls) -> ContentKey:
        """A new one."""
        return cls(secrets.token_bytes(KEY_BYTES))

    @classmethod
    def load(cls, data_dir: Path) -> ContentKey | None:
        """The one in the data directory; None when there is none yet. Raises ProblemError."""
        path = data_dir / CONTENT_KEY_FILE
        try:
            master = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise refuse(
                ProblemKind.REFUSED, f"{path} cannot be read: {error.strerror}", hint="are you root?"
            ) from error
        if len(master) != KEY_BYTES:
            raise refuse(
                ProblemKind.INVALID,
                f"{path} is no key of {KEY_BYTES} bytes",
                hint="put its backup in its place",
            )
        return cls(master)

    def save(self, data_dir: Path) -> None:
        """Write it, for its owner alone. Raises OSError."""
        write_whole(data_dir / CONTENT_KEY_FILE, self._master, SECRET_MODE)


def _derived(master: bytes, purpose: bytes) -> bytes:
    return HKDF(SHA256(), KEY_BYTES, None, purpose).derive(master)
