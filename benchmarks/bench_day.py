"""A day of 10 h in the lake: its overview from rollups, SQL over it, and how much memory export and SQL take.

usage: bench_day.py [--hours 10] [--messages 10] [--keep FOLDER]

The load is `synthetic_load.py`'s messages of 100 Hz, as many as asked for (0: its whole load, 217 million frames),
600 s of them repeated with shifted times, as one session, compacted. Each figure comes from a process of its own: time
by the clock, and the largest resident memory that the process ever had (Linux). "overview" is min/max/last of one
signal in 900 buckets of 40 s (`History.buckets`), first with nothing of it read before, then again; beside it the same
without rollups.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from synthetic_load import START_UTC_US, synthetic_load

from ved.db.database import Database
from ved.db.epochs import note_clock, note_description
from ved.db.sessions import save_sessions
from ved.lake.lake import Lake
from ved.model.frames import FrameBatch, FrameColumns
from ved.model.records import BusDescription, Clock, ClockSource, Description
from ved.model.session import Session, SessionPart
from ved.record.rolling import make_rollups

EPOCH = bytes(range(16))
LOAD_S = 600
BUCKET_US = 40_000_000


def fill(folder: Path, hours: float, messages: int) -> int:
    """The day; how many frames."""
    load = synthetic_load(LOAD_S)
    names = load.frames.bus.astype(np.int64) << 32 | load.frames.arbitration_id
    found, counts = np.unique(names, return_counts=True)
    chosen = found[np.abs(counts / LOAD_S - 100) < 5][:messages]
    one = load.frames.take(np.isin(names, chosen)) if messages else load.frames
    db = Database(f"sqlite:///{folder / 'db.sqlite'}")
    db.migrate()
    buses = tuple(BusDescription(at, f"bus{at}", (text,)) for at, text in enumerate(load.dbc_texts))
    note_description(db, Description("fs", EPOCH, 1, "day", buses), START_UTC_US)
    note_clock(db, Clock("fs", EPOCH, 2, 0, START_UTC_US, ClockSource.RECORDED, 0))
    lake = Lake(str(folder / "lake"))
    length_us = int(one.t_us[-1] - one.t_us[0]) + 1000
    seq, last = 1, 0
    for repeat in range(round(hours * 3600 / LOAD_S)):
        rest = (one.bus, one.arbitration_id, one.flags, one.length, one.payload)
        frames = FrameColumns(one.t_us + repeat * length_us, *rest)
        lake.append([FrameBatch("fs", EPOCH, seq, frames)])
        seq, last = seq + len(frames), int(frames.t_us[-1])
    lake.compact()
    lake.vacuum(0.0)
    part = SessionPart(EPOCH, int(one.t_us[0]), last)
    utc_us = (START_UTC_US + part.t_from_us, START_UTC_US + last)
    save_sessions(db, [Session("day", "fs", *utc_us, is_open=False, parts=(part,))])
    db.close()
    return seq - 1


def overview(folder: Path) -> dict[str, float]:
    from ved.api.history import History

    db = Database(f"sqlite:///{folder / 'db.sqlite'}")
    lake = Lake(str(folder / "lake"))
    history = History(lake, db)
    span = lake.time_range("fs", EPOCH)
    assert span is not None
    names = [one.name for one in history.channels("fs")]
    name = next(n for n in names if len(history.samples("fs", n, *window(span, 60)).values))  # compiles the kernel
    out = {}
    for what in ("first", "again"):
        began = time.perf_counter()
        found = history.buckets("fs", [name], *window(span), BUCKET_US)
        out[f"overview, {what} [ms]"] = (time.perf_counter() - began) * 1000
    out["buckets"] = len(found[name].t_us)
    return out


def window(span: tuple[int, int], seconds: float | None = None) -> tuple[int, int]:
    first = (START_UTC_US + span[0]) // BUCKET_US * BUCKET_US
    return first, START_UTC_US + span[1] + 1 if seconds is None else first + round(seconds * 1e6)


def sql(folder: Path) -> dict[str, float]:
    import ved

    with ved.open(folder) as lake:
        first = (
            "select channel from channels where time < (select min(start) from sessions) + interval 1 minute limit 1"
        )
        channel = lake.sql(first).to_dicts()[0]["channel"]
        about = f"""select "table", "column" from signals where channel = '{channel}'"""
        table = lake.sql(about).to_dicts()[0]
        name = f'fs."{table["table"]}"'
        began = time.perf_counter()
        found = lake.sql(f'select count(*) as n, avg("{table["column"]}") from {name}').to_dicts()
        out = {"one signal, whole day [s]": time.perf_counter() - began, "rows": found[0]["n"]}
        began = time.perf_counter()
        lake.sql("select channel, count(*), min(value), max(value) from channels group by all").to_dicts()
        out["all channels, whole day [s]"] = time.perf_counter() - began
    return out


def export(folder: Path, file_format: str) -> dict[str, float]:
    import ved
    from ved.api.export import Export, export_session

    with ved.open(folder) as lake:
        began = time.perf_counter()
        rows = export_session(lake.sessions()[0], Export(file_format), folder / f"out.{file_format}")
        return {"[s]": time.perf_counter() - began, "rows": rows}


STEPS = {
    "overview from samples": overview,
    "rollups": lambda folder: {
        "made": make_rollups(Lake(str(folder / "lake")), Database(f"sqlite:///{folder / 'db.sqlite'}"), lambda _: True)
    },
    "overview from rollups": overview,
    "SQL": sql,
    "export parquet": lambda folder: export(folder, "parquet"),
    "export candump": lambda folder: export(folder, "candump"),
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--hours", type=float, default=10.0)
    parser.add_argument("--messages", type=int, default=10)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--step", nargs=2)
    given = parser.parse_args()
    if given.step:
        began = time.perf_counter()
        found = STEPS[given.step[0]](Path(given.step[1]))
        status = Path("/proc/self/status").read_text()
        peak = int(status.split("VmHWM:")[1].split()[0]) / 1024
        print(json.dumps({**found, "process [s]": time.perf_counter() - began, "peak memory [MB]": peak}))
        return
    folder = given.keep or Path(tempfile.mkdtemp(prefix="ved-day-"))
    folder.mkdir(exist_ok=True)
    try:
        began = time.perf_counter()
        frames = fill(folder, given.hours, given.messages)
        print(f"{given.hours:g} h, {frames:,} frames, filled and compacted in {time.perf_counter() - began:.1f} s")
        for name in STEPS:
            command = [sys.executable, __file__, "--step", name, str(folder)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            figures = json.loads(done.stdout.splitlines()[-1])
            print(f"{name:24}", ", ".join(f"{what} {value:,.1f}" for what, value in figures.items()))
        size = sum(file.stat().st_size for file in (folder / "lake" / "rollups").rglob("*.parquet"))
        print(f"rollups take {size / 1e6:.1f} MB, the frames {Lake(str(folder / 'lake')).stats().bytes / 1e6:.1f} MB")
    finally:
        if given.keep is None:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
