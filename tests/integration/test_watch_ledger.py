"""The gap ledger as watch keeps it in the database, over restarts and late data."""

import asyncio
from pathlib import Path

import numpy as np
import pytest

from ved.analysis.ledger import MISSING, SECOND_US
from ved.broker.open import open_journal
from ved.codec.records import encode_record
from ved.db.database import Database
from ved.db.ledger import list_ledger_epochs, read_ledger
from ved.model.frames import FrameBatch, FrameColumns
from ved.model.records import Arrival, Lane, Loss, LossPlace, Record
from ved.watch.role import run_watch
from ved.watch.settings import WatchSettings

EPOCH = b"a" * 16
PER_SECOND = 10


def batch(first_seq: int, count: int) -> FrameBatch:
    """Ten frames a second: seq 1 at 0 s."""
    t_us = (first_seq - 1 + np.arange(count, dtype=np.int64)) * (SECOND_US // PER_SECOND)
    zero = np.zeros(count, np.uint8)
    frames = FrameColumns(t_us, zero, zero.astype(np.uint32), zero, zero, np.zeros((count, 8), np.uint8))
    return FrameBatch("fs", EPOCH, first_seq, frames)


@pytest.fixture
def url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'db.sqlite'}"
    db = Database(url)
    db.migrate()
    db.close()
    return url


def watch(data: Path, url: str, lane: Lane, *records: Record) -> None:
    """Put records into the stream, and let watch run to its end."""
    writer = open_journal(data, "frames").writer()
    for record in records:
        writer.append(Arrival(0, 7, lane), encode_record(record))
    writer.sync()
    writer.close()
    stop = asyncio.Event()
    stop.set()
    asyncio.run(run_watch(WatchSettings(data, url), lambda _: None, stop))


def ledger(url: str) -> tuple[list[int], list[int], dict[int, int]]:
    """Live and backfilled frames in the first six seconds, and frames by place that did not come."""
    db = Database(url)
    try:
        blocks, spans = read_ledger(db, "fs", EPOCH, 0, 6 * SECOND_US)
        assert [one.arrival_utc_us for one in list_ledger_epochs(db, "fs")] == [7]
    finally:
        db.close()
    places: dict[int, int] = {}
    for span in spans:
        places[span.place] = places.get(span.place, 0) + span.frames
    return blocks[0][0, :6].tolist(), blocks[0][1, :6].tolist(), places


def test_late_data_fill_what_was_missing_over_a_restart(tmp_path: Path, url: str) -> None:
    watch(tmp_path, url, Lane.LIVE, batch(1, 20), batch(41, 20))
    assert ledger(url) == ([10, 10, 0, 0, 10, 10], [0] * 6, {MISSING: 20})
    watch(tmp_path, url, Lane.BACKFILL, batch(21, 15))
    assert ledger(url) == ([10, 10, 0, 0, 10, 10], [0, 0, 10, 5, 0, 0], {MISSING: 5})
    watch(tmp_path, url, Lane.LIVE, Loss("fs", EPOCH, 1, LossPlace.CAR_DISK, 0, 5, 3_500_000, 3_900_000, 36, 40))
    assert ledger(url) == ([10, 10, 0, 0, 10, 10], [0, 0, 10, 5, 0, 0], {LossPlace.CAR_DISK: 5})
    watch(tmp_path, url, Lane.BACKFILL, batch(36, 5))
    assert ledger(url) == ([10, 10, 0, 0, 10, 10], [0, 0, 10, 10, 0, 0], {})


def test_reading_the_stream_again_counts_nothing_twice(tmp_path: Path, url: str) -> None:
    crash = Loss("fs", EPOCH, 9, LossPlace.CAR_CRASH, 255, -1, 0, 500_000)
    watch(tmp_path, url, Lane.LIVE, batch(1, 20), batch(41, 20), crash)
    before = ledger(url)
    (tmp_path / "streams" / "frames" / "cursors").rename(tmp_path / "away")  # a journal that was never read
    watch(tmp_path, url, Lane.LIVE)
    assert ledger(url) == before
