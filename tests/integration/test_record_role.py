"""record: stream to lake and database; killed at any point; a disk that refuses; corrupt entries."""

import asyncio
import json
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from ved.broker.base import StreamWriter
from ved.broker.open import open_stream
from ved.codec.records import encode_record
from ved.db.database import Database
from ved.db.epochs import clock_pairs, list_epochs, list_losses
from ved.errors import StorageError, UserError
from ved.lake.lake import Lake
from ved.metrics import (
    FRAMES_STORED_TOTAL,
    RECORDS_CORRUPT_TOTAL,
    SAMPLES_STORED_TOTAL,
    TASK_FAILURES_TOTAL,
    Counters,
)
from ved.model.frames import FrameBatch, FrameColumns
from ved.model.intervals import Intervals
from ved.model.records import (
    Arrival,
    BusDescription,
    Clock,
    ClockSource,
    Description,
    Lane,
    LinkState,
    Loss,
    LossPlace,
    Record,
    SessionEvent,
)
from ved.model.samples import SampleBatch, SampleChannel, SampleColumns
from ved.record import recorder
from ved.record.role import CURSOR, run_record
from ved.record.settings import RecordSettings

EPOCH = bytes(range(16))
DBC = 'VERSION ""\nBU_: A\nBO_ 1 M: 8 A\n SG_ s : 0|16@1+ (1,0) [0|0] "" A\n'


