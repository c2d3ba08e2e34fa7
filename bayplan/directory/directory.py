"""All listings by stack and service, with what changed when: whoever has seen an index is told the rest."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

from bayplan.directory.entries import Entry, Listing, ListingNews, News, key_of

#: Services that are gone, and entries of a service that are gone, whose going is remembered. Whoever saw
#: only what was before the oldest of them is told everything, or the listing as a whole.
SERVICES_GONE_MAX, ENTRIES_GONE_MAX = 10_000, 256
#: Indexes, and revisions of listings, that one epoch of the controller may give.
NUMBERS_PER_EPOCH = 1_000_000_000


def first_number(epoch: int) -> int:
    """The first index, or revision, that may be given in an epoch (>= 1): beyond all of those before."""
    return (epoch - 1) * NUMBERS_PER_EPOCH + 1


class _Kept:
    """A listing with the indexes at which its parts changed."""

    __slots__ = ("at", "changed", "entries", "gone", "listing", "whole_before")

    def __init__(self, listing: Listing, index: int) -> None:
        self.listing, self.at = listing, index
        self.entries = {each.id: each for each in listing.entries}
        self.changed = dict.fromkeys(self.entries, index)
        self.gone: OrderedDict[str, int] = OrderedDict()
        #: Who has not seen this index gets the listing as a whole.
        self.whole_before = index

    def put(self, listing: Listing, index: int) -> None:
        now = {each.id: each for each in listing.entries}
        for entry_id in self.entries.keys() - now.keys():
            del self.changed[entry_id]
            self.gone[entry_id] = index
        for entry_id, entry in now.items():
            if self.entries.get(entry_id) != entry:
                self.changed[entry_id] = index
                self.gone.pop(entry_id, None)
        while len(self.gone) > ENTRIES_GONE_MAX:
            self.whole_before = max(self.whole_before, self.gone.popitem(last=False)[1])
        self.listing, self.at, self.entries = listing, index, now

    def since(self, index: int) -> ListingNews:
        whole = index < self.whole_before
        listing = self.listing
        return ListingNews(
            stack=listing.stack,
            service=listing.service,
            revision=listing.revision,
            put=listing.entries
            if whole
            else tuple([each for each in listing.entries if self.changed[each.id] > index]),
            gone=() if whole else tuple([entry_id for entry_id, at in self.gone.items() if at > index]),
            tags=listing.tags,
            protected=listing.protected,
            canary=listing.canary,
            facade=listing.facade,
            whole=whole,
        )


class Directory:
    """All listings. `index` grows with each change of any of them and never goes back."""

    def __init__(self, begin: int = 0) -> None:
        """`begin`: who saw an earlier index saw another directory, and is told everything."""
        self.index = begin
        #: In the order of their last changes.
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._gone: OrderedDict[str, int] = OrderedDict()
        self._whole_before = begin
        self._stacks: dict[str, set[str]] = {}

    def put(self, listing: Listing, index: int) -> None:
        """A listing is new or has changed, as of an index. Raises ValueError for one that is in the past."""
        self.advance(index)
        key = listing.key
        kept = self._kept.get(key)
        if kept is None:
            self._kept[key] = _Kept(listing, index)
            self._stacks.setdefault(listing.stack, set()).add(listing.service)
            self._gone.pop(key, None)
        else:
            kept.put(listing, index)
            self._kept.move_to_end(key)

    def drop(self, stack: str, service: str, index: int) -> None:
        """A service is no more, as of an index. Raises ValueError for one that is in the past."""
        self.advance(index)
        key = key_of(stack, service)
        if self._kept.pop(key, None) is None:
            return
        services = self._stacks[stack]
        services.discard(service)
        if not services:
            del self._stacks[stack]
        self._gone[key] = index
        while len(self._gone) > SERVICES_GONE_MAX:
            self._whole_before = self._gone.popitem(last=False)[1]

    def advance(self, index: int) -> None:
        """This is how things are as of an index. Raises ValueError for one that is in the past."""
        if index < self.index:
            raise ValueError(f"index {index} comes after {self.index}")
        self.index = index

    # --- for those who ask ---

    def get(self, stack: str, service: str) -> Listing | None:
        """The listing of a service."""
        kept = self._kept.get(key_of(stack, service))
        return kept.listing if kept else None

    @property
    def nodes(self) -> tuple[Entry, ...]:
        """The cluster's nodes, with their addresses: the entries of the one listing without a name."""
        listing = self.get("", "")
        return listing.entries if listing else ()

    def services(self, stack: str) -> list[str]:
        """The short names of a stack's services, sorted; empty for one that is not known."""
        return sorted(self._stacks.get(stack, ()))

    def stacks(self) -> list[str]:
        """The names of all stacks, sorted."""
        return sorted(stack for stack in self._stacks if stack)

    def changed_at(self, stack: str, service: str) -> int:
        """The index of a service's last change; 0 for one that never was, or left long ago."""
        key = key_of(stack, service)
        kept = self._kept.get(key)
        return kept.at if kept else self._gone.get(key, 0)

    def __iter__(self) -> Iterator[Listing]:
        """All listings of services, by stack and service."""
        found = [kept.listing for kept in self._kept.values() if kept.listing.stack]
        return iter(sorted(found, key=lambda each: (each.stack, each.service)))

    def __len__(self) -> int:
        return len(self._kept) - ("" in self._stacks)

    def changed_since(self, index: int) -> list[str] | None:
        """The keys of what has changed or gone after an index; None when that is not known any more."""
        if not self._whole_before <= index <= self.index:
            return None
        found: list[str] = []
        for key, kept in reversed(self._kept.items()):
            if kept.at <= index:
                break
            found.append(key)
        return found + [key for key, at in self._gone.items() if at > index]

    # --- for copies ---

    def since(self, index: int) -> News:
        """What a copy with this index lacks: by its size, not by the directory's. 0, or an index that this
        directory has not reached, gives everything."""
        if not self._whole_before <= index <= self.index or not index:
            listings = tuple([kept.since(0) for kept in self._kept.values()])
            return News(index=self.index, listings=listings, whole=True)
        changed: list[ListingNews] = []
        for kept in reversed(self._kept.values()):
            if kept.at <= index:
                break
            changed.append(kept.since(index))
        dropped = tuple([key for key, at in self._gone.items() if at > index])
        return News(index=self.index, listings=tuple(changed), dropped=dropped)

    def apply(self, news: News) -> list[str]:
        """Take over what another directory has told; gives the keys of what changed. Raises ValueError for
        news that are in the past, unless they are whole."""
        goes_back = news.whole and news.index < self.index
        if goes_back:
            self.index = 0
        keys = list(news.dropped)
        if news.whole:
            told = {key_of(each.stack, each.service) for each in news.listings}
            keys += [key for key in self._kept if key not in told]
        for key in keys:
            service, _, stack = key.rpartition(".")
            self.drop(stack, service, news.index)
        for each in news.listings:
            listing = self._merged(each)
            # Whole news tell what is known, too; of an index that has gone back all is new.
            if goes_back or listing != self.get(each.stack, each.service):
                self.put(listing, news.index)
                keys.append(listing.key)
        self.advance(news.index)
        return keys

    def _merged(self, news: ListingNews) -> Listing:
        kept = self._kept.get(key_of(news.stack, news.service))
        entries: dict[str, Entry] = {} if news.whole or kept is None else dict(kept.entries)
        for entry_id in news.gone:
            entries.pop(entry_id, None)
        entries.update((each.id, each) for each in news.put)
        return Listing.of(
            news.stack,
            news.service,
            news.revision,
            entries.values(),
            news.tags,
            protected=news.protected,
            canary=news.canary,
            facade=news.facade,
        )
