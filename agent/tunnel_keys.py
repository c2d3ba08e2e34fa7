"""The key pair by which other nodes send this one what is to be encrypted (WireGuard's, X25519).

The private key never leaves the node. A new pair is first announced, and used once the controller has heard
of it: until then the others encrypt to the old one. The keys of the traffic itself are WireGuard's matter,
which makes new ones every two minutes.
"""

from __future__ import annotations

import base64
import time
from contextlib import suppress
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from bayplan.files import make_secret_folder, write_whole

#: An agent that starts with an older pair announces a new one, in seconds: a week.
LIFE_S = 7 * 24 * 3600
_USED, _NEXT = "tunnel.key", "tunnel.key.next"


class TunnelKeys:
    """The pairs in the agent's folder. Raises OSError where it cannot be written."""

    def __init__(self, data_dir: Path) -> None:
        self._used, self._next = data_dir / _USED, data_dir / _NEXT
        make_secret_folder(data_dir)
        if not self._used.exists():
            write_whole(self._used, _fresh())
        elif not self._next.exists() and time.time() - self._used.stat().st_mtime > LIFE_S:
            write_whole(self._next, _fresh())

    def private(self) -> str:
        """The private key in use, as WireGuard writes it."""
        return self._used.read_text().strip()

    def announced(self) -> str:
        """The public key that the others shall use."""
        with suppress(FileNotFoundError):
            return _public(self._next.read_text())
        return _public(self._used.read_text())

    def heard(self) -> bool:
        """The controller has heard what was announced: it is in use from now on. Whether it is a new one."""
        with suppress(FileNotFoundError):
            self._next.replace(self._used)
            return True
        return False


def _fresh() -> bytes:
    return base64.b64encode(X25519PrivateKey.generate().private_bytes_raw()) + b"\n"


def _public(private: str) -> str:
    key = X25519PrivateKey.from_private_bytes(base64.b64decode(private))
    return base64.b64encode(key.public_key().public_bytes_raw()).decode()
