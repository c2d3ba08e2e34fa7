"""Sealing: what may be read only by who has the cluster's content key, besides the database.

AES-256-GCM (NIST SP 800-38D) with a fresh 96-bit nonce each time; a sealed value opens only under the
name it was sealed under, so that two cannot be swapped. Knows nothing of what it seals.
"""

from __future__ import annotations

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

#: Length of a key, in bytes.
KEY_BYTES = 32
_NONCE_BYTES = 12


class SealError(Exception):
    """The value was sealed with another key, under another name, or has been changed."""


class Seal:
    """Seals and opens values with one key."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def close(self, value: bytes, name: str) -> bytes:
        """The value, sealed under a name."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, value, name.encode())

    def open(self, sealed: bytes, name: str) -> bytes:
        """The value. Raises SealError."""
        try:
            return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], name.encode())
        except (InvalidTag, ValueError) as error:
            raise SealError(name) from error
