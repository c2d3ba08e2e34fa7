"""How the C library hands out memory to this process: so that what was free once is used again.

Python's own threads take turns anyway, and gRPC's allocate little: an arena for each of them only holds back
memory. What the columns need for a moment is given back at once. Knows nothing of who allocates.
"""

from __future__ import annotations

import ctypes

#: Arenas; glibc gives eight to each core.
ARENAS_MAX = 1
#: Blocks from this size on are mapped by themselves and unmapped when freed; and so much free memory at the
#: end of the heap is given back. glibc raises both to 32 MiB and more as large blocks are freed.
MAPPED_BYTES_MIN = 256 * 1024

#: Names of glibc's parameters: mallopt(3), malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8


def economise() -> None:
    """To be called before any thread is started. Does nothing where the C library is not glibc."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    mallopt(_ARENA_MAX, ARENAS_MAX)
    mallopt(_MMAP_THRESHOLD, MAPPED_BYTES_MIN)
    mallopt(_TRIM_THRESHOLD, MAPPED_BYTES_MIN)
