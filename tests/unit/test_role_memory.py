"""Memory that is free between things that are not goes back to the system."""

import ctypes
import sys

import numpy as np
import psutil
import pytest

from ved.cli.rolememory import give_back_memory

HAS_TRIM = sys.platform == "linux" and hasattr(ctypes.CDLL(None), "malloc_trim")


@pytest.mark.skipif(not HAS_TRIM, reason="this C library keeps what it likes: no malloc_trim")
def test_what_is_free_between_things_that_are_not_goes_back():
    held = [np.ones(1000) for _ in range(16_000)]
    rest = held[::50]
    del held
    before = psutil.Process().memory_info().rss
    give_back_memory()
    assert before - psutil.Process().memory_info().rss > 60 << 20
    assert all(one.sum() == 1000 for one in rest)
