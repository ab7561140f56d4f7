"""A stream `frames` that a test writes as ingest would, and what a database must then hold of it."""

import asyncio
import json
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter

from ved.broker.base import StreamWriter
from ved.broker.open import open_stream
from ved.codec.records import encode_record
from ved.db.database import Database
from ved.db.epochs import note_clock, note_description
from ved.dbc.decode import Decoder
from ved.dbc.load import DbcSource, load_set
from ved.influx.role import CURSOR, run_influx
from ved.influx.settings import InfluxSettings, InfluxTarget
from ved.metrics import Counters
from ved.model.frames import FrameBatch, FrameColumns
from ved.model.records import Arrival, BusDescription, Clock, ClockSource, Description, Lane, Record

EPOCH = bytes(range(16))
UTC_US = 1_750_000_000_000_000
DBC = """VERSION ""
BU_: A
BO_ 256 Motion: 8 A
 SG_ Speed : 0|16@1+ (0.01,0) [0|0] "km/h" A
 SG_ Yaw : 16|16@1- (0.1,-5) [0|0] "deg/s" A
 SG_ Ready : 32|1@1+ (1,0) [0|0] "" A
 SG_ Mode : 33|3@1+ (1,0) [0|0] "" A
BO_ 257 Cells: 8 A
 SG_ Part M : 0|8@1+ (1,0) [0|0] "" A
 SG_ U1 m0 : 8|16@1+ (0.001,0) [0|0] "V" A
 SG_ U2 m1 : 8|16@1+ (0.001,0) [0|0] "V" A
 SG_ U3 m1 : 24|16@1+ (0.001,0) [0|0] "V" A
BO_ 258 Measured: 8 A
 SG_ time : 0|32@1- (1,0) [0|0] "s" A
 SG_ bus : 32|32@1- (1,0) [0|0] "" A
SIG_VALTYPE_ 258 time : 1;
SIG_VALTYPE_ 258 bus : 1;
VAL_ 256 Mode 0 "off" 1 "on" ;
"""
DECODER = Decoder(load_set([DbcSource(0, "powertrain", "car", DBC)]))
FIELDS = {"Measured.time": "time_", "Measured.bus": "bus_"}

Points = dict[tuple[str, str], dict[int, float]]
"""Values by time in ns, of each (measurement, field)."""


def frames(first_seq: int, count: int, period_us: int = 1000, seed: int = 1) -> FrameBatch:
    """Frames of the DBC's three messages and one that nobody knows; two neighbours in each hundred share a time."""
    rng = np.random.default_rng(seed + first_seq)
    seq = np.arange(first_seq, first_seq + count)
    t_us = seq * period_us
    t_us[seq % 100 == 8] += period_us  # the same microsecond as the frame after it, of the same id
    ids = np.array([256, 257, 258, 999], np.uint32)[(seq // 2) % 4]
    payload = rng.integers(0, 256, (count, 8), np.uint8)
    payload[ids == 257, 0] %= 3
    columns = FrameColumns(
        t_us, np.zeros(count, np.uint8), ids, np.zeros(count, np.uint8), np.full(count, 8, np.uint8), payload
    )
    return FrameBatch("fs", EPOCH, first_seq, columns)


def expected(batches: list[FrameBatch], offset_us: int = UTC_US) -> Points:
    """What must be in the database, value by value, from the decoder alone."""
    out: Points = defaultdict(dict)
    for batch in batches:
        decoded = DECODER.decode(batch.frames)
        for number, channel in enumerate(DECODER.channels):
            part = slice(int(decoded.starts[number]), int(decoded.starts[number + 1]))
            name = (channel.message, FIELDS.get(channel.name, channel.signal))
            for row, t_us, value in zip(
                decoded.rows[part].tolist(), decoded.t_us[part].tolist(), decoded.values[part].tolist(), strict=True
            ):
                if np.isfinite(value):
                    out[name][(t_us + offset_us) * 1000 + (batch.first_seq + row) % 1000] = value
    return dict(out)


def stored(influx, vehicle: str = "fs", database: str = "ved") -> Points:
    """All points of a vehicle; that every series has the right tags is checked on the way."""
    out: Points = {}
    for series in influx.series(f"SELECT * FROM /.*/ WHERE vehicle = '{vehicle}' GROUP BY *", database):
        assert series["tags"]["vehicle"] == vehicle
        is_frame = series["name"] in {"Motion", "Cells", "Measured"}
        assert series["tags"].get("bus", "") == ("powertrain" if is_frame else "")
        for at, field in enumerate(series["columns"][1:], start=1):
            found = {row[0]: float(row[at]) for row in series["values"] if row[at] is not None}
            if found:
                out[series["name"], field] = found
    return out


class Car:
    """A data folder with its streams and database; batches go in as a car's would."""

    def __init__(self, folder: Path, url: str, **target) -> None:
        self.folder = folder
        self.db = Database(f"sqlite:///{folder}/people.db")
        self.db.migrate()
        self.stream = open_stream(folder, "frames")
        self.writer: StreamWriter = self.stream.writer()
        chosen = InfluxTarget(**({"url": url, "rate_hz": 0.0} | target))
        self.settings = InfluxSettings(folder, self.db.url, str(folder / "lake"), chosen)
        self.batches: list[FrameBatch] = []
        self.counters = Counters()
        self.next_seq = 1

    def begin(self, source: ClockSource = ClockSource.GPS, utc_us: int = UTC_US) -> None:
        self.put(Description("fs", EPOCH, 1, "car", (BusDescription(0, "powertrain", (DBC,)),)))
        self.put(Clock("fs", EPOCH, 2, 0, utc_us, source, 10))

    def put(self, record: Record) -> None:
        """Into the stream; notes into the database as well, where record has them within a blink."""
        if isinstance(record, Description):
            note_description(self.db, record, 1)
        elif isinstance(record, Clock):
            note_clock(self.db, record)
        self.writer.append(Arrival(1, time.time_ns() // 1000, Lane.LIVE), encode_record(record))

    def drive(self, count: int = 600, batches: int = 1, **how) -> None:
        for _ in range(batches):
            self.batches.append(frames(self.next_seq, count, **how))
            self.put(self.batches[-1])
            self.next_seq += count
        self.writer.sync()

    def is_written(self) -> bool:
        return self.stream.cursor(CURSOR) == self.writer.next_position

    def run(self, until: Callable[[], bool] | None = None) -> None:
        """Run the role in this process until all is written, or until `until`."""
        asyncio.run(asyncio.wait_for(self.run_until(until or self.is_written), 60))

    async def run_until(self, until: Callable[[], bool]) -> None:
        stop = asyncio.Event()
        role = asyncio.create_task(run_influx(self.settings, lambda _: None, stop, self.counters))
        while not role.done() and not until():
            await asyncio.sleep(0.02)
        stop.set()
        await role

    def process(self) -> subprocess.Popen:
        """The role in a process of its own, as the supervisor starts it."""
        command = [sys.executable, "-m", "ved.cli.role", "influx"]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(TypeAdapter(InfluxSettings).dump_json(self.settings) + b"\n")
        process.stdin.flush()
        assert json.loads(process.stdout.readline()) == {"ready": {}}
        return process

    def with_target(self, **changes) -> None:
        self.settings = replace(self.settings, target=replace(self.settings.target, **changes))

    def close(self) -> None:
        self.writer.close()
        self.db.close()
