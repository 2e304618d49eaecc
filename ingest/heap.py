"""This process's memory: what a transaction's arrays leave is kept for the next, and rarely searched for cycles.

Arrays of a few hundred kB come and go hundreds of times a second. As glibc has it from the start each would be mapped
anew, which costs the kernel more (every page is cleared) than the work upon it.
"""

import contextlib
import ctypes
import gc

KEPT_BYTES = 256 * 2**20
"""What stays free at the end of the heap before it is given back."""
MAPPED_BYTES = 32 * 2**20
"""Only what is larger is mapped by itself; glibc allows no more."""
OBJECTS = 20_000
"""New objects before the youngest are searched for cycles; batches leave none."""
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # mallopt(3)


def prepare() -> None:
    """Set the allocator, where it is glibc's, and the garbage collector."""
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, MAPPED_BYTES)
        mallopt(_M_TRIM_THRESHOLD, KEPT_BYTES)
    gc.collect()
    gc.freeze()
    gc.set_threshold(OBJECTS, 10, 10)
