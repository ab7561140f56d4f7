"""The lake on one core: append speed, bytes per frame, query times, beside plain Parquet and DuckDB.

usage: bench_lake.py [--hours 1] [--repeat 7]

The load is `synthetic_load.py` (600 s of about 6,040 frames/s on 3 buses, repeated with shifted times). In one process,
pinned to one core:
- append: `Lake.append` from decoded columns, batches of 604 frames (100 ms), commits of 262,144 frames, everything
  synced. frames/s by the clock and by this process's CPU time. Peer: `pyarrow.parquet.write_table` of the same columns
  with zstd and its default encodings, rows as they came, not synced.
- size: live Parquet files per frame, as appended and after compaction; peer: that plain Parquet.
- query: min/max/last of one 100 Hz signal in 1,000 buckets over the whole time, decoded from raw frames (`History`).
  "first" has read no footer yet. Peers: DuckDB over our files and over the plain Parquet; both find the frames of that
  id and summarise raw payload numbers, without decoding.
- start: opening the lake, intervals included.
The recordings under tests/data are stored and measured beside it.
"""

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from synthetic_load import START_UTC_US, SyntheticLoad, synthetic_load

from ved.api.history import History
from ved.db.database import Database
from ved.db.epochs import note_clock, note_description
from ved.lake.lake import Lake
from ved.logfiles.open_log import open_log
from ved.model.frames import FrameBatch, FrameColumns
from ved.model.records import BusDescription, Clock, ClockSource, Description

EPOCH = bytes(range(16))
BATCH_FRAMES = 604
COMMIT_FRAMES = 262_144
LOAD_S = 600
BUCKETS = 1000
RECORDINGS = Path(__file__).parent.parent / "tests" / "data"


def cut(frames: FrameColumns, first_seq: int, vehicle: str = "fs") -> list[FrameBatch]:
    return [
        FrameBatch(vehicle, EPOCH, first_seq + at, frames.take(slice(at, at + BATCH_FRAMES)))
        for at in range(0, len(frames), BATCH_FRAMES)
    ]


def repeated(load: SyntheticLoad, repeats: int) -> Iterator[FrameColumns]:
    """The load again and again, each time right after the one before."""
    one = load.frames
    length_us = int(one.t_us[-1] - one.t_us[0]) + 1000
    for repeat in range(repeats):
        t_us = one.t_us + repeat * length_us
        yield FrameColumns(t_us, one.bus, one.arbitration_id, one.flags, one.length, one.payload)


def fill(lake: Lake, load: SyntheticLoad, repeats: int) -> tuple[list[float], list[float], int]:
    """Append the load; wall and CPU seconds per frame of each full commit, and the frames in all."""
    wall, cpu, seq = [], [], 1
    for frames in repeated(load, repeats):
        batches = cut(frames, seq)
        seq += len(load.frames)
        step = COMMIT_FRAMES // BATCH_FRAMES
        for at in range(0, len(batches), step):
            part = batches[at : at + step]
            count = sum(batch.count for batch in part)
            start, start_cpu = time.perf_counter(), time.process_time()
            lake.append(part)
            if len(part) == step:
                wall.append((time.perf_counter() - start) / count)
                cpu.append((time.process_time() - start_cpu) / count)
    return wall, cpu, seq - 1


def plain_parquet(load: SyntheticLoad, repeats: int, path: Path) -> float:
    """CPU seconds per frame of the peer."""
    seconds, count = 0.0, 0
    writer = None
    for part in repeated(load, repeats):
        table = pa.table(
            {
                "seq": np.arange(count + 1, count + 1 + len(part)),
                "t_us": part.t_us,
                "bus": part.bus.astype(np.int16),
                "arbitration_id": part.arbitration_id.astype(np.int32),
                "flags": part.flags.astype(np.int16),
                "length": part.length.astype(np.int16),
                "payload": part.payload.view(np.int64)[:, 0],
            }
        )
        writer = writer or pq.ParquetWriter(path, table.schema, compression="zstd")
        start = time.process_time()
        writer.write_table(table)
        seconds += time.process_time() - start
        count += len(part)
    assert writer is not None
    writer.close()
    return seconds / count


def timed(work: Callable[[], object], repeat: int) -> tuple[float, float]:
    """Median milliseconds by the clock, and of CPU."""
    clock, cpu = [], []
    for _ in range(repeat):
        start, start_cpu = time.perf_counter(), time.process_time()
        work()
        clock.append((time.perf_counter() - start) * 1e3)
        cpu.append((time.process_time() - start_cpu) * 1e3)
    return median(clock), median(cpu)


def line(what: str, value: str, note: str = "") -> None:
    print(f"{what:<52}{value:>16}  {note}")


