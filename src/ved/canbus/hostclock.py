"""What this machine's clock says, and whether it has been set by the network or a GPS."""

import ctypes
import time
from typing import Final

from ved.model.clockmap import OLDEST_UTC_US, ClockPair
from ved.model.records import ClockSource

_STA_UNSYNC: Final = 0x0040
_HOST_ERROR_US: Final = 1_000


class _Timex(ctypes.Structure):
    """`struct timex` of adjtimex(2): its beginning, and more room than it needs."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("frequency", ctypes.c_long),
        ("max_error_us", ctypes.c_long),
        ("estimated_error_us", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_char * 256),
    )


_libc: Final = ctypes.CDLL(None, use_errno=True)


def host_pair(origin_mono_ns: int) -> ClockPair | None:
    """The pair of now, `t_us` from the origin: from NTP where the kernel says that its clock is kept, else the host's.

    None when the clock was never set: it would mislead.
    """
    before_ns = time.monotonic_ns()
    utc_us = time.time_ns() // 1000
    after_ns = time.monotonic_ns()
    if utc_us < OLDEST_UTC_US:
        return None
    t_us = ((before_ns + after_ns) // 2 - origin_mono_ns) // 1000
    timex = _Timex()  # modes 0: only looks
    if _libc.adjtimex(ctypes.byref(timex)) < 0 or timex.status & _STA_UNSYNC:
        return ClockPair(t_us, utc_us, ClockSource.HOST, _HOST_ERROR_US)
    return ClockPair(t_us, utc_us, ClockSource.NTP, max(int(timex.estimated_error_us), 1))
