"""The lake beside other stores in one run: bytes per frame, ingest, one and ten signals over a time.

usage: bench_stores.py [--hours 1] [--repeat 5]

The load is `synthetic_load.py` (6,040 frames/s, 360 signals). All stores hold the same ten minutes of it:
- lake: raw frames; queries decode them
- DuckDB: the same raw frames as a native table; its queries only find the frames, they do not decode
- InfluxDB 1.x and VictoriaMetrics (Debian's): decoded values by line protocol, one line a frame with its signals as
  fields, 20,000 lines a request
- MF4 (asammdf, bus log) and BLF (python-can): the files that people keep; their "query" reads and decodes one signal

Ingest is frames per CPU second of the store's process alone: making the lines is not counted (it is printed). The query
is min, max and last of a 100 Hz signal in 600 buckets. "first" is the first one after the store was opened anew.
Then the lake alone holds one hour, and `--hours`. Its queries run in a process of their own, whose memory is shown.
"""

import argparse
import contextlib
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from statistics import median

import can
import duckdb
import numpy as np
import pyarrow as pa
from bench_lake import EPOCH, cut, repeated
from peer_servers import Peer, influxdb, victoria_metrics
from synthetic_load import START_UTC_US, SyntheticLoad, synthetic_load

from ved.api.history import History
from ved.db.database import Database
from ved.db.epochs import note_clock, note_description
from ved.dbc.decode import Decoder
from ved.dbc.load import DbcSource, load_set
from ved.lake.lake import Lake
from ved.logfiles.blf_write import write_blf
from ved.logfiles.mf4_write import write_mf4
from ved.model.frames import FrameColumns
from ved.model.records import BusDescription, Clock, ClockSource, Description

LOAD_S = 600
BUCKETS = 600
LINES = 20_000
COMMIT_BATCHES = 434


@dataclass
class Row:
    store: str
    bytes_per_frame: float
    ingest: float
    first_ms: float | None
    one_ms: float | None
    ten_ms: float | None
    rss_mb: float | None = None

    def show(self) -> None:
        def ms(value: float | None) -> str:
            return "" if value is None else f"{value:,.1f}"

        rss = "" if self.rss_mb is None else f"{self.rss_mb:,.0f}"
        print(
            f"{self.store:<26}{self.bytes_per_frame:>9.2f}{self.ingest:>14,.0f}{ms(self.first_ms):>12}"
            f"{ms(self.one_ms):>12}{ms(self.ten_ms):>12}{rss:>9}",
            flush=True,
        )


def head(title: str) -> None:
    print(f"\n{title}")
    print(f"{'store':<26}{'B/frame':>9}{'frames/s CPU':>14}{'first ms':>12}{'one ms':>12}{'ten ms':>12}{'RSS MB':>9}")


def clock_ms(work: Callable[[], object], repeat: int) -> float:
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        work()
        times.append((time.perf_counter() - start) * 1e3)
    return median(times)


