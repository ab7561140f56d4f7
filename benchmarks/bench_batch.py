"""What a batch costs: bytes per frame beside other formats, and the time to encode and decode one.

Sizes: the synthetic load of the budgets (and the recording of tests/data where asammdf is installed), cut into batches
of 100 ms and 1 s; each batch stands alone, header included. The other formats hold the same frames: per batch where
they are sent in packets, as one file where they are files. Budget: 7.0 B/frame in 100 ms batches, 5.4 in 1 s batches.

Times: medians over the batches of one run, then the median of several runs; a 100 ms batch every 100 ms makes the
share of one core. `python benchmarks/bench_batch.py [seconds of load] [runs]`
"""

import gzip
import itertools
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import can
import numpy as np
import zstandard
from synthetic_load import START_UTC_US, synthetic_load

from ved.codec.batch import decode_batch, encode_batch
from ved.errors import UserError
from ved.logfiles.candump import write_candump
from ved.logfiles.open_log import open_log
from ved.model.frames import FrameBatch, FrameColumns, FrameFlag

RECORDING = Path(__file__).parents[1] / "tests" / "data" / "canedge-gps" / "drive-9min.MF4"
BATCHES_US = (100_000, 1_000_000)
BUDGETS = {100_000: 7.0, 1_000_000: 5.4}


