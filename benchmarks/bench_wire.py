"""What a frame costs on the wire: bytes by part, beside the self-contained batch and other formats, and the time.

The synthetic load of the budgets (5.0 B/frame in 100 ms batches, 4.5 in 1 s batches), the recordings in tests/data and
the simulated cars. Each load goes over one connection from its first frame: what the writer has to learn first is in
it. "later" is a second connection of the same car. WebSocket, TLS and acks are not in it: `bench_link.py` has them.

`python benchmarks/bench_wire.py [seconds of load]`
"""

import statistics
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import zstandard
from bench_batch import RECORDING, blf_bytes, candump_text, cut, row_bytes
from synthetic_load import synthetic_load

from ved.canbus.simulator import SimulatorSource
from ved.codec import wire, wirebody
from ved.codec.batch import encode_batch
from ved.codec.columns import pack_columns
from ved.codec.learn import LayoutBook
from ved.codec.wire import WireDecoder, WireEncoder
from ved.config.vehicle import load_vehicle
from ved.errors import UserError
from ved.logfiles.open_log import open_log
from ved.model.frames import FrameBatch, FrameColumns

VEHICLES = Path(__file__).parents[1] / "vehicles"
BUDGETS = {100_000: 5.0, 1_000_000: 4.5}
TIME_SOURCE = 16


class Parts:
    """Counts what the writer spends its bits on, from inside it."""

    def __init__(self) -> None:
        self.bits: Counter[str] = Counter()
        self._to_numbers, self._pack_layout = wirebody.to_numbers, wire.pack_layout

    def __enter__(self) -> "Parts":
        wirebody.to_numbers, wire.pack_layout = self._count_numbers, self._count_layout
        return self

    def __exit__(self, *_: object) -> None:
        wirebody.to_numbers, wire.pack_layout = self._to_numbers, self._pack_layout

    def _count_numbers(self, columns, raw, counts):
        is_still, ks, is_time = columns.is_still, columns.ks, columns.source == TIME_SOURCE
        numbers = self._to_numbers(columns, raw, counts)
        is_frame = np.arange(len(numbers))[:, None] < counts
        quotients = np.minimum(numbers >> ks, np.uint64(32)).astype(np.int64)
        bits = (quotients + 1 + ks.astype(np.int64) + 64 * (quotients == 32)) * is_frame
        self.bits["times"] += int(bits[:, is_time & ~is_still].sum())
        self.bits["payload"] += int(bits[:, ~is_time & ~is_still].sum())
        return numbers

    def _count_layout(self, layout):
        packed = self._pack_layout(layout)
        self.bits["layouts"] += 8 * len(packed)
        return packed


def send(batches: Sequence[FrameBatch], book: LayoutBook) -> list[bytes]:
    """The bodies of a connection, each checked."""
    encoder, decoder, out = WireEncoder(book), WireDecoder("fs"), []
    for batch in batches:
        body = encoder.encode(batch)
        if body is None:
            body = encode_batch(batch)
        elif not decoder.decode(body).frames.equals(batch.frames):
            raise SystemExit("a batch came back changed")
        out.append(body)
    return out


def batch_parts(batches: Sequence[FrameBatch]) -> dict[str, float]:
    """About what the self-contained batch spends: its blocks compressed one by one."""
    found: Counter[str] = Counter()
    for batch in batches:
        groups, firsts, *rest = pack_columns(batch.frames)
        planes = groups[19]  # width of the residuals
        for name, blocks in (
            ("groups, order", [groups]),
            ("first bytes", [firsts]),
            ("times", rest[:planes]),
            ("payload", rest[planes:]),
        ):
            found[name] += sum(
                min(len(one), len(zstandard.ZstdCompressor(level=9).compress(one)) - 9) for one in blocks
            )
    frames = sum(batch.count for batch in batches)
    return {name: size / frames for name, size in found.items()}


def streamed(frames: Sequence[FrameBatch]) -> int:
    """Rows of 25 bytes in one zstd stream over the connection, flushed at each batch: its window is all that went."""
    stream = zstandard.ZstdCompressor(level=9).compressobj()
    return sum(
        len(stream.compress(row_bytes(batch.frames))) + len(stream.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK))
        for batch in frames
    )


