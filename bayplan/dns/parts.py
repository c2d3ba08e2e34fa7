"""The words that may stand before a service's name, and which of its entries each of them asks for. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bayplan.directory import Entry, Listing

_WORDS = ("tasks", "local", "all")
_SLOT, _VERSION = re.compile(r"[1-9][0-9]{0,8}"), re.compile(r"v[1-9][0-9]{0,8}")


def is_part(word: str) -> bool:
    """Whether a word may ask for a part of a service."""
    return word in _WORDS or bool(_SLOT.fullmatch(word) or _VERSION.fullmatch(word))


def part(word: str, listing: Listing) -> Sequence[Entry] | None:
    """The entries of a service that `tasks`, `local`, `all`, a slot or a version before its name asks for;
    None where the service has no such part."""
    given = listing.given()
    if word in ("tasks", "local"):
        return given
    if word == "all":
        return listing.entries
    if _SLOT.fullmatch(word):
        slot = [each for each in listing.entries if each.slot == int(word)]
        # A cluster finds its members by these names before they are ready.
        return ([each for each in slot if each.given] or slot) if slot else None
    if _VERSION.fullmatch(word):
        version = int(word[1:])
        if any(each.version == version for each in listing.entries):
            return [each for each in given if each.version == version]
    return None
