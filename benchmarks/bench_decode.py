"""Decoding: frames/s of the batch decoder, cantools and asammdf on one core, all signals kept as columns.

usage: bench_decode.py [--seconds 60] [--repeat 5]

The load is that of `synthetic_load.py`: 60 messages, 360 signals, about 6,040 frames/s on 3 buses; a recorded drive is
reported beside it. Measured, each as the median of several runs in this process, pinned to one core:
- ours: `Decoder.decode` over the whole load in batches of 65,536 frames (the largest that exist); time, value and row
  columns of every signal are kept until the end.
- cantools: `Message.decode` frame by frame, value tables off, values appended to one list per signal; over a part of
  the load.
- asammdf: `MDF.extract_bus_logging` from frames in memory, then all signals read as physical columns; and, beside it,
  its inner `extract_mux` alone over frames that were already sorted by id.
- live: one batch of 100 ms (600 frames), all 360 signals.
All values are compared with cantools before anything is timed.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import cantools
import numpy as np
from synthetic_load import SyntheticLoad, synthetic_load

from ved.dbc.decode import Decoded, Decoder
from ved.dbc.load import DbcSource, load_set
from ved.logfiles.open_log import open_log
from ved.model.frames import MAX_BATCH_FRAMES, FrameColumns

LIVE_FRAMES = 600
CANTOOLS_FRAMES = 20_000


def timed(work: Callable[[], Any], repeat: int) -> float:
    """Median seconds of `repeat` runs, after one that is not counted."""
    work()
    seconds = []
    for _ in range(repeat):
        start = time.perf_counter()
        kept = work()
        seconds.append(time.perf_counter() - start)
        del kept
    return median(seconds)


def decode_all(decoder: Decoder, frames: FrameColumns) -> list[Decoded]:
    size = MAX_BATCH_FRAMES
    return [decoder.decode(frames.take(slice(at, at + size))) for at in range(0, len(frames), size)]


def cantools_decode(database: Any, frames: FrameColumns) -> dict[tuple[int, str], list[tuple[int, float]]]:
    messages = {(message.frame_id, message.is_extended_frame): message for message in database.messages}
    columns: dict[tuple[int, str], list[tuple[int, float]]] = {}
    for row in range(len(frames)):
        frame_id = int(frames.arbitration_id[row])
        message = messages.get((frame_id, bool(frames.flags[row] & 1)))
        if message is None:
            continue
        data = frames.payload[row, : frames.length[row]].tobytes()
        for name, value in message.decode(data, decode_choices=False).items():
            columns.setdefault((frame_id, name), []).append((row, value))
    return columns


def check(decoder: Decoder, database: Any, frames: FrameColumns) -> int:
    """Every value equal to cantools' own; returns how many were compared."""
    decoded = decoder.decode(frames)
    expected = cantools_decode(database, frames)
    for number, channel in enumerate(decoder.channels):
        _, values = decoded.column(number)
        theirs = [value for _, value in expected.pop((channel.arbitration_id, channel.signal), [])]
        if not np.array_equal(values, np.array(theirs, np.float64), equal_nan=True):
            raise SystemExit(f"{channel.name} differs from cantools")
    if expected:
        raise SystemExit(f"signals that only cantools has: {sorted(expected)[:3]}")
    return len(decoded.values)


def asammdf_log(frames: FrameColumns) -> Any:
    """The frames as an ASAM bus log in memory."""
    from asammdf import MDF, Signal
    from asammdf.blocks.v4_constants import BUS_TYPE_CAN, SOURCE_BUS
    from asammdf.signal import Source

    element = np.dtype(
        [
            ("CAN_DataFrame.BusChannel", "<u1"),
            ("CAN_DataFrame.ID", "<u4"),
            ("CAN_DataFrame.IDE", "<u1"),
            ("CAN_DataFrame.DLC", "<u1"),
            ("CAN_DataFrame.DataLength", "<u1"),
            ("CAN_DataFrame.DataBytes", "(8,)u1"),
            ("CAN_DataFrame.Dir", "<u1"),
        ]
    )
    samples = np.zeros(len(frames), element)
    samples["CAN_DataFrame.BusChannel"] = 1
    samples["CAN_DataFrame.ID"] = frames.arbitration_id
    samples["CAN_DataFrame.IDE"] = frames.flags & 1
    samples["CAN_DataFrame.DLC"] = samples["CAN_DataFrame.DataLength"] = frames.length
    samples["CAN_DataFrame.DataBytes"] = frames.payload
    source = Source("CAN", "CAN", "", SOURCE_BUS, BUS_TYPE_CAN)
    log = MDF(version="4.10")
    log.append(Signal(samples=samples, timestamps=frames.t_us / 1e6, name="CAN_DataFrame", source=source))
    return log


