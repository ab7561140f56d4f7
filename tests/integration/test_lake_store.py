"""The lake on a real folder: outside readers, queries, second writers, merges beside reads."""

import json
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import deltalake
import duckdb
import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest
from tests.integration.lake_helpers import EPOCH, batch, make_frames, stored

from ved.errors import StorageError
from ved.lake import log, store, table
from ved.lake.lake import Lake
from ved.lake.reading import FrameKey, Where
from ved.model.intervals import Intervals


@pytest.fixture
def url(tmp_path: Path) -> str:
    return str(tmp_path / "lake")


@pytest.mark.parametrize("width", [8, 64])
def test_overlapping_batches_are_stored_once(url: str, width: int) -> None:
    frames = make_frames(1000, width=width)
    lake = Lake(url)
    assert lake.append([batch(frames, 1, 400), batch(frames, 301, 500)]).new == 500
    result = lake.append([batch(frames, 450, 800), batch(frames, 1, 10)])
    assert (result.new, result.duplicates) == (300, 61)
    again = Lake.existing(url)
    result = again.append([batch(frames, 701, 1000), batch(frames, 1, 700)])
    assert (result.new, result.duplicates) == (200, 800)
    assert again.append([batch(frames, 1, 1000)]).new == 0
    lake.refresh()
    for one in (lake, again):
        seqs, columns = stored(one)
        assert seqs == list(range(1, 1001))
        assert columns.equals(frames)
        assert one.intervals("fs", EPOCH) == Intervals([(1, 1000)])


def test_one_commit_carries_several_vehicles_and_epochs(url: str) -> None:
    frames = make_frames(100)
    lake = Lake(url)
    lake.append([batch(frames, 1, 50), batch(frames, 1, 60, "pe"), batch(frames, 11, 30, "fs", bytes(16))])
    assert lake.version == 1
    assert sorted(lake.epochs()) == [("fs", bytes(16)), ("fs", EPOCH), ("pe", EPOCH)]
    assert lake.stats().vehicles == 2
    assert lake.stats().frames == 130
    assert stored(lake, "fs", bytes(16))[0] == list(range(11, 31))


def test_outside_readers_see_exactly_the_frames(url: str) -> None:
    frames = make_frames(5000, width=64)
    lake = Lake(url)
    for first in range(1, 5000, 500):
        lake.append([batch(frames, max(1, first - 100), first + 499)])
    lake.append([batch(frames, 1, 77, "pe")])
    expected = [
        (seq, int(t), int(bus), int(key), int(flags), int(size), bytes(row[:8]), bytes(row[8:size]) or None)
        for seq, (t, bus, key, flags, size, row) in enumerate(
            zip(
                frames.t_us.tolist(),
                frames.bus,
                frames.arbitration_id,
                frames.flags,
                frames.length,
                frames.payload,
                strict=True,
            ),
            1,
        )
    ]
    for _ in ("as appended", "compacted"):
        delta = deltalake.DeltaTable(f"{url}/frames")
        names = ["seq", "t_us", "bus", "arbitration_id", "flags", "length", "payload", "tail"]
        polars_rows = pl.read_delta(delta).filter(pl.col("vehicle") == "fs").select(names).sort("seq").rows()
        duck_rows = (
            duckdb.connect()
            .execute(
                f"select {', '.join(names)} from read_parquet(?, hive_partitioning=true) "
                "where vehicle = 'fs' and epoch = ? order by seq",
                [delta.file_uris(), EPOCH.hex()],
            )
            .fetchall()
        )
        for rows in (polars_rows, duck_rows):
            assert [(*row[:6], row[6].to_bytes(8, "little", signed=True), row[7]) for row in rows] == expected
        lake.compact()
    assert lake.stats().files == 2
    assert lake.append([batch(frames, 1, 5000)]).new == 0


def test_files_have_the_encodings_of_the_spec(url: str) -> None:
    lake = Lake(url)
    lake.append([batch(make_frames(3000), 1, 3000)])
    (file,) = Path(url).rglob("*.parquet")
    group = pq.ParquetFile(file).metadata.row_group(0)
    columns = {group.column(at).path_in_schema: group.column(at) for at in range(group.num_columns)}
    assert "DELTA_BINARY_PACKED" in columns["seq"].encodings
    assert "DELTA_BINARY_PACKED" in columns["t_us"].encodings
    assert "BYTE_STREAM_SPLIT" in columns["payload"].encodings
    assert {column.compression for column in columns.values()} == {"ZSTD"}
    ids = pq.read_table(file, partitioning=None)["arbitration_id"].to_pylist()
    assert (columns["arbitration_id"].statistics.min, columns["arbitration_id"].statistics.max) == (min(ids), max(ids))


