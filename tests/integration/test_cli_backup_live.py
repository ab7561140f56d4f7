"""Backups while frames are stored, carried into the lake, merged and trimmed as fast as it goes: none is missing."""

import asyncio
import threading
from pathlib import Path

import pytest
from tests.integration.link_helpers import make_frames

from ved.broker.journal import JournalStream
from ved.cli import backup
from ved.cli.backup import run_backup
from ved.cli.restore import run_restore
from ved.codec.records import decode_record, encode_record
from ved.config.settings import load_settings
from ved.lake.lake import Lake
from ved.model.frames import FrameBatch
from ved.model.intervals import Intervals
from ved.model.records import Arrival, Lane

EPOCH = bytes(range(16))
SEGMENT_BYTES = 16 << 10
ROUNDS = 8


class Busy:
    """What ingest and record do to a data folder, in a thread, without any rest."""

    def __init__(self, data: Path) -> None:
        self.stored = 0
        """The last seq that the car was told to be stored."""
        self.failure: BaseException | None = None
        self._data = data
        self._stop = threading.Event()
        self._moved = threading.Condition()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Busy":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        if self.failure is not None:
            raise self.failure

    def wait_for(self, seq: int) -> None:
        """Until this one is stored."""
        with self._moved:
            assert self._moved.wait_for(lambda: self.stored >= seq or self.failure is not None, 60)

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as failure:  # noqa: BLE001 - told in the test's own thread
            self.failure = failure

    def _work(self) -> None:
        stream = JournalStream(self._data / "streams" / "frames", segment_bytes=SEGMENT_BYTES)
        writer, lake = stream.writer(), Lake(str(self._data / "lake"))
        first, waiting, turn = 1, [], 0
        while not self._stop.is_set():
            turn += 1
            batch = FrameBatch("fs", EPOCH, first, make_frames(first, 60))
            first += 60
            waiting.append(batch)
            position = writer.append(Arrival(turn, turn, Lane.LIVE), encode_record(batch))
            if turn % 2:
                continue  # an unsynced tail, now and then
            writer.sync()
            with self._moved:
                self.stored = first - 1
                self._moved.notify_all()
            if turn % 6 == 0:
                lake.append(waiting)
                waiting = []
                stream.commit_cursor("record", position + 1)
                writer.trim(SEGMENT_BYTES, 10**15, ("record",))
            if turn % 40 == 0:
                lake.compact()
                lake.vacuum(0.0, 0.0)  # at once: readers of an older version lose their files
        writer.close()


def found_in(data: Path) -> Intervals:
    """The seqs that a server on this folder would have: the lake's, and what record has still to read."""
    lake = Lake(str(data / "lake"))
    out = Intervals(lake.intervals("fs", EPOCH))
    lake.rows("fs", EPOCH)
    assert lake.broken_files() == {}
    stream = JournalStream(data / "streams" / "frames", segment_bytes=SEGMENT_BYTES)
    writer = stream.writer()  # recovers, as ingest does at its start
    report = writer.journal.report
    assert (report.lost_durable_bytes, report.corrupt_records, report.foreign_segments) == (0, 0, 0)

    async def read() -> None:
        cursor = stream.cursor("record")
        reader = stream.reader("earliest" if cursor is None else cursor)
        while entries := await reader.read(timeout_s=0):
            for entry in entries:
                batch = decode_record(entry.record)
                assert isinstance(batch, FrameBatch)
                assert batch.frames.equals(make_frames(batch.first_seq, len(batch.frames)))
                out.add(batch.first_seq, batch.first_seq + len(batch.frames) - 1)
        assert reader.corrupt == 0
        reader.close()

    asyncio.run(read())
    # What comes next has a position of its own, whatever the server of the copy had given out meanwhile.
    assert writer.next_position >= writer.durable_position
    writer.close()
    return out


def test_every_frame_that_was_stored_before_is_in_every_backup(tmp_path: Path):
    data = tmp_path / "data"
    settings = load_settings(None, {"data": data})
    with Busy(data) as busy:
        busy.wait_for(2_000)
        for number in range(ROUNDS):
            file, new = tmp_path / f"{number}.tar.zst", tmp_path / f"new{number}"
            before = busy.stored
            run_backup(settings, file, with_keys=True)
            run_restore(file, new)
            assert busy.failure is None
            (whole,) = found_in(new)  # one run: nothing is missing in between
            assert whole[0] == 1
            assert whole[1] >= before
    assert busy.stored > before


def test_the_wrong_order_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The lake first and the streams later: what record carries over and trims in between is in neither."""
    data = tmp_path / "data"
    settings = load_settings(None, {"data": data})
    streams = backup._add_journal

    def late(archive: object, folder: Path, name: str) -> None:
        if name == "streams/frames":
            lake_first(archive, settings.lake)
            busy.wait_for(busy.stored + 3_000)
        streams(archive, folder, name)

    lake_first = backup._add_lake
    monkeypatch.setattr(backup, "_add_lake", lambda *_: [])
    monkeypatch.setattr(backup, "_add_journal", late)
    with Busy(data) as busy:
        busy.wait_for(2_000)
        run_backup(settings, tmp_path / "b.tar.zst", with_keys=True)
    run_restore(tmp_path / "b.tar.zst", tmp_path / "new")
    assert len(list(found_in(tmp_path / "new"))) > 1


def test_a_merge_between_the_look_and_the_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The files of the version that was looked at are gone: the copy is of a newer one, and whole."""
    data = tmp_path / "data"
    (data / "streams").mkdir(parents=True)
    lake = Lake(str(data / "lake"))
    for first in range(1, 601, 60):
        lake.append([FrameBatch("fs", EPOCH, first, make_frames(first, 60))])
    looks = []
    look = backup.take_snapshot

    def look_and_merge(folder: str) -> object:
        found = look(folder)
        if not looks and found is not None:
            assert lake.compact() > 0
            assert lake.vacuum(0.0, 0.0) > 0
        looks.append(folder)
        return found

    monkeypatch.setattr(backup, "take_snapshot", look_and_merge)
    run_backup(load_settings(None, {"data": data}), tmp_path / "b.tar.zst", with_keys=True)
    run_restore(tmp_path / "b.tar.zst", tmp_path / "new")
    copy = Lake(str(tmp_path / "new" / "lake"))
    assert copy.rows("fs", EPOCH).frames.equals(lake.rows("fs", EPOCH).frames)
    assert copy.stats() == lake.stats()
    assert copy.stats().broken_files == 0
