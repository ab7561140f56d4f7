import asyncio
import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.unit.simulated import log, vehicle

from ved.analysis.fixes import GeoFixes
from ved.analysis.tracks import LapFinder
from ved.broker.open import open_stream
from ved.codec.records import decode_record, encode_record
from ved.db.database import Database
from ved.db.epochs import note_clock
from ved.db.laps import list_laps
from ved.db.sessions import list_sessions
from ved.db.tracks import list_tracks
from ved.db.vehicles import ensure_vehicle
from ved.model.frames import FrameBatch, FrameColumns
from ved.model.records import Arrival, Clock, ClockSource, Lane, LapEvent, Record, SessionEvent
from ved.watch.role import run_watch
from ved.watch.settings import WatchSettings

A, B = b"a" * 16, b"b" * 16
SECOND = 1_000_000


def batch(epoch: bytes, first_seq: int, t_from_s: int, t_to_s: int) -> FrameBatch:
    t_us = np.array([t_from_s, t_to_s], np.int64) * SECOND
    zero = np.zeros(2, np.uint8)
    frames = FrameColumns(t_us, zero, zero.astype(np.uint32), zero, zero, np.zeros((2, 8), np.uint8))
    return FrameBatch("fs", epoch, first_seq, frames)


def clock(epoch: bytes, utc_s: int) -> Clock:
    return Clock("fs", epoch, 1, 0, utc_s * SECOND, ClockSource.NTP, 0)


def write(data: Path, *records: Record | bytes | tuple[Record, Lane]) -> None:
    """Over the live lane, unless a lane is given."""
    writer = open_stream(data, "frames").writer()
    for record in records:
        given, lane = record if isinstance(record, tuple) else (record, Lane.LIVE)
        writer.append(Arrival(0, 0, lane), given if isinstance(given, bytes) else encode_record(given))
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


def events(data: Path) -> list[Record]:
    """All that is in the stream `events`."""

    async def read() -> list[Record]:
        reader = open_stream(data, "events").reader("earliest")
        found: list[Record] = []
        try:
            while entries := await reader.read(timeout_s=0.0):
                found += [decode_record(entry.record) for entry in entries]
        finally:
            reader.close()
        return found

    return asyncio.run(read())


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

    asyncio.run(run_to_end(tmp_path, url))
    (event,) = events(tmp_path)
    assert isinstance(event, SessionEvent)
    assert (event.vehicle, event.utc_to_us, event.is_open) == ("fs", 1010 * SECOND, True)