def cut(frames: FrameColumns, batch_us: int) -> list[FrameBatch]:
    """Batches by time."""
    edges = np.flatnonzero(np.diff(frames.t_us // batch_us)) + 1
    ends = [0, *edges.tolist(), len(frames)]
    return [
        FrameBatch("fs", bytes(16), first + 1, frames.take(slice(first, last)))
        for first, last in itertools.pairwise(ends)
    ]


def candump_text(frames: FrameColumns) -> bytes:
    """The frames as `candump -L` prints them."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.log"
        write_candump(path, [frames], START_UTC_US, {})
        return path.read_bytes()


def blf_bytes(frames: FrameColumns) -> int:
    """Size of the Vector BLF file that python-can writes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.blf"
        with can.BLFWriter(path) as writer:
            for row in range(len(frames)):
                writer.on_message_received(
                    can.Message(
                        timestamp=(START_UTC_US + int(frames.t_us[row])) / 1e6,
                        arbitration_id=int(frames.arbitration_id[row]),
                        is_extended_id=bool(frames.flags[row] & FrameFlag.EXTENDED),
                        channel=int(frames.bus[row]),
                        data=frames.payload[row, : frames.length[row]].tobytes(),
                    )
                )
        return path.stat().st_size


def cannelloni_bytes(frames: FrameColumns) -> int:
    """cannelloni's UDP layout: 5 bytes a packet, then id u32, length u8, data a frame; it carries no times."""
    return 5 + 5 * len(frames) + int(frames.length.sum(dtype=np.int64))


def json_bytes(frames: FrameColumns) -> int:
    """One JSON object a frame, as MQTT bridges send them (topic and packet not counted)."""
    return sum(
        len(
            json.dumps({"timestamp": t / 1e6, "bus": bus, "id": number, "length": length, "data": data.tobytes().hex()})
        )
        for t, bus, number, length, data in zip(
            (frames.t_us + START_UTC_US).tolist(),
            frames.bus.tolist(),
            frames.arbitration_id.tolist(),
            frames.length.tolist(),
            frames.payload,
            strict=True,
        )
    )


def row_bytes(frames: FrameColumns) -> bytes:
    """SocketCAN's struct behind a u64 time and a bus byte: 25 bytes a frame."""
    rows = np.zeros(
        len(frames), [("t", "<i8"), ("bus", "u1"), ("id", "<u4"), ("length", "u1"), ("pad", "3u1"), ("data", "8u1")]
    )
    rows["t"], rows["bus"], rows["id"] = frames.t_us, frames.bus, frames.arbitration_id
    rows["length"], rows["data"] = frames.length, frames.payload[:, :8]
    return rows.tobytes()


def packet_sizes(frames: FrameColumns, batch_us: int) -> dict[str, float]:
    """Format -> bytes per frame, for what is sent batch by batch."""
    batches = cut(frames, batch_us)
    parts = [batch.frames for batch in batches]
    return {
        "this batch encoding": _per_frame(frames, (len(encode_batch(batch)) for batch in batches)),
        "rows of 25 bytes, zstd 9": _per_frame(
            frames, (len(zstandard.ZstdCompressor(level=9).compress(row_bytes(part))) for part in parts)
        ),
        "cannelloni (without times)": _per_frame(frames, map(cannelloni_bytes, parts)),
        "candump text, gzip": _per_frame(frames, (len(gzip.compress(candump_text(part))) for part in parts)),
    }


def file_sizes(frames: FrameColumns) -> dict[str, float]:
    """Format -> bytes per frame, for what does not depend on batches."""
    text = candump_text(frames)
    return {
        "BLF, one file": blf_bytes(frames) / len(frames),
        "candump text, gzip, one file": len(gzip.compress(text)) / len(frames),
        "candump text": len(text) / len(frames),
        "JSON": json_bytes(frames) / len(frames),
    }


def _per_frame(frames: FrameColumns, found: Iterator[int]) -> float:
    return sum(found) / len(frames)


def median_ms(work: Callable[[Any], object], items: Sequence[Any], runs: int) -> float:
    """Median over runs of the median over items."""
    medians = []
    for _ in range(runs):
        times = []
        for item in items:
            start = time.perf_counter()
            work(item)
            times.append(time.perf_counter() - start)
        medians.append(statistics.median(times) * 1e3)
    return statistics.median(medians)


def report_sizes(name: str, frames: FrameColumns) -> None:
    """One table."""
    whole = file_sizes(frames)
    columns = [packet_sizes(frames, batch_us) | whole for batch_us in BATCHES_US]
    print(f"\n{name}: {len(frames)} frames, bytes per frame (times ours)")
    print(f"{'':32}{'100 ms batches':>20}{'1 s batches':>20}")
    for row in columns[0]:
        cells = [f"{column[row]:.2f} ({column[row] / column['this batch encoding']:.1f}x)" for column in columns]
        print(f"{row:32}{cells[0]:>20}{cells[1]:>20}")


def main() -> None:
    """Print all tables."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 20.0
    runs = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    frames = synthetic_load(seconds).frames
    report_sizes("synthetic load", frames)
    try:
        report_sizes("recording of a drive", FrameColumns.concatenate(list(open_log(RECORDING).chunks())))
    except UserError as error:
        print(f"\nrecording left out: {error}")
    print(f"\ntime per batch, median of {runs} runs")
    print(
        f"{'':24}{'frames':>8}{'encode ms':>12}{'decode ms':>12}{'M frames/s in':>15}{'out':>8}{'core, encoding':>16}"
    )
    for batch_us in BATCHES_US:
        batches = cut(frames, batch_us)[:200]
        records = [encode_batch(batch) for batch in batches]
        for batch, record in zip(batches, records, strict=True):
            if not decode_batch(record).frames.equals(batch.frames):
                raise SystemExit("a batch came back changed")
        encode, decode = median_ms(encode_batch, batches, runs), median_ms(decode_batch, records, runs)
        count = statistics.median(batch.count for batch in batches)
        share = encode * 1e3 / batch_us
        rates = f"{count / encode / 1e3:>15.2f}{count / decode / 1e3:>8.2f}"
        print(f"{batch_us / 1e6:>20} s  {count:>8.0f}{encode:>12.2f}{decode:>12.2f}{rates}{share:>16.1%}")
    for batch_us, budget in BUDGETS.items():
        ours = sum(len(encode_batch(batch)) for batch in cut(frames, batch_us)) / len(frames)
        verdict = "kept" if ours <= budget else "MISSED"
        print(f"budget, {batch_us / 1e6} s batches: {ours:.2f} of {budget} B/frame: {verdict}")


if __name__ == "__main__":
    main()
