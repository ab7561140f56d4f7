"""Memory that is free between things that are not goes back to the system."""

import ctypes
import os
import subprocess
import sys

import numpy as np
import psutil
import pytest

from ved.cli.memory import give_back_memory

IS_GLIBC = sys.platform == "linux" and hasattr(ctypes.CDLL(None), "gnu_get_libc_version")
THREADS = """
import ctypes, threading
{first}
import pyarrow as pa
together = threading.Barrier(8)
def work():
    kept = [bytearray(1000 + n) for n in range(50)]
    together.wait()
threads = [threading.Thread(target=work) for _ in range(8)]
[one.start() for one in threads], [one.join() for one in threads]
library = ctypes.CDLL(None)
library.fopen.restype = ctypes.c_void_p
file = ctypes.c_void_p(library.fopen(b"/dev/stdout", b"w"))
library.malloc_info(0, file)
library.fclose(file)
print(pa.default_memory_pool().backend_name)
"""


def arenas(first: str) -> tuple[int, str]:
    """Of a process with eight threads at work: glibc's arenas, and Arrow's allocator."""
    environment = {name: value for name, value in os.environ.items() if "ARROW" not in name and "MALLOC" not in name}
    command = [sys.executable, "-c", THREADS.replace("{first}", first)]
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    return said.count("<heap nr="), said.split()[-1]


@pytest.mark.skipif(not IS_GLIBC, reason="this C library has no arenas")
def test_threads_share_few_arenas_and_arrow_has_no_allocator_of_its_own():
    assert arenas("")[0] > 2
    assert arenas("from ved.cli.memory import use_one_allocator; use_one_allocator()") == (2, "system")


@pytest.mark.skipif(not IS_GLIBC, reason="this C library keeps what it likes: no malloc_trim")
def test_what_is_free_between_things_that_are_not_goes_back():
    held = [np.ones(1000) for _ in range(16_000)]
    rest = held[::50]
    del held
    before = psutil.Process().memory_info().rss
    give_back_memory()
    assert before - psutil.Process().memory_info().rss > 60 << 20
    assert all(one.sum() == 1000 for one in rest)