def test_queries_by_bus_id_and_time(url: str) -> None:
    frames = make_frames(40_000)
    lake = Lake(url)
    lake.append([batch(frames, 1, 30_000)])
    lake.append([batch(frames, 30_001, 40_000)])
    t_from, t_to = int(frames.t_us[5000]), int(frames.t_us[35_000])
    for _ in ("as appended", "compacted"):
        mask = (frames.bus == 1) & (frames.arbitration_id == 0x123) & (frames.t_us >= t_from) & (frames.t_us < t_to)
        found = lake.frames("fs", EPOCH, bus=1, arbitration_id=0x123, t_from_us=t_from, t_to_us=t_to)
        assert found.equals(frames.take(mask))
        assert lake.frames("fs", EPOCH, bus=2).equals(frames.take(frames.bus == 2))
        keys = (FrameKey(0x10, 0, is_extended=True), FrameKey(0x18F00001))
        mask = ((frames.arbitration_id == 0x10) & (frames.bus == 0) & frames.is_extended) | (
            frames.arbitration_id == 0x18F00001
        )
        rows = lake.rows("fs", EPOCH, Where(keys=keys))
        assert np.array_equal(rows.seq, np.flatnonzero(mask) + 1)
        assert rows.frames.equals(frames.take(mask))
        lake.compact()
    assert lake.time_range("fs", EPOCH) == (int(frames.t_us[0]), int(frames.t_us[-1]))
    assert lake.time_range("fs", bytes(16)) is None
    assert len(lake.frames("nobody", EPOCH)) == 0


def test_a_vehicle_name_with_odd_letters(url: str) -> None:
    frames = make_frames(10)
    Lake(url).append([batch(frames, 1, 10, "a b/ü%")])
    lake = Lake(url)
    assert stored(lake, "a b/ü%")[1].equals(frames)
    lake.append([batch(frames, 1, 10), batch(make_frames(20), 11, 20, "a b/ü%")])
    assert lake.compact() == 2
    assert len(Lake(url).rows("a b/ü%", EPOCH)) == 20


WRITER = """
import sys
import numpy as np
from ved.lake.lake import Lake
from ved.model.frames import FrameBatch, FrameColumns
url, start = sys.argv[1], int(sys.argv[2])
lake = Lake(url)
print("ready", flush=True)
sys.stdin.readline()
for first in range(start, 2000, 50):
    n = 100
    seq = np.arange(first, first + n)
    frames = FrameColumns(seq * 10, np.zeros(n, np.uint8), (seq % 5).astype(np.uint32), np.zeros(n, np.uint8),
                          np.full(n, 8, np.uint8), seq.astype("<i8").view(np.uint8).reshape(n, 8).copy())
    lake.append([FrameBatch("fs", bytes(range(16)), first, frames)])
    lake.compact(is_final=lambda key: first % 500 == 1)
"""


def test_two_writing_processes_double_and_lose_nothing(url: str) -> None:
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, url, start], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for start in ("1", "26")
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write(b"go\n")
        writer.stdin.flush()
    for writer in writers:
        writer.communicate(timeout=120)
        assert writer.returncode == 0
    lake = Lake.existing(url)
    last = 1976 + 99 if lake.intervals("fs", EPOCH).contains(1, 2075) else 2050
    seqs, frames = stored(lake)
    assert seqs == list(range(1, last + 1))
    assert np.array_equal(frames.t_us, np.arange(1, last + 1) * 10)
    assert lake.stats().frames == last


def test_a_lake_that_is_not_there_yet_is_empty_and_appears(url: str) -> None:
    reader = Lake(url)
    assert reader.version == -1
    assert reader.stats().frames == 0
    assert not reader.refresh()
    assert not Path(url).exists()
    Lake(url).append([batch(make_frames(5), 1, 5)])
    assert reader.refresh()
    assert reader.stats().frames == 5
    assert not reader.refresh()


