"""What the C library keeps of memory that a role has freed: much, after work that needs a lot for a moment.

The supervisor starts each role with few arenas (FEW_ARENAS there); this gives back what those hold free.
"""

import asyncio
import ctypes
import sys
from typing import Final, NoReturn

import pyarrow as pa

_EVERY_S: Final = 30.0


def give_back_memory() -> None:
    """Let Arrow and, where it is glibc, the C library return what they hold free, of all threads."""
    pa.default_memory_pool().release_unused()
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:
        trim(0)


async def keep_giving_back() -> NoReturn:
    """Give memory back for ever, twice a minute."""
    while True:
        await asyncio.sleep(_EVERY_S)
        await asyncio.to_thread(give_back_memory)
