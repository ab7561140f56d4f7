"""Memory of a process that runs for days: one allocator for all, and what is free in it goes back to the system.

glibc's arenas, eight to a core, and Arrow's own allocator, for each of its threads, keep apart what they have free:
after 2,100 commits and their merges 99 MB are resident, with two arenas for all 54 (benchmarks/bench_record_memory.py).
"""

import asyncio
import ctypes
import os
import sys
from typing import Any, Final, NoReturn

_LIBRARY: Final = ctypes.CDLL(None) if sys.platform == "linux" else None
_M_ARENA_MAX: Final = -8
_ARENAS: Final = 2
_EVERY_S: Final = 30.0


def use_one_allocator() -> None:
    """Few arenas of the C library, where it is glibc, and the same for Arrow; before threads and Arrow's import."""
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    if (mallopt := _of_glibc("mallopt")) is not None:
        mallopt(_M_ARENA_MAX, _ARENAS)


def give_back_memory() -> None:
    """Let the C library, where it is glibc, return what it holds free, of all threads."""
    if (trim := _of_glibc("malloc_trim")) is not None:
        trim(0)


async def keep_giving_back() -> NoReturn:
    """Give memory back for ever, twice a minute."""
    while True:
        await asyncio.sleep(_EVERY_S)
        await asyncio.to_thread(give_back_memory)


def _of_glibc(name: str) -> Any:
    """A function of the C library; None where that is not glibc."""
    return getattr(_LIBRARY, name) if hasattr(_LIBRARY, "gnu_get_libc_version") else None
