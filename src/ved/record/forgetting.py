"""Letting go of old data: what record knows of each epoch, and the commits that take the doomed ones out."""

import logging
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Final

from ved.db.database import Database
from ved.db.epochs import list_epochs, vehicle_clocks
from ved.db.notes import list_notes
from ved.db.sessions import list_sessions
from ved.lake.lake import Lake
from ved.lake.log import EpochKey, FileEntry
from ved.lake.retention import Retention, StoredEpoch, plan_forgetting
from ved.model.clockmap import ClockMap

KEEP_TAG: Final = "keep"
"""Sessions with this tag are never let go of."""

_log = logging.getLogger(__name__)


def forget(lake: Lake, db: Database, retention: Retention, is_quiet: Callable[[EpochKey], bool]) -> int:
    """Take out what the retention does not keep; how many epochs.

    Whole epochs alone; never one that still grows, or belongs to an open session or one tagged `keep`. Their seqs stay
    known, so that what comes again is not taken in again.
    """
    lake.refresh()
    now_us = time.time_ns() // 1000
    found = list_stored(lake, db, is_quiet)
    doomed = plan_forgetting([epoch for epoch, _ in found], retention, now_us)
    for epoch, files in found:
        if epoch in doomed:
            rows = lake.samples if epoch.table == "samples" else lake.frame_rows
            rows.forget(files)
            _log.warning("lake: %s of epoch %s of %s let go of", epoch.table, epoch.key[1].hex(), epoch.key[0])
    return len(doomed)


def list_stored(
    lake: Lake, db: Database, is_quiet: Callable[[EpochKey], bool]
) -> list[tuple[StoredEpoch, list[FileEntry]]]:
    """Every epoch of both tables with its files."""
    protected = _protected(db)
    out = []
    arrivals: dict[EpochKey, int] = {}
    clocks: dict[EpochKey, ClockMap] = {}
    for table, rows in (("frames", lake.frame_rows), ("samples", lake.samples)):
        by_key: defaultdict[EpochKey, list[FileEntry]] = defaultdict(list)
        for entry in rows.files():
            by_key[entry.key].append(entry)
        for vehicle in {vehicle for vehicle, _ in by_key}:
            arrivals.update(((vehicle, one.epoch), one.first_arrival_utc_us) for one in list_epochs(db, vehicle))
            pairs = vehicle_clocks(db, vehicle)
            clocks.update(((vehicle, epoch), ClockMap.best(found)) for epoch, found in pairs.items())
        for key, files in by_key.items():
            newest = arrivals.get(key, 0)
            if key in clocks:
                newest = max(newest, max(one.t_max_us for one in files) + clocks[key].offset_us)
            size = sum(one.size_bytes for one in files)
            is_protected = key in protected or key not in arrivals or not is_quiet(key)
            out.append((StoredEpoch(table, key, size, newest, is_protected), files))
    return out


def _protected(db: Database) -> set[EpochKey]:
    notes = list_notes(db)
    return {
        (session.vehicle, part.epoch)
        for session in list_sessions(db)
        if session.is_open or (session.id in notes and KEEP_TAG in notes[session.id].tags)
        for part in session.parts
    }
