"""What the C library keeps of memory that a role has freed: much, after work that needs a lot for a moment.

The supervisor starts each role with one allocator for all, and with few arenas of it; this gives back
what is free there.
"""

import asyncio
import ctypes
import sys
from typing import Final, NoReturn

_EVERY_S: Final = 30.0


def give_back_memory() -> None:
    """Let the C library, where it is glibc, return what it holds free, of all threads."""
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:
        trim(0)


async def keep_giving_back() -> NoReturn:
    """Give memory back for ever, twice a minute."""
    while True:
        await asyncio.sleep(_EVERY_S)
        await asyncio.to_thread(give_back_memory)
