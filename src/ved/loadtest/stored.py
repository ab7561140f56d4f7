"""What the lake has of a drive: counted in its files, and let go of afterwards."""

import time
from collections.abc import Iterable
from typing import Final

import numpy as np

from ved.lake.lake import Lake, ReorganisedError
from ved.loadtest.plan import LakeCount

STALL_S: Final = 30.0
POLL_S: Final = 0.25
FORGET_S: Final = 30.0


def count_in_lake(lake_url: str, epoch: bytes, wanted: int, vehicles: Iterable[str], ended_s: float) -> LakeCount:
    """Wait until the lake has `wanted` frames of these vehicles' epochs, or nothing moves for STALL_S; then count rows.

    `ended_s` is the monotonic time at which the drive ended.
    """
    lake, names = Lake(lake_url), list(vehicles)
    moved_s, last = time.monotonic(), -1
    while True:
        lake.refresh()
        there = sum(lake.intervals(name, epoch).count() for name in names)
        now_s = time.monotonic()
        if there != last:
            moved_s, last = now_s, there
        if there >= wanted or now_s - moved_s > STALL_S:
            break
        time.sleep(POLL_S)
    rows = distinct = 0
    for name in names:
        found = _seqs(lake, name, epoch)
        rows += len(found)
        distinct += len(np.unique(found))
    return LakeCount(rows, wanted - distinct, rows - distinct, now_s - ended_s)


def _seqs(lake: Lake, vehicle: str, epoch: bytes) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    for _ in range(5):
        try:
            parts = [rows.seq for rows in lake.parts(vehicle, epoch)]
        except ReorganisedError:
            lake.refresh()  # files were merged meanwhile
        else:
            return np.concatenate(parts) if parts else np.zeros(0, np.int64)
    return np.zeros(0, np.int64)


def forget(lake_url: str, vehicles: Iterable[str]) -> int:
    """Take all rows of these vehicles out of the lake; how many. The files go with record's next tidying up."""
    lake, names, taken = Lake(lake_url), set(vehicles), 0
    until_s = time.monotonic() + FORGET_S
    for table in (lake.frame_rows, lake.samples):
        while doomed := [entry for entry in table.files() if entry.vehicle in names]:
            taken += sum(entry.rows for entry in doomed)
            table.forget(doomed)
            table.refresh()
            if time.monotonic() > until_s:
                break
    return taken