def asammdf_extract(log: Any, dbc: Path) -> list[Any]:
    extracted = log.extract_bus_logging(database_files={"CAN": [(str(dbc), 0)]}, ignore_value2text_conversion=True)
    kept = [signal.physical() for signal in extracted.iter_channels(raw=True, copy_master=False)]
    extracted.close()
    return kept


def asammdf_kernel(dbc: Path, frames: FrameColumns) -> Callable[[], list[Any]]:
    """asammdf's extraction alone: the frames of each id are cut out before."""
    from asammdf.blocks.bus_logging_utils import extract_mux
    from asammdf.blocks.utils import load_can_database

    parts = []
    for message in load_can_database(dbc):
        rows = np.flatnonzero(frames.arbitration_id == message.arbitration_id.id)
        parts.append((message, frames.payload[rows], frames.t_us[rows] / 1e6))
    return lambda: [extract_mux(payload, message, None, 0, t, raw=False) for message, payload, t in parts]


def report_recording(repeat: int) -> None:
    folder = Path(__file__).parents[1] / "tests" / "data" / "canedge-gps"
    text = (folder / "canmod-gps.dbc").read_text(encoding="utf-8")
    frames = FrameColumns.concatenate(list(open_log(folder / "drive-9min.MF4").chunks()))
    decoder = Decoder(load_set([DbcSource(None, "", "canmod-gps.dbc", text)]))
    database: Any = cantools.database.load_string(text, "dbc")
    check(decoder, database, frames)
    ours = len(frames) / timed(lambda: decode_all(decoder, frames), repeat)
    peer = len(frames) / timed(lambda: cantools_decode(database, frames), 1)
    print(f"recorded drive, {len(frames):,} frames, all values = cantools'")
    print(f"{'ours':<42}{ours:>12,.0f}")
    print(f"{'cantools':<42}{peer:>12,.0f}{ours / peer:>11.1f}x")


def run(load: SyntheticLoad, dbc: Path, repeat: int) -> None:
    frames = load.frames
    buses = [DbcSource(bus, f"bus{bus}", f"bus{bus}.dbc", text) for bus, text in enumerate(load.dbc_texts)]
    start = time.perf_counter()
    decoder = Decoder(load_set(buses))
    ready_s = time.perf_counter() - start
    database: Any = cantools.database.load_string(load.all_dbc_text, "dbc")
    compared = check(decoder, database, frames.take(slice(0, CANTOOLS_FRAMES)))
    part = frames.take(slice(0, CANTOOLS_FRAMES))
    live = frames.take(slice(LIVE_FRAMES, 2 * LIVE_FRAMES))
    ours_s = timed(lambda: decode_all(decoder, frames), repeat)
    cantools_s = timed(lambda: cantools_decode(database, part), max(2, repeat // 2))
    log = asammdf_log(frames)
    mdf_s = timed(lambda: asammdf_extract(log, dbc), max(2, repeat // 2))
    log.close()
    kernel_s = timed(asammdf_kernel(dbc, frames), repeat)
    live_s = timed(lambda: decoder.decode(live), 200)
    ours = len(frames) / ours_s
    samples = sum(len(decoded.values) for decoded in decode_all(decoder, frames))
    print(
        f"{len(frames):,} frames, {samples:,} samples, {len(decoder.channels)} signals; {compared:,} values = cantools'"
    )
    print(f"{'decode, one core':<42}{'frames/s':>12}{'ours is':>12}   budget")
    print(f"{'ours':<42}{ours:>12,.0f}{'':>12}")
    for name, peer, budget in (
        ("cantools", len(part) / cantools_s, ">= 25x"),
        ("asammdf, bus log to physical columns", len(frames) / mdf_s, ">= 5x"),
        ("asammdf, extract_mux alone, ids sorted", len(frames) / kernel_s, ""),
    ):
        print(f"{name:<42}{peer:>12,.0f}{ours / peer:>11.1f}x   {budget}")
    print(f"{'live batch, 600 frames, 360 signals':<42}{live_s * 1000:>9.3f} ms{'':>12}   <= 0.1 ms")
    print(f"{'load DBCs, plan, kernel from cache or new':<42}{ready_s * 1000:>9.0f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60, help="length of a load that is made")
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as folder:
        load, dbc = synthetic_load(options.seconds), Path(folder) / "all.dbc"
        dbc.write_text(load.all_dbc_text, encoding="utf-8")
        run(load, dbc, options.repeat)
    report_recording(options.repeat)


if __name__ == "__main__":
    main()
