import asyncio
from pathlib import Path

import numpy as np
import pytest

from ved.broker.open import open_stream
from ved.codec.records import decode_record, encode_record
from ved.db.database import Database
from ved.db.sessions import list_sessions
from ved.model.frames import FrameBatch, FrameColumns
from ved.model.records import Arrival, Clock, ClockSource, Lane, Record, SessionEvent
from ved.watch.role import WatchSettings, run_watch

A, B = b"a" * 16, b"b" * 16
SECOND = 1_000_000


def batch(epoch: bytes, first_seq: int, t_from_s: int, t_to_s: int) -> FrameBatch:
    t_us = np.array([t_from_s, t_to_s], np.int64) * SECOND
    zero = np.zeros(2, np.uint8)
    frames = FrameColumns(t_us, zero, zero.astype(np.uint32), zero, zero, np.zeros((2, 8), np.uint8))
    return FrameBatch("fs", epoch, first_seq, frames)


def clock(epoch: bytes, utc_s: int) -> Clock:
    return Clock("fs", epoch, 1, 0, utc_s * SECOND, ClockSource.NTP, 0)


def write(data: Path, *records: Record | bytes) -> None:
    writer = open_stream(data, "frames").writer()
    for record in records:
        encoded = record if isinstance(record, bytes) else encode_record(record)
        writer.append(Arrival(0, 0, Lane.LIVE), encoded)
    writer.sync()
    writer.close()


async def run_to_end(data: Path, url: str) -> None:
    stop = asyncio.Event()
    stop.set()  # it reads to the end of the stream before it obeys
    await run_watch(WatchSettings(data, url), lambda _: None, stop)


@pytest.fixture
def url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'db.sqlite'}"
    db = Database(url)
    db.migrate()
    db.close()
    return url


def sessions(url: str):
    db = Database(url)
    try:
        return [(row.utc_from_us // SECOND, row.utc_to_us // SECOND, len(row.parts)) for row in list_sessions(db)]
    finally:
        db.close()


def test_sessions_grow_over_restarts_of_agent_and_watch(tmp_path: Path, url: str):
    write(tmp_path, clock(A, 1000), batch(A, 1, 0, 10), batch(A, 3, 10, 20))
    asyncio.run(run_to_end(tmp_path, url))
    assert sessions(url) == [(1000, 1020, 1)]
    write(tmp_path, clock(B, 1030), batch(B, 1, 0, 5), batch(B, 3, 2000, 2001))
    asyncio.run(run_to_end(tmp_path, url))
    assert sessions(url) == [(1000, 1035, 2), (3030, 3031, 1)]


def test_reading_the_stream_again_changes_nothing(tmp_path: Path, url: str):
    write(tmp_path, clock(A, 1000), batch(A, 1, 0, 10))
    asyncio.run(run_to_end(tmp_path, url))
    open_stream(tmp_path, "frames").commit_cursor("watch", 0)  # as if killed before the cursor was written
    asyncio.run(run_to_end(tmp_path, url))
    assert sessions(url) == [(1000, 1010, 1)]


def test_a_corrupt_record_costs_itself_alone(tmp_path: Path, url: str):
    write(tmp_path, clock(A, 1000), b"garbage", batch(A, 1, 0, 10))
    asyncio.run(run_to_end(tmp_path, url))
    assert sessions(url) == [(1000, 1010, 1)]


def test_sessions_are_published_as_events(tmp_path: Path, url: str):
    write(tmp_path, clock(A, 1000), batch(A, 1, 0, 10))

    async def follow():
        reader = open_stream(tmp_path, "events").reader("earliest")
        try:
            await run_to_end(tmp_path, url)
            return [decode_record(entry.record) for entry in await reader.read(timeout_s=1.0)]
        finally:
            reader.close()

    (event,) = asyncio.run(follow())
    assert isinstance(event, SessionEvent)
    assert (event.vehicle, event.utc_to_us, event.is_open) == ("fs", 1010 * SECOND, True)
