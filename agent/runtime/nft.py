"""nftables by libnftables: a text of commands is one transaction, all of it or none. Knows no rules.

A change takes a few milliseconds this way and twenty more as a program of its own.
"""

from __future__ import annotations

import asyncio
import ctypes
import threading
from typing import Any

#: The library of nftables 0.9 and newer.
LIBRARY = "libnftables.so.1"
#: Characters of the library's words that are passed on.
WORDS_CHARS_MAX = 2_000

_HINT = f"install {LIBRARY}: `apt-get install libnftables1`, `dnf install nftables`"


class NftError(Exception):
    """What nftables refused, in its own words. `hint` is the way out, where one is known."""

    def __init__(self, words: str, hint: str = "") -> None:
        super().__init__(words)
        self.words, self.hint = words, hint


class NftMissingError(NftError):
    """This machine has no libnftables."""


class Nft:
    """One handle on this network namespace's rules: it is that of the thread that makes the handle.

    Calls come one after the other, whichever thread they come from.
    """

    def __init__(self) -> None:
        """Raises NftMissingError; NftError without the rights, or where the kernel has no nftables."""
        self._lock = threading.Lock()
        self._library = _load()
        self._context: Any = self._library.nft_ctx_new(0)
        if not self._context:
            raise NftError("libnftables gives no handle", "the agent must run as root")
        self._library.nft_ctx_buffer_output(self._context)
        self._library.nft_ctx_buffer_error(self._context)

    def run(self, text: str) -> str:
        """Run commands, as `nft -f` does, and return what they print. Raises NftError: nothing was done."""
        with self._lock:
            if self._context is None:
                raise NftError("the handle is closed")
            failed = self._library.nft_run_cmd_from_buffer(self._context, text.encode())
            words = _text(self._library.nft_ctx_get_error_buffer(self._context))
            printed = _text(self._library.nft_ctx_get_output_buffer(self._context))
        if failed:
            raise NftError(words.strip()[:WORDS_CHARS_MAX] or "nftables refused without a word")
        return printed

    async def apply(self, text: str) -> str:
        """`run` in a thread."""
        return await asyncio.to_thread(self.run, text)

    def close(self) -> None:
        """Give the handle back. Closing twice does nothing."""
        with self._lock:
            if self._context is not None:
                self._library.nft_ctx_free(self._context)
                self._context = None


def _text(given: bytes | None) -> str:
    return (given or b"").decode(errors="replace")


def _load() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(LIBRARY)
        _declare(library)
    except (OSError, AttributeError) as error:
        raise NftMissingError(f"{LIBRARY} cannot be loaded: {error}", _HINT) from error
    return library


def _declare(library: ctypes.CDLL) -> None:
    """See libnftables(3). Raises AttributeError for a library that is another one."""
    context = ctypes.c_void_p
    library.nft_ctx_new.restype, library.nft_ctx_new.argtypes = context, [ctypes.c_uint32]
    library.nft_ctx_free.restype, library.nft_ctx_free.argtypes = None, [context]
    library.nft_run_cmd_from_buffer.argtypes = [context, ctypes.c_char_p]
    for name in ("nft_ctx_get_output_buffer", "nft_ctx_get_error_buffer"):
        getattr(library, name).restype = ctypes.c_char_p
        getattr(library, name).argtypes = [context]
    for name in ("nft_ctx_buffer_output", "nft_ctx_buffer_error"):
        getattr(library, name).argtypes = [context]
