"""Disk and clock of this machine."""

import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from ved.cli.doctor.finding import Finding, ok, problem, warning
from ved.model.records import ClockSource

LEAST_FREE_BYTES: Final = 1 << 30
SLOW_SYNC_S: Final = 0.1
_SYNCS: Final = 8
_SYNC_BYTES: Final = 64 << 10


def not_ours(folder: Path) -> Finding | None:
    """A folder of another user: nothing in it can be judged."""
    if os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        return None
    return problem("folder", f"{folder}: belongs to somebody else", "run this as the user who runs ved")


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
    shown = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(time.time_ns() // 1_000_000_000))
    if sys.platform != "linux":
        return ok("clock", f"{shown}; whether something steers it is not looked at on this system")
    from ved.canbus.hostclock import host_pair

    pair = host_pair(0)
    if pair is None:
        return problem("clock", f"{shown}: never set", advice)
    if pair.source != ClockSource.NTP:
        return warning("clock", f"{shown}, not synchronised", advice)
    return ok("clock", f"{shown}, synchronised; off by about {pair.error_us / 1000:.1f} ms")
