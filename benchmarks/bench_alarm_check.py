"""Alarm rules over a stored session: the whole check beside the lake's read of the same channels.

usage: bench_alarm_check.py [--minutes 4] [--file-rows 65536] [--repeats 5]

The shipped car fs with its shipped rules, simulated (ten minutes, then again and again up to the length, each time with
an over-temperature and a cell that sags), in files of `--file-rows` frames: 65536 as they are appended, 1500000 as they
are merged. Medians, on one core, pinned, files warm:
- read: the frames that the rules look at, read file by file and decoded, nothing else;
- check: what `ved alarms check` does from the open folder on, reading included.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np

import ved
from ved.analysis.alarms.engine import Engine
from ved.api.framekeys import frame_key
from ved.api.history import all_of
from ved.api.parts import Part
from ved.canbus.faults import Fault
from ved.canbus.simulator import START_UTC_US, simulate_columns
from ved.config.vehicle import load_vehicle
from ved.db.database import Database
from ved.db.epochs import note_clock, note_description
from ved.db.sessions import save_sessions
from ved.lake.lake import Lake
from ved.lake.reading import Where
from ved.model.alarmrule import Rule
from ved.model.frames import FrameBatch, FrameColumns
from ved.model.records import BusDescription, Clock, ClockSource, Description
from ved.model.session import Session, SessionPart

EPOCH = bytes(range(16))
FAULTS = ("over_temperature@60+30", "cell_sag@120+10")
MOST_SIMULATED_S = 600.0
VEHICLE = load_vehicle(Path(__file__).parents[1] / "vehicles" / "fs")


def fill(folder: Path, seconds: float, file_rows: int) -> int:
    """The session; how many frames."""
    faults = [Fault.parse(text) for text in FAULTS]
    one = FrameColumns.concatenate(list(simulate_columns(VEHICLE, min(seconds, MOST_SIMULATED_S), 1, faults)))
    db = Database(f"sqlite:///{folder / 'db.sqlite'}")
    db.migrate()
    buses = tuple(BusDescription(bus.index, bus.name, tuple(bus.dbc_texts)) for bus in VEHICLE.buses)
    note_description(db, Description("fs", EPOCH, 1, "check", buses), START_UTC_US)
    note_clock(db, Clock("fs", EPOCH, 2, 0, START_UTC_US, ClockSource.RECORDED, 0))
    lake = Lake(str(folder / "lake"))
    length_us, seq, last = int(one.t_us[-1] - one.t_us[0]) + 1000, 1, 0
    for repeat in range(max(1, round(seconds / MOST_SIMULATED_S))):
        rest = (one.bus, one.arbitration_id, one.flags, one.length, one.payload)
        frames = FrameColumns(one.t_us + repeat * length_us, *rest)
        for at in range(0, len(frames), file_rows):
            batch = frames.take(slice(at, at + file_rows))
            lake.append([FrameBatch("fs", EPOCH, seq, batch)])
            seq, last = seq + len(batch), int(batch.t_us[-1])
    part = SessionPart(EPOCH, int(one.t_us[0]), last)
    utc_us = (START_UTC_US + part.t_from_us, START_UTC_US + last)
    save_sessions(db, [Session("check", "fs", *utc_us, is_open=False, parts=(part,))])
    db.close()
    return seq - 1


def read(lake: Lake, part: Part, rules: list[Rule]) -> int:
    """Read and decode what the rules look at; the samples."""
    used = Engine(rules, part.decoder.channels, part.aliases).looker.used
    wanted = np.zeros(len(part.decoder.channels), np.bool_)
    wanted[sorted(used)] = True
    where = Where(all_of({frame_key(part.decoder, number) for number in used}), with_seq=False)
    files = lake.parts(part.vehicle, part.epoch, where)
    return sum(len(part.decoder.decode(rows.frames, wanted).values) for rows in files)


def timed(work: Callable[[], object]) -> tuple[float, float]:
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    work()
    return time.process_time() - cpu_s, time.perf_counter() - wall_s


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=4)
    parser.add_argument("--file-rows", type=int, default=65_536)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    rules = list(VEHICLE.rules)
    with tempfile.TemporaryDirectory() as folder:
        count = fill(Path(folder), options.minutes * 60, options.file_rows)
        os.sched_setaffinity(0, {0})
        with ved.open(folder) as opened:
            session = opened.sessions()[0]
            (part,) = session.parts
            lake = Lake(str(Path(folder) / "lake"))
            samples, found = read(lake, part, rules), opened.check_alarms(session, rules)
            print(f"{session.duration_s:,.0f} s of fs, {count:,} frames, {options.file_rows:,} a file")
            print(f"looked at: {found.frames:,} frames, {samples:,} samples; {len(rules)} rules")
            print(f"{len(found.alarms)} alarms")
            runs = [
                (timed(lambda: read(lake, part, rules)), timed(lambda: opened.check_alarms(session, rules)))
                for _ in range(options.repeats)
            ]
    for at, what in enumerate(("CPU", "wall")):
        read_s, check_s = (median(run[which][at] for run in runs) for which in (0, 1))
        share = median(run[1][at] / run[0][at] for run in runs)
        print(f"{what:5} read {read_s:7.3f} s   check {check_s:7.3f} s   check / read {share:.2f}")


if __name__ == "__main__":
    main()