def simulated(name: str, seconds: float) -> FrameColumns:
    """A simulated car's frames."""
    source = SimulatorSource(load_vehicle(VEHICLES / name), seed=1, speed=0, duration_s=seconds)
    source.open(time.monotonic_ns())
    chunks = []
    while (chunk := source.read(1.0)) is not None:
        chunks.append(chunk)
    return FrameColumns.concatenate(chunks)


def loads(seconds: float) -> dict[str, FrameColumns]:
    """All that is measured."""
    out = {"synthetic load": synthetic_load(seconds).frames}
    folder = RECORDING.parents[1]
    for name, path in (("drive", RECORDING), ("part 1", folder / "canedge-gnss-two-parts" / "part-1.MF4")):
        try:
            out[f"recording, {name}"] = FrameColumns.concatenate(list(open_log(path).chunks()))
        except UserError as error:
            print(f"recording left out: {error}")
    return out | {f"simulated {name}": simulated(name, seconds) for name in ("fs", "pe", "ps")}


def report_parts(frames: FrameColumns) -> None:
    """The table of parts, before and after."""
    print(f"\n{'B/frame, synthetic load':28}" + "".join(f"{us / 1e6:>9} s" for us in BUDGETS))
    columns: list[dict[str, float]] = []
    for batch_us in BUDGETS:
        batches = cut(frames, batch_us)
        before = batch_parts(batches)
        before["all"] = sum(len(encode_batch(batch)) for batch in batches) / len(frames)
        before["header, tables"] = before["all"] - sum(size for name, size in before.items() if name != "all")
        with Parts() as parts:
            total = sum(map(len, send(batches, LayoutBook()))) / len(frames)
        after = {name: bits / 8 / len(frames) for name, bits in parts.bits.items()}
        after["head, groups, order, rare changes"] = total - sum(after.values())
        after["all"] = total
        columns.append({f"batch: {k}": v for k, v in before.items()} | {f"wire: {k}": v for k, v in after.items()})
    for name in columns[0]:
        print(f"{name:40}" + "".join(f"{column.get(name, 0):>9.2f}" for column in columns))


def report_sizes(name: str, frames: FrameColumns) -> None:
    """One row for each way to cut."""
    text = len(candump_text(frames)) / len(frames)
    for batch_us in BUDGETS:
        batches = cut(frames, batch_us)
        book = LayoutBook()
        first, later = (sum(map(len, send(batches, book))) / len(frames) for _ in range(2))
        alone = sum(len(encode_batch(batch)) for batch in batches) / len(frames)
        cells = (first, later, alone, streamed(batches) / len(frames), blf_bytes(frames) / len(frames), text)
        print(f"{name:18}{batch_us / 1e6:>4} s" + "".join(f"{cell:>9.2f}" for cell in cells))


def report_times(frames: FrameColumns) -> None:
    """Medians of one run."""
    batches = cut(frames, 100_000)
    book = LayoutBook()
    send(batches, book)
    encoder, decoder = WireEncoder(book), WireDecoder("fs")
    encoding, decoding = [], []
    for batch in batches:
        start = time.perf_counter()
        body = encoder.encode(batch)
        middle = time.perf_counter()
        assert body is not None
        decoder.decode(body)
        encoding.append(middle - start)
        decoding.append(time.perf_counter() - middle)
    print(f"\nbatch of {len(batches[0].frames)} frames: encode {statistics.median(encoding) * 1e3:.2f} ms, ", end="")
    print(f"decode {statistics.median(decoding) * 1e3:.2f} ms")


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 30.0
    found = loads(seconds)
    frames = found["synthetic load"]
    names = ("wire", "later", "batch", "zstd", "BLF", "candump")
    print(f"{'B/frame':24}" + "".join(f"{name:>9}" for name in names))
    for name, one in found.items():
        report_sizes(name, one)
    report_parts(frames)
    report_times(frames)
    for batch_us, budget in BUDGETS.items():
        size = sum(map(len, send(cut(frames, batch_us), LayoutBook()))) / len(frames)
        verdict = "kept" if size <= budget else "MISSED"
        print(f"budget, {batch_us / 1e6} s batches: {size:.2f} of {budget} B/frame: {verdict}")


if __name__ == "__main__":
    main()
