"""What the system's allocator keeps of memory that is free: much, after work that needs a lot for a moment."""

import ctypes
import sys

import pyarrow as pa


def give_back_memory() -> None:
    """Let Arrow and, where it is glibc, the C library return what they hold free, of all threads."""
    pa.default_memory_pool().release_unused()
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:
        trim(0)