def drive(from_s: float, to_s: float, epoch: bytes = A, later_s: int = 0, per_s: int = 10) -> list[FrameBatch]:
    """Part of the simulated car's drive, in so many batches per second."""
    car = log("fs", 190, 3)
    wanted = FrameColumns.concatenate([car.of(name) for name in ("GpsPosition", "GpsStatus", "VehicleMotion")])
    frames = wanted.take(np.argsort(wanted.t_us, kind="stable"))
    edges = np.searchsorted(frames.t_us, np.arange(0, 190_000_001, SECOND // per_s))
    frames = replace(frames, t_us=frames.t_us + later_s * SECOND)
    return [
        FrameBatch("fs", epoch, int(first) + 1, frames.take(slice(int(first), int(last))))
        for at, (first, last) in enumerate(itertools.pairwise(edges))
        if from_s * per_s <= at < to_s * per_s and last > first
    ]


def test_laps_live_over_a_restart_are_those_of_history(tmp_path: Path, url: str):
    db = Database(url)
    ensure_vehicle(db, vehicle("fs"))
    note_clock(db, clock(A, 1_700_000_000))
    write(tmp_path, clock(A, 1_700_000_000), *drive(0, 130))
    asyncio.run(run_to_end(tmp_path, url))
    (track,) = list_tracks(db)
    assert len(track.lines) == 3
    write(tmp_path, *drive(130, 190))
    asyncio.run(run_to_end(tmp_path, url))

    rows = list_laps(db, "fs")
    (session,) = list_sessions(db)
    assert session.moved_us != (0, 0)
    assert [row.number for row in rows] == [1, 2, 3]
    assert {row.session_id for row in rows} == {session.id}
    assert {row.track_id for row in rows} == {track.id}
    car = log("fs", 190, 3)
    t_s, latitude = car.values("GpsPosition", "Latitude")
    longitude = car.values("GpsPosition", "Longitude")[1]
    fixes = GeoFixes(np.rint(t_s * 1e6).astype(np.int64) + 1_700_000_000 * SECOND, latitude, longitude)
    for tracks in ([], [track]):
        laps = LapFinder(tracks).step(fixes).laps
        assert [(one.t_from_us, one.t_to_us, one.sectors_us, one.is_whole) for one in laps] == [
            (row.utc_from_us, row.utc_to_us, row.sectors_us, row.is_whole) for row in rows
        ]
    laps = [one for one in events(tmp_path) if isinstance(one, LapEvent)]
    assert {one.lap for one in laps if one.utc_to_us} == {1, 2, 3}
    assert {one.lap for one in laps} == {1, 2, 3, 4}
    db.close()


def known_laps(url: str) -> list[tuple[str, int, int]]:
    """The laps live: session, number, begin."""
    db = Database(url)
    try:
        return [(row.session_id, row.number, row.utc_from_us) for row in list_laps(db, "fs")]
    finally:
        db.close()


def right_laps(later_s: int = 0) -> list[int]:
    """The begins of the laps of the whole drive."""
    car = log("fs", 190, 3)
    t_s, latitude = car.values("GpsPosition", "Latitude")
    t_us = np.rint((t_s + later_s) * 1e6).astype(np.int64) + 1_700_000_000 * SECOND
    fixes = GeoFixes(t_us, latitude, car.values("GpsPosition", "Longitude")[1])
    return [lap.t_from_us for lap in LapFinder([]).step(fixes).laps]


def test_backfill_of_an_older_session_leaves_the_laps_of_the_live_one_alone(tmp_path: Path, url: str):
    db = Database(url)
    ensure_vehicle(db, vehicle("fs"))
    clocks = clock(A, 1_700_000_000), clock(B, 1_699_990_000)
    for one in clocks:
        note_clock(db, one)
    older = [(one, Lane.BACKFILL) for one in drive(0, 190, B, per_s=2)]
    live = drive(0, 190, per_s=2)
    mixed = [one for pair in itertools.zip_longest(older, live) for one in pair if one is not None]
    write(tmp_path, *clocks, *live[:60], *mixed[120:520])
    asyncio.run(run_to_end(tmp_path, url))
    write(tmp_path, *mixed[520:])  # after a restart of watch, the older one first
    asyncio.run(run_to_end(tmp_path, url))
    older_one, session = (one.id for one in list_sessions(db))
    assert known_laps(url) == [(session, number + 1, at) for number, at in enumerate(right_laps())]
    assert older_one not in {one.session_id for one in events(tmp_path) if isinstance(one, LapEvent)}
    db.close()


def test_laps_go_on_where_the_session_becomes_a_part_of_an_older_one(tmp_path: Path, url: str):
    db = Database(url)
    ensure_vehicle(db, vehicle("fs"))
    note_clock(db, clock(A, 1_700_000_000))
    later_s = 600
    again = [replace(one, first_seq=one.first_seq + 1_000_000) for one in drive(0, 190, A, later_s, 2)]
    write(tmp_path, clock(A, 1_700_000_000), *drive(0, 190, per_s=2), *again[:240])
    asyncio.run(run_to_end(tmp_path, url))
    first, second = (one.id for one in list_sessions(db))
    before = known_laps(url)
    assert [(name, number) for name, number, _ in before] == [
        *((first, number) for number in (1, 2, 3)),
        *((second, number) for number in (1, 2)),
    ]
    between = [(batch(A, 500_000 + 2 * at, at, at + 50), Lane.BACKFILL) for at in range(190, 600, 50)]
    write(tmp_path, *between, *again[240:])
    asyncio.run(run_to_end(tmp_path, url))
    assert [one.id for one in list_sessions(db)] == [first]
    begins = [*right_laps(), *right_laps(later_s)]
    assert known_laps(url) == [(first, number + 1, at) for number, at in enumerate(begins)]
    db.close()
