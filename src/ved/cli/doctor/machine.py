"""Disk and clock of this machine."""

import ctypes
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from ved.cli.doctor.finding import Finding, ok, problem, warning

LEAST_FREE_BYTES: Final = 1 << 30
SLOW_SYNC_S: Final = 0.1
OLDEST_UTC_S: Final = 1_735_689_600.0
"""1 January 2025: a clock before it was never set."""

_SYNCS: Final = 8
_SYNC_BYTES: Final = 64 << 10
_UNSYNCED: Final = 0x40
"""STA_UNSYNC of adjtimex(2)."""
_ERROR: Final = 5
"""TIME_ERROR, which adjtimex(2) returns where nothing steers the clock."""


def disk(folder: Path, grows_bytes: int) -> list[Finding]:
    """Room for `grows_bytes` more, and how long the disk takes to make a write durable."""
    try:
        free = shutil.disk_usage(folder).free
        sync_s = _sync_s(folder)
    except OSError as error:
        return [problem("disk", f"{folder}: cannot be written ({error.strerror})", "give it to the user who runs ved")]
    shown = f"{folder}: {free / 1e9:,.1f} GB free"
    if free < LEAST_FREE_BYTES:
        found = problem("disk", shown, "free some space: at zero nothing more is acknowledged as stored")
    elif free < grows_bytes:
        advice = f"the journal may grow by {grows_bytes / 1e9:,.1f} GB: free some space, or set journal_gib lower"
        found = warning("disk", shown, advice)
    else:
        found = ok("disk", shown)
    text = f"{sync_s * 1000:.0f} ms until a write is durable"
    if sync_s > SLOW_SYNC_S:
        advice = "acknowledgements come that late: use an SSD or a better card, and no network folder"
        return [found, warning("fsync", text, advice)]
    return [found, ok("fsync", text)]


def _sync_s(folder: Path) -> float:
    """The median time of one write with fsync."""
    taken = []
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".ved-doctor-") as file:
        block = os.urandom(_SYNC_BYTES)
        for _ in range(_SYNCS):
            began_s = time.monotonic()
            file.write(block)
            file.flush()
            os.fsync(file.fileno())
            taken.append(time.monotonic() - began_s)
    return statistics.median(taken)


def clock(advice: str) -> Finding:
    """Whether the clock was ever set, and whether something steers it. `advice`: what to do when nothing does."""
    now_s = time.time()
    shown = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now_s))
    if now_s < OLDEST_UTC_S:
        return problem("clock", f"{shown}: never set", advice)
    error_s = _clock_error_s()
    if error_s is None:
        return ok("clock", f"{shown}; this system does not tell whether it is steered")
    if error_s < 0:
        return warning("clock", f"{shown}, not synchronised", advice)
    return ok("clock", f"{shown}, synchronised; off by {error_s * 1000:.0f} ms at most")


class _Timex(ctypes.Structure):
    """struct timex of adjtimex(2) as far as it is read; the rest is room for what the kernel writes."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 256),
    )


def _clock_error_s() -> float | None:
    """What the kernel believes that the clock is off at most; -1 where nothing steers it, None where it is silent."""
    if sys.platform != "linux":
        return None
    timex = _Timex()  # modes 0: only asks
    state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(timex))
    if state < 0:
        return None
    return -1.0 if state == _ERROR or timex.status & _UNSYNCED else float(timex.maxerror) / 1e6
