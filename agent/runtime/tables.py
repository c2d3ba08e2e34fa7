"""Tables of nftables that are ours: their comment begins with our name. One of the same name without it is
somebody else's, and is never touched."""

from __future__ import annotations

import re
from collections.abc import Iterable

from agent.labels import TABLE_MARK
from agent.runtime.nft import Nft, NftError

_COMMENT = re.compile(r'^\s*comment "([^"]*)"', re.M)


def comment_of(nft: Nft, table: str) -> str | None:
    """What one of our tables is marked with; None: there is none. `table` is its family and name. Raises
    NftError where it is not ours."""
    if f"table {table}" not in nft.run("list tables").splitlines():
        return None
    found = _COMMENT.search(nft.run(f"list table {table}"))
    if found is None or not found[1].startswith(TABLE_MARK):
        raise NftError(
            f"a table {table} that is not bayplan's is in the way",
            f"see `nft list table {table}`, and rename or delete it",
        )
    return found[1]


def remove(nft: Nft, tables: Iterable[str]) -> None:
    """Take those of ours away, all or none; somebody else's stay. Raises NftError."""
    nft.run("".join(f"delete table {table}\n" for table in tables if _is_ours(nft, table)))


def _is_ours(nft: Nft, table: str) -> bool:
    try:
        return comment_of(nft, table) is not None
    except NftError:
        return False
