"""The two clocks that web reads."""

import time


def monotonic_us() -> int:
    """Microseconds of the clock of `Arrival.mono_us`."""
    return time.monotonic_ns() // 1000


def utc_us() -> int:
    """Microseconds since 1970."""
    return time.time_ns() // 1000
