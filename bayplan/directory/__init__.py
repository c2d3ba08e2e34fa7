"""The directory: who answers for which service, as every surface shows it (gRPC, HTTP, DNS, Consul, xDS).

The controller makes it out of its state; each agent keeps a copy. Nothing here knows tasks or asks anybody.
"""

from bayplan.directory.directory import Directory, first_number
from bayplan.directory.entries import (
    EXTERNAL,
    Entry,
    Facade,
    Listing,
    ListingNews,
    News,
    Port,
    Published,
    Standing,
    key_of,
)
from bayplan.directory.source import ANSWER_LIFE_MS, Origin, Source

__all__ = [
    "ANSWER_LIFE_MS",
    "EXTERNAL",
    "Directory",
    "Entry",
    "Facade",
    "Listing",
    "ListingNews",
    "News",
    "Origin",
    "Port",
    "Published",
    "Source",
    "Standing",
    "first_number",
    "key_of",
]