def recordings() -> None:
    for path in sorted(RECORDINGS.rglob("*.MF4")):
        frames = FrameColumns.concatenate(list(open_log(path).chunks()))
        with tempfile.TemporaryDirectory() as folder:
            lake = Lake(folder)
            lake.append(cut(frames, 1))
            appended = lake.stats().bytes / len(frames)
            lake.compact()
            note = f"{len(frames):,} frames; file {path.stat().st_size / len(frames):.1f} B/frame"
            line(f"recording {path.name}", f"{appended:.2f} B/frame", note)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--repeat", type=int, default=7)
    options = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    pa.set_cpu_count(1)
    load = synthetic_load(LOAD_S)
    repeats = max(1, round(options.hours * 3600 / LOAD_S))
    folder = Path(tempfile.mkdtemp(prefix="ved-bench-lake-"))
    try:
        measure(load, repeats, folder, options.repeat)
        recordings()
    finally:
        shutil.rmtree(folder)


def measure(load: SyntheticLoad, repeats: int, folder: Path, repeat: int) -> None:
    url = str(folder / "lake")
    lake = Lake(url)
    wall, cpu, frames = fill(lake, load, repeats)
    peer = plain_parquet(load, repeats, folder / "plain.parquet")
    plain = (folder / "plain.parquet").stat().st_size / frames
    line("frames", f"{frames:,}")
    line("append, clock", f"{1e-6 / median(wall):.2f} M/s", "median of full commits; synced")
    line("append, CPU", f"{1e-6 / median(cpu):.2f} M/s", f"plain Parquet {1e-6 / peer:.2f} M/s")
    line("size as appended", f"{lake.stats().bytes / frames:.2f} B/frame", f"{lake.stats().files} files")
    start = time.process_time()
    lake.compact()
    took = time.process_time() - start
    size = lake.stats().bytes / frames
    line("size compacted", f"{size:.2f} B/frame", f"plain Parquet {plain:.2f}: {plain / size:.2f} times ours")
    line("compaction, CPU", f"{frames / took * 1e-6:.2f} M/s", f"{lake.stats().files} files")
    opened, opened_cpu = timed(lambda: Lake.existing(url), repeat)
    line("start (open, intervals)", f"{opened:.1f} ms", f"CPU {opened_cpu:.1f} ms")
    query(load, frames, folder, repeat)


def query(load: SyntheticLoad, frames: int, folder: Path, repeat: int) -> None:
    db = Database(f"sqlite:///{folder}/people.db")
    db.migrate()
    buses = tuple(BusDescription(at, f"bus{at}", (text,)) for at, text in enumerate(load.dbc_texts))
    note_description(db, Description("fs", EPOCH, 1, "bench", buses), 1)
    note_clock(db, Clock("fs", EPOCH, 2, 0, START_UTC_US, ClockSource.GPS, 1))
    lake = Lake(str(folder / "lake"))
    history = History(lake, db)
    counts = np.bincount(load.frames.arbitration_id[load.frames.flags == 0])
    wanted = int(np.flatnonzero(np.abs(counts / LOAD_S - 100) < 5)[0])
    channel = next(one for one in history.channels("fs") if one.arbitration_id == wanted and not one.is_extended)
    span_us = frames * LOAD_S * 1_000_000 // len(load.frames)
    bucket_us = span_us // BUCKETS

    def ours() -> object:
        found = history.buckets("fs", [channel.name], START_UTC_US, START_UTC_US + span_us, bucket_us)[channel.name]
        assert BUCKETS - 1 <= len(found.t_us) <= BUCKETS + 1
        return found

    ours()  # compiles the decoder
    history = History(Lake(str(folder / "lake")), db)
    first = timed(ours, 1)
    again = timed(ours, repeat)
    files = [str(path) for path in (folder / "lake").rglob("*.parquet")]
    live = lake.live_paths()
    files = [path for path in files if str(Path(path).relative_to(folder / "lake" / "frames")) in live]
    connection = duckdb.connect(config={"threads": 1})
    sql = (
        "select t_us // ? as b, min(payload), max(payload), arg_max(payload, t_us) from read_parquet(?) "
        "where bus = ? and arbitration_id = ? group by b order by b"
    )

    def duck(paths: list[str]) -> Callable[[], object]:
        return lambda: connection.execute(sql, [bucket_us, paths, channel.bus, channel.arbitration_id]).fetchnumpy()

    hours = span_us / 3.6e9
    own, own_cpu = timed(duck(files), repeat)
    plain, plain_cpu = timed(duck([str(folder / "plain.parquet")]), min(3, repeat))
    title = f"one signal, {hours:.1f} h to {BUCKETS} buckets"
    line(f"{title}, first", f"{first[0]:.1f} ms", f"CPU {first[1]:.1f} ms; {channel.name}")
    line(title, f"{again[0]:.1f} ms", f"CPU {again[1]:.1f} ms")
    line("  DuckDB on our files", f"{own:.1f} ms", f"CPU {own_cpu:.1f} ms, {own_cpu / again[1]:.1f} times ours")
    note = f"CPU {plain_cpu:.1f} ms, {plain_cpu / again[1]:.1f} times ours"
    line("  DuckDB on plain Parquet", f"{plain:.1f} ms", note)
    db.close()


if __name__ == "__main__":
    main()
