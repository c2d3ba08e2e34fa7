"""The nearest known name, for whoever was given one that is not known."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Iterable

#: Names beyond this length are not compared: it would take long, and nobody mistypes so much.
NAME_CHARS_MAX = 60
#: From this similarity on (0 to 1, difflib's ratio) a name is worth suggesting.
SIMILARITY_MIN = 0.6
#: Answers that are kept: who asks in vain often asks again at once, and comparing takes long.
ANSWERS_KEPT_MAX = 64


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name most like `name`; None when none is."""
    if len(name) > NAME_CHARS_MAX:
        return None
    return _nearest(name, tuple(sorted(set(known))))


@functools.lru_cache(maxsize=ANSWERS_KEPT_MAX)
def _nearest(name: str, known: tuple[str, ...]) -> str | None:
    return next(iter(difflib.get_close_matches(name, known, 1, SIMILARITY_MIN)), None)


def did_you_mean(name: str, known: Iterable[str], otherwise: str = "") -> str:
    """A hint that names the nearest known name, or the other hint when nothing is near."""
    near = nearest(name, known)
    return f"did you mean {near}?" if near else otherwise