def test_a_start_reads_few_commits(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "SNAPSHOT_EVERY", 5)
    frames = make_frames(400)
    lake = Lake(url)
    for first in range(1, 400, 20):
        lake.append([batch(frames, first, first + 19)])
    read: list[str] = []
    original = store.LocalStore.read_text
    monkeypatch.setattr(store.LocalStore, "read_text", lambda self, path: read.append(path) or original(self, path))
    again = Lake(url)
    assert again.intervals("fs", EPOCH) == Intervals([(1, 400)])
    assert len(read) <= 6


def test_a_checkpoint_of_the_log_is_written_when_due(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "SNAPSHOT_EVERY", 5)
    commits = Path(url) / "frames" / "_delta_log"
    frames = make_frames(50)
    lake = Lake(url)
    for first in range(1, 50, 10):
        lake.append([batch(frames, first, first + 9)])
        assert not list(commits.glob("*.checkpoint.parquet"))
    lake.checkpoint()
    (written,) = commits.glob("*.checkpoint.parquet")
    assert int(written.name.partition(".")[0]) == lake.version
    assert Lake(url).stats().frames == 50
    assert not lake.frame_rows.checkpoint()
    lake.frame_rows._table.wants_checkpoint = True
    shutil.rmtree(commits)
    for _ in range(2):  # it stays due
        with pytest.raises(StorageError, match="no checkpoint of the lake's log at"):
            lake.checkpoint()


def test_appends_reads_and_merges_at_the_same_time(url: str) -> None:
    n = 6000
    frames = make_frames(n)
    lake = Lake(url)
    lake.append([batch(frames, 1, 1)])
    other = Lake(url)
    failures: list[Exception] = []
    done = threading.Event()

    def merge() -> None:
        try:
            while not done.is_set():
                lake.compact()
        except Exception as error:  # noqa: BLE001  told to the test's own thread
            failures.append(error)

    def read() -> None:
        try:
            while not done.is_set():
                other.refresh()
                have = other.intervals("fs", EPOCH)
                seqs, columns = stored(other)
                assert Intervals((seq, seq) for seq in seqs) == have
                assert columns.equals(frames.take(slice(0, len(seqs))))
        except Exception as error:  # noqa: BLE001  told to the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=merge), threading.Thread(target=read)]
    for thread in threads:
        thread.start()
    for first in range(1, n, 100):
        lake.append([batch(frames, first, first + 99)])
    done.set()
    for thread in threads:
        thread.join()
    assert failures == []
    lake.compact()
    assert lake.stats().files == 1
    assert stored(Lake(url))[1].equals(frames)


def test_a_reader_of_an_older_version_reads_on_after_a_vacuum(url: str) -> None:
    frames = make_frames(200)
    lake = Lake(url)
    lake.append([batch(frames, 1, 100)])
    lake.append([batch(frames, 101, 200)])
    reader = Lake(url)
    lake.compact()
    assert lake.vacuum(0.0) == 2
    assert stored(reader)[1].equals(frames)
    assert reader.stats().broken_files == 0


def test_commit_metadata_is_as_the_spec_says(url: str) -> None:
    lake = Lake(url)
    lake.append([batch(make_frames(30), 1, 10), batch(make_frames(30), 21, 30)])
    text = (Path(url) / "frames" / log.commit_path(1)).read_text()
    infos = [json.loads(line) for line in text.splitlines() if "commitInfo" in line]
    assert infos[0]["commitInfo"]["ved"] == {"added": {f"fs/{EPOCH.hex()}": [[1, 10], [21, 30]]}}


LOOK = """
import sys
import numpy as np
from ved.lake.lake import Lake
import ved.record.role
from ved.model.frames import FrameBatch, FrameColumns
n = 100
frames = FrameColumns(np.arange(n), np.zeros(n, np.uint8), np.zeros(n, np.uint32), np.zeros(n, np.uint8),
                      np.full(n, 64, np.uint8), np.ones((n, 64), np.uint8))
lake = Lake(sys.argv[1])
lake.append([FrameBatch("fs", bytes(16), 1, frames)])
lake.append([FrameBatch("fs", bytes(16), 101, frames)])
lake.compact()
assert len(lake.rows("fs", bytes(16))) == 200
print(*sorted({"pandas", "cantools"} & set(sys.modules)))
"""


def test_record_does_not_pay_for_pandas_or_cantools(url: str) -> None:
    seen = subprocess.run([sys.executable, "-c", LOOK, url], capture_output=True, text=True, check=True)
    assert seen.stdout.strip() == ""