def peak_mb() -> float:
    """The most memory that this process itself ever had (ru_maxrss would count its parent's)."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(one.split()[1]) for one in lines if one.startswith("VmHWM")) / 1024


class Signals:
    """The set of the load, and ten of its 100 Hz signals in as many messages."""

    def __init__(self, load: SyntheticLoad) -> None:
        sources = [DbcSource(at, f"bus{at}", f"bus{at}.dbc", text) for at, text in enumerate(load.dbc_texts)]
        self.decoder = Decoder(load_set(sources))
        decoded = self.decoder.decode(load.frames)
        counts = np.diff(decoded.starts) / LOAD_S
        chosen: dict[str, int] = {}
        for number, channel in enumerate(self.decoder.channels):
            if abs(counts[number] - 100) < 5 and channel.kind == "continuous":
                chosen.setdefault(channel.message, number)
        self.numbers = list(chosen.values())[:10]
        self.names = [self.decoder.channels[number].name for number in self.numbers]


def lines_of(signals: Signals, frames: FrameColumns) -> Iterator[bytes]:
    """Line protocol, ns: one line a frame, 20,000 a piece."""
    decoded = signals.decoder.decode(frames)
    fields: dict[int, list[str]] = {}
    message_of: dict[int, str] = {}
    for number, channel in enumerate(signals.decoder.channels):
        part = slice(decoded.starts[number], decoded.starts[number + 1])
        for row, value in zip(decoded.rows[part].tolist(), decoded.values[part].tolist(), strict=True):
            if value == value and abs(value) < 1e300:
                fields.setdefault(row, []).append(f"{channel.signal}={value!r}")
                message_of[row] = channel.message
    out: list[str] = []
    for row in sorted(fields):
        at_ns = (START_UTC_US + int(frames.t_us[row])) * 1000
        out.append(f"{message_of[row]},vehicle=fs {','.join(fields[row])} {at_ns}")
        if len(out) == LINES:
            yield "\n".join(out).encode()
            out = []
    if out:
        yield "\n".join(out).encode()


def fill_lake(folder: Path, load: SyntheticLoad, repeats: int) -> tuple[Lake, float]:
    """The lake, compacted, and CPU seconds per frame of appending."""
    lake, seq, cpu = Lake(str(folder / "lake")), 1, 0.0
    for frames in repeated(load, repeats):
        batches = cut(frames, seq)
        seq += len(frames)
        for at in range(0, len(batches), COMMIT_BATCHES):
            start = time.process_time()
            lake.append(batches[at : at + COMMIT_BATCHES])
            cpu += time.process_time() - start
    lake.compact()
    return lake, cpu / (seq - 1)


def describe(folder: Path, load: SyntheticLoad) -> None:
    """The database beside the lake: DBCs and clock of the epoch."""
    with contextlib.closing(Database(f"sqlite:///{folder}/people.db")) as db:
        db.migrate()
        buses = tuple(BusDescription(at, f"bus{at}", (text,)) for at, text in enumerate(load.dbc_texts))
        note_description(db, Description("fs", EPOCH, 1, "bench", buses), 1)
        note_clock(db, Clock("fs", EPOCH, 2, 0, START_UTC_US, ClockSource.GPS, 1))


def query_lake(folder: Path, names: list[str], span_us: int, repeat: int) -> tuple[float, float, float, float]:
    """First, one and ten signals in ms, and this process's memory in MB; runs in a process of its own."""
    db = Database(f"sqlite:///{folder}/people.db")
    with contextlib.closing(db):
        history = History(Lake(str(folder / "lake")), db)

        def query(count: int) -> Callable[[], object]:
            end_us = START_UTC_US + span_us
            return lambda: history.buckets("fs", names[:count], START_UTC_US, end_us, span_us // BUCKETS)

        times = clock_ms(query(1), 1), clock_ms(query(1), repeat), clock_ms(query(10), repeat)
    return *times, peak_mb()


def in_own_process(work: Callable[..., tuple[float, ...]], *args: object) -> tuple[float, ...]:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(work, *args).result()


def bench_lake(folder: Path, load: SyntheticLoad, signals: Signals, repeats: int, repeat: int) -> Row:
    lake, cpu = fill_lake(folder, load, repeats)
    describe(folder, load)
    span_us = repeats * (int(load.frames.t_us[-1] - load.frames.t_us[0]) + 1000)
    first, one, ten, rss = in_own_process(query_lake, folder, signals.names, span_us, repeat)
    size = lake.stats().bytes / (repeats * len(load.frames))
    return Row(f"lake ({span_us / 3.6e9:.2g} h)", size, 1 / cpu, first, one, ten, rss)


def bench_duckdb(folder: Path, load: SyntheticLoad, signals: Signals, repeat: int) -> Row:
    path = folder / "frames.duckdb"
    frames = load.frames
    columns = pa.table(
        {
            "seq": np.arange(1, len(frames) + 1),
            "t_us": frames.t_us,
            "bus": frames.bus,
            "arbitration_id": frames.arbitration_id,
            "flags": frames.flags,
            "length": frames.length,
            "payload": frames.payload.view(np.int64)[:, 0],
        }
    )
    start = time.process_time()
    with contextlib.closing(duckdb.connect(path, config={"threads": 1})) as connection:
        connection.register("columns", columns)
        connection.execute("create table frames as select * from columns order by bus, arbitration_id, t_us")
        connection.execute("checkpoint")
    cpu = (time.process_time() - start) / len(frames)
    channels = [signals.decoder.channels[number] for number in signals.numbers]
    bucket_us = int(frames.t_us[-1] - frames.t_us[0]) // BUCKETS
    sql = (
        "select t_us // ? as b, min(payload), max(payload), arg_max(payload, t_us) from frames "
        "where bus = ? and arbitration_id = ? group by b order by b"
    )
    with contextlib.closing(duckdb.connect(path, read_only=True, config={"threads": 1})) as connection:

        def query(count: int) -> Callable[[], object]:
            return lambda: [
                connection.execute(sql, [bucket_us, one.bus, one.arbitration_id]).fetchnumpy()
                for one in channels[:count]
            ]

        first = clock_ms(query(1), 1)
        one, ten = clock_ms(query(1), repeat), clock_ms(query(10), repeat)
    return Row("DuckDB, no decoding", path.stat().st_size / len(frames), 1 / cpu, first, one, ten)


def write_all(peer: Peer, pieces: list[bytes], query: dict[str, str]) -> float:
    start = peer.cpu_s()
    for piece in pieces:
        peer.request("POST", "/write", query, piece)
    return peer.cpu_s() - start


def bench_influx(folder: Path, pieces: list[bytes], load: SyntheticLoad, signals: Signals, repeat: int) -> Row:
    frames = len(load.frames)
    with influxdb(folder / "influx") as peer:
        write_all(peer, pieces, {"db": "ved", "precision": "ns"})
        peer.request("POST", "/query", {"q": "SHOW SHARDS"})
        time.sleep(20)  # it writes its cache out and compacts behind
        cpu = peer.cpu_s()
        end_ns = (START_UTC_US + int(load.frames.t_us[-1])) * 1000

        def query(count: int) -> Callable[[], object]:
            wanted = [signals.decoder.channels[number] for number in signals.numbers[:count]]
            text = ";".join(
                f'SELECT MIN("{one.signal}"), MAX("{one.signal}"), LAST("{one.signal}") FROM "{one.message}" '
                f"WHERE time >= {START_UTC_US * 1000} AND time <= {end_ns} GROUP BY time({LOAD_S * 1000 // BUCKETS}ms)"
                for one in wanted
            )

            def run() -> None:
                found = json.loads(peer.request("GET", "/query", {"db": "ved", "q": text, "epoch": "ms"}))
                assert all(len(one["series"][0]["values"]) >= BUCKETS for one in found["results"]), found

            return run

        first = clock_ms(query(1), 1)
        one, ten = clock_ms(query(1), repeat), clock_ms(query(10), repeat)
        stored, rss = peer.stored_bytes(), peer.rss_bytes() / (1 << 20)
    return Row("InfluxDB 1.x", stored / frames, frames / cpu, first, one, ten, rss)


def bench_victoria(folder: Path, pieces: list[bytes], load: SyntheticLoad, signals: Signals, repeat: int) -> Row:
    frames = len(load.frames)
    with victoria_metrics(folder / "victoria") as peer:
        write_all(peer, pieces, {"precision": "ns"})
        peer.request("GET", "/internal/force_flush")
        peer.request("GET", "/internal/force_merge")
        time.sleep(20)
        cpu = peer.cpu_s()
        start_s, step_s = START_UTC_US / 1e6, LOAD_S / BUCKETS

        def query(count: int) -> Callable[[], object]:
            wanted = [signals.decoder.channels[number] for number in signals.numbers[:count]]

            def run() -> None:
                for one in wanted:
                    name = f'{{__name__="{one.message}_{one.signal}"}}[{step_s}s]'
                    for function in ("min_over_time", "max_over_time", "last_over_time"):
                        limits = {"start": str(start_s + step_s), "end": str(start_s + LOAD_S), "step": f"{step_s}s"}
                        asked = {"query": f"{function}({name})", "nocache": "1", **limits}
                        found = json.loads(peer.request("GET", "/api/v1/query_range", asked))
                        assert len(found["data"]["result"][0]["values"]) >= BUCKETS - 2, found

            return run

        first = clock_ms(query(1), 1)
        one, ten = clock_ms(query(1), repeat), clock_ms(query(10), repeat)
        stored, rss = peer.stored_bytes(), peer.rss_bytes() / (1 << 20)
    return Row("VictoriaMetrics", stored / frames, frames / cpu, first, one, ten, rss)


def bench_mf4(folder: Path, load: SyntheticLoad, signals: Signals) -> Row:
    from asammdf import MDF

    path, frames = folder / "load.mf4", load.frames
    start = time.process_time()
    write_mf4(path, [frames], START_UTC_US, {})
    cpu = (time.process_time() - start) / len(frames)
    dbc = folder / "bus.dbc"
    channel = signals.decoder.channels[signals.numbers[0]]
    dbc.write_text(load.dbc_texts[channel.bus or 0], encoding="utf-8")

    def query() -> object:
        with MDF(path) as mdf:
            return mdf.extract_bus_logging({"CAN": [(str(dbc), 0)]}).get(channel.signal)

    return Row("MF4 (asammdf)", path.stat().st_size / len(frames), 1 / cpu, None, clock_ms(query, 1), None)


def bench_blf(folder: Path, load: SyntheticLoad, signals: Signals) -> Row:
    path, frames = folder / "load.blf", load.frames
    start = time.process_time()
    write_blf(path, [frames], START_UTC_US)
    cpu = (time.process_time() - start) / len(frames)
    wanted = signals.decoder.channels[signals.numbers[0]].arbitration_id

    def query() -> object:
        with can.LogReader(path) as reader:
            return [message.data for message in reader if message.arbitration_id == wanted]

    return Row("BLF (python-can), no dec.", path.stat().st_size / len(frames), 1 / cpu, None, clock_ms(query, 1), None)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    load = synthetic_load(LOAD_S)
    signals = Signals(load)
    folder = Path(tempfile.mkdtemp(prefix="ved-bench-stores-"))
    try:
        head(f"{LOAD_S // 60} minutes, {len(load.frames):,} frames")
        (folder / "short").mkdir()
        bench_lake(folder / "short", load, signals, 1, options.repeat).show()
        bench_duckdb(folder, load, signals, options.repeat).show()
        start = time.process_time()
        pieces = list(lines_of(signals, load.frames))
        made = time.process_time() - start
        bench_influx(folder, pieces, load, signals, options.repeat).show()
        bench_victoria(folder, pieces, load, signals, options.repeat).show()
        bench_mf4(folder, load, signals).show()
        bench_blf(folder, load, signals).show()
        print(f"(making {sum(map(len, pieces)) / 1e6:,.0f} MB of lines for the two took {made:.0f} s more)")
        del pieces
        head("the lake alone")
        for hours in sorted({1.0, options.hours}):
            (folder / "long").mkdir()
            bench_lake(folder / "long", load, signals, round(hours * 3600 / LOAD_S), options.repeat).show()
            shutil.rmtree(folder / "long")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
