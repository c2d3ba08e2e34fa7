"""Which of a node's named goods become a task's own. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from bayplan.model import Good


def chosen(wanted: Mapping[str, int], there: Iterable[Good], taken: Collection[Good]) -> tuple[Good, ...]:
    """So many of each kind that is wanted, of those that are there and not taken, the first by name.

    Kinds without names on the node give none: they are only counted. Fewer than wanted are given where no
    more are free, which the scheduler has made sure does not happen.
    """
    free: dict[str, list[Good]] = {}
    for good in sorted(set(there) - set(taken), key=lambda good: (good.kind, good.name)):
        if good.kind in wanted:
            free.setdefault(good.kind, []).append(good)
    return tuple(good for kind, goods in free.items() for good in goods[: wanted[kind]])