class Server:
    """A data folder with a stream that the test writes, as ingest would."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.db = Database(f"sqlite:///{folder}/people.db")
        self.db.migrate()
        self.stream = open_stream(folder, "frames")
        self.writer: StreamWriter = self.stream.writer()
        self.settings = RecordSettings(folder, self.db.url, str(folder / "lake"), commit_s=0.05, housekeeping_s=0.05)
        self.next_seq = 1

    def put(self, record: Record) -> None:
        self.writer.append(Arrival(1, 1_000_000, Lane.LIVE), encode_record(record))

    def put_frames(self, count: int) -> None:
        self.put(batch(self.next_seq, count))
        self.next_seq += count

    def lake(self) -> Lake:
        return Lake(self.settings.lake_url)

    def check(self) -> None:
        lake = self.lake()
        last = self.next_seq - 1
        assert lake.intervals("fs", EPOCH) == Intervals([(1, last)])
        assert lake.stats().frames == last
        rows = lake.rows("fs", EPOCH)
        assert rows.seq.tolist() == list(range(1, last + 1))
        assert rows.frames.equals(batch(1, last).frames)
        assert self.stream.cursor(CURSOR) == self.writer.next_position


def batch(first: int, count: int) -> FrameBatch:
    seq = np.arange(first, first + count)
    payload = seq.astype("<i8").view(np.uint8).reshape(count, 8).copy()
    frames = FrameColumns(
        seq * 100,
        np.zeros(count, np.uint8),
        (seq % 7).astype(np.uint32),
        np.zeros(count, np.uint8),
        np.full(count, 8, np.uint8),
        payload,
    )
    return FrameBatch("fs", EPOCH, first, frames)


@pytest.fixture
def server(tmp_path: Path) -> Iterator["Server"]:
    out = Server(tmp_path)
    yield out
    out.writer.close()
    out.db.close()


def run(
    settings: RecordSettings,
    until: Callable[[], bool],
    counters: Counters | None = None,
    during: Callable[[], None] = lambda: None,
) -> None:
    """Run the role until `until()` holds (looked at every 20 ms), then stop it."""

    async def main() -> None:
        stop = asyncio.Event()
        role = asyncio.create_task(run_record(settings, lambda _: None, stop, counters))
        while not role.done() and not until():
            during()
            await asyncio.sleep(0.02)
        stop.set()
        await role

    asyncio.run(asyncio.wait_for(main(), 60))


def test_notes_go_to_the_database_and_frames_to_the_lake(server: Server) -> None:
    server.put(Description("fs", EPOCH, 1, "car", (BusDescription(0, "powertrain", (DBC,)),)))
    server.put(Clock("fs", EPOCH, 2, 5, 1_700_000_000_000_005, ClockSource.GPS, 10))
    for offset in (30, 20, 25):
        server.put(Clock("fs", EPOCH, 0, 100, 1_700_000_000_000_100 + offset, ClockSource.SERVER, 1000))
    server.put(Loss("fs", EPOCH, 3, LossPlace.KERNEL, 0, 7, 10, 20))
    server.put(LinkState("fs", EPOCH, is_up=True, lane=Lane.LIVE, peer="x", rtt_us=5))
    server.put_frames(500)
    server.put(FrameBatch("fs", EPOCH, server.next_seq, FrameColumns.empty()))
    server.put_frames(250)
    server.writer.sync()
    counters = Counters()
    run(server.settings, lambda: server.stream.cursor(CURSOR) == server.writer.next_position, counters)
    server.check()
    assert counters[FRAMES_STORED_TOTAL] == 750
    (row,) = list_epochs(server.db, "fs")
    assert (row.epoch, row.first_arrival_utc_us, row.buses) == (
        EPOCH,
        1_000_000,
        (BusDescription(0, "powertrain", (DBC,)),),
    )
    pairs = clock_pairs(server.db, "fs", EPOCH)
    assert {pair.source: pair.utc_us - pair.t_us for pair in pairs} == {
        ClockSource.GPS: 1_700_000_000_000_000,
        ClockSource.SERVER: 1_700_000_000_000_020,
    }
    assert [loss.count for loss in list_losses(server.db, "fs", EPOCH)] == [7]


def test_what_is_not_durable_waits(server: Server) -> None:
    server.put_frames(100)
    server.writer.sync()
    durable = server.writer.next_position
    server.put_frames(100)
    run(server.settings, lambda: server.stream.cursor(CURSOR) == durable)
    assert server.stream.cursor(CURSOR) == durable
    assert server.lake().stats().frames == 100
    server.writer.sync()
    run(server.settings, lambda: server.stream.cursor(CURSOR) == server.writer.next_position)
    server.check()


def test_stopping_stores_all_that_is_durable(server: Server) -> None:
    server.put_frames(100)
    server.writer.sync()
    slow = RecordSettings(server.folder, server.db.url, server.settings.lake_url, commit_s=3600.0)
    run(slow, lambda: True)
    server.check()


def test_a_car_that_went_away_is_stored_at_once(server: Server) -> None:
    server.put_frames(100)
    server.put(LinkState("fs", EPOCH, is_up=False, lane=Lane.LIVE, peer="x", rtt_us=-1))
    server.writer.sync()
    slow = RecordSettings(server.folder, server.db.url, server.settings.lake_url, commit_s=3600.0)
    run(slow, lambda: server.stream.cursor(CURSOR) == server.writer.next_position)
    server.check()


def test_a_backlog_is_stored_in_big_commits(server: Server) -> None:
    for _ in range(50):
        server.put_frames(1000)
    server.writer.sync()
    slow = RecordSettings(server.folder, server.db.url, server.settings.lake_url, commit_s=3600.0, commit_frames=20_000)
    run(slow, lambda: (server.stream.cursor(CURSOR) or 0) >= 20)
    server.check()
    assert server.lake().stats().files <= 4


def test_a_corrupt_entry_costs_itself_and_is_counted(server: Server) -> None:
    server.put_frames(10)
    record = bytearray(encode_record(batch(11, 10)))
    record[-1] ^= 1
    server.writer.append(Arrival(1, 1, Lane.LIVE), bytes(record))
    server.writer.append(Arrival(1, 1, Lane.LIVE), b"")
    server.put(batch(21, 10))
    server.writer.sync()
    counters = Counters()
    run(server.settings, lambda: server.stream.cursor(CURSOR) == server.writer.next_position, counters)
    assert counters[RECORDS_CORRUPT_TOTAL] == 2
    assert server.lake().intervals("fs", EPOCH) == Intervals([(1, 10), (21, 30)])


def test_the_cursor_lost_or_behind_doubles_nothing(server: Server) -> None:
    server.put_frames(300)
    server.put_frames(300)
    server.writer.sync()
    run(server.settings, lambda: server.stream.cursor(CURSOR) == server.writer.next_position)
    server.stream.commit_cursor(CURSOR, 0)
    server.put_frames(10)
    server.writer.sync()
    run(server.settings, lambda: server.stream.cursor(CURSOR) == server.writer.next_position)
    server.check()


def test_a_disk_that_refuses_is_tried_again_and_the_cursor_waits(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.put_frames(100)
    server.writer.sync()
    refusals: list[int | None] = []
    append = Lake.append

    def refuse(self: Lake, batches: list[FrameBatch]) -> object:
        if len(refusals) < 2:
            refusals.append(server.stream.cursor(CURSOR))
            raise StorageError("no space left")
        return append(self, batches)

    monkeypatch.setattr(Lake, "append", refuse)
    monkeypatch.setattr("ved.record.role._RETRY_S", 0.01)
    run(server.settings, lambda: server.stream.cursor(CURSOR) == server.writer.next_position)
    assert refusals == [None, None]
    server.check()


def test_a_database_that_refuses_is_tried_again(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.put(Clock("fs", EPOCH, 0, 100, 1_700_000_000_000_130, ClockSource.SERVER, 1000))
    server.put_frames(100)
    server.writer.sync()
    refusals: list[int | None] = []
    note = recorder.note_clock

    def refuse(db: Database, clock: Clock) -> None:
        if len(refusals) < 2:
            refusals.append(server.stream.cursor(CURSOR))
            raise StorageError("database or disk is full")
        note(db, clock)

    monkeypatch.setattr(recorder, "note_clock", refuse)
    monkeypatch.setattr("ved.record.role._RETRY_S", 0.01)
    run(server.settings, lambda: server.stream.cursor(CURSOR) == server.writer.next_position)
    assert refusals == [None, None]
    assert [pair.utc_us for pair in clock_pairs(server.db, "fs", EPOCH)] == [1_700_000_000_000_130]
    server.check()


def test_stopping_while_the_disk_refuses_loses_nothing(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.put_frames(100)
    server.writer.sync()

    def refuse(*_: object) -> None:
        raise StorageError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(Lake, "append", refuse)
        run(server.settings, lambda: True)
    assert server.stream.cursor(CURSOR) is None
    run(server.settings, lambda: True)
    server.check()


def test_a_foreign_lake_folder_is_a_user_error(server: Server) -> None:
    (server.folder / "lake" / "frames").mkdir(parents=True)
    (server.folder / "lake" / "frames" / "x.txt").write_text("x")
    with pytest.raises(UserError, match="not a lake"):
        run(server.settings, lambda: False)


def test_small_files_are_merged_beside_the_recording(server: Server) -> None:
    counters = Counters()

    def more() -> None:
        if server.next_seq < 2000:
            server.put_frames(20)
            server.writer.sync()

    def is_merged() -> bool:
        is_stored = server.next_seq >= 2000 and server.stream.cursor(CURSOR) == server.writer.next_position
        return is_stored and server.lake().stats().files == 1

    quick = RecordSettings(
        server.folder, server.db.url, server.settings.lake_url, commit_s=0.01, quiet_s=0.5, housekeeping_s=0.05
    )
    run(quick, is_merged, counters, more)
    server.check()
    assert counters[TASK_FAILURES_TOTAL] == 0


CHILD = """
import asyncio, json, sys
from pathlib import Path
from ved.record import recorder
from ved.record.role import run_record
from ved.record.settings import RecordSettings
data, db_url, lake = sys.argv[1:]
often = {"commit_s": 0.03, "commit_frames": 3000, "quiet_s": 0.05, "housekeeping_s": 0.03}
settings = RecordSettings(Path(data), db_url, lake, **often)
asyncio.run(run_record(settings, lambda info: print(json.dumps(info), flush=True), asyncio.Event()))
"""


def test_killed_again_and_again_it_loses_and_doubles_nothing(server: Server) -> None:
    server.put(Description("fs", EPOCH, 1, "car", (BusDescription(0, "powertrain", (DBC,)),)))
    rng = random.Random(5)
    for _ in range(8):
        with subprocess.Popen(
            [sys.executable, "-c", CHILD, str(server.folder), server.db.url, server.settings.lake_url],
            stdout=subprocess.PIPE,
        ) as child:
            assert child.stdout is not None
            assert json.loads(child.stdout.readline()) == {}
            die_at_s = time.monotonic() + rng.uniform(0.0, 0.6)
            while time.monotonic() < die_at_s:
                server.put_frames(rng.randint(1, 900))
                server.writer.sync()
                time.sleep(0.005)
            child.kill()
    run(server.settings, lambda: server.stream.cursor(CURSOR) == server.writer.next_position)
    server.check()
    assert [row.epoch for row in list_epochs(server.db, "fs")] == [EPOCH]


def samples(first: int, count: int, epoch: bytes) -> SampleBatch:
    seq = np.arange(first, first + count)
    columns = SampleColumns(seq * 10, (seq % 2).astype(np.uint16), seq * 0.5)
    return SampleBatch("fs", epoch, first, (SampleChannel("x.a", "m"), SampleChannel("x.b")), columns)


def test_samples_of_both_streams_are_stored_once(server: Server) -> None:
    imported, health = b"i" * 16, b"h" * 16
    events = open_stream(server.folder, "events").writer()
    try:
        for again in range(2):
            server.put(Clock("fs", imported, 1, 0, 7_000_000, ClockSource.RECORDED, 0))
            for first in (1, 51):
                server.put(samples(first, 50, imported))
            server.put_frames(100)
            entries = [
                Clock("fs", health, 1, 0, 9_000_000, ClockSource.SERVER, 0),
                samples(1, 10, health),
                SessionEvent("fs", health, "id", 0, 1, is_open=True),
                samples(11, 10, health),
            ]
            for entry in entries:
                events.append(Arrival(1, 1_000_000, Lane.LIVE), encode_record(entry))
            events.sync()
            server.writer.sync()
            counters = Counters()
            run(
                server.settings,
                lambda: (
                    server.stream.cursor(CURSOR) == server.writer.next_position
                    and open_stream(server.folder, "events").cursor(CURSOR) == events.next_position
                ),
                counters,
            )
            assert counters[SAMPLES_STORED_TOTAL] == (0 if again else 120)
    finally:
        events.close()
    server.check()
    lake = server.lake()
    assert lake.samples.intervals("fs", imported).runs() == [(1, 100)]
    assert lake.samples.intervals("fs", health).runs() == [(1, 20)]
    assert lake.stats().samples == 120
    assert [pair.utc_us for pair in clock_pairs(server.db, "fs", health)] == [9_000_000]
