"""Line protocol for InfluxDB: frames/s made and taken, beside a point object for each signal.

usage: bench_influx.py [--seconds 30] [--peer-seconds 4]

The load is that of `synthetic_load.py`. Figures are frames per second of processor time (the machine may be busy), the
decoding included on every side:
- ours: the role's `LineWriter`, every frame one line with all its signals; in chunks of half a second (live), of
  100 ms, and of 8,192 frames (catching up); then the same gzipped, as it goes over HTTP.
- a point for each signal of each frame, made as `influxdb-client` does it: an object with measurement, tags, one field
  and time, turned into a line by itself; and the same with one point for each frame with all its fields.
Lines of all ways are compared: the same values at the same times. Then a real influxd (Debian's package) takes ours and
the peer's lines: processor time of the server per frame, and bytes on its disk after it wrote them out.
"""

import argparse
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from peer_servers import influxdb
from synthetic_load import BUS_COUNT, START_UTC_US, SyntheticLoad, synthetic_load

from ved.dbc.decode import Decoder
from ved.dbc.load import DbcSource, load_set
from ved.influx.lines import Lines, LineWriter, Source
from ved.influx.sender import bodies
from ved.model.frames import FrameColumns

SOURCE = Source("fs", bytes(16), START_UTC_US, {bus: f"bus{bus}" for bus in range(BUS_COUNT)})
LIVE_FRAMES = 3020


@dataclass
class Point:
    """A point as client libraries have it: made by chained calls, written as one line."""

    measurement: str
    tags: dict[str, str] = field(default_factory=dict)
    fields: dict[str, float] = field(default_factory=dict)
    time_ns: int = 0

    def tag(self, name: str, value: str) -> "Point":
        self.tags[name] = value
        return self

    def field(self, name: str, value: float) -> "Point":
        self.fields[name] = value
        return self

    def time(self, time_ns: int) -> "Point":
        self.time_ns = time_ns
        return self

    def to_line_protocol(self) -> str:
        tags = "".join(f",{_escaped(name)}={_escaped(value)}" for name, value in sorted(self.tags.items()))
        fields = ",".join(f"{_escaped(name)}={value!r}" for name, value in sorted(self.fields.items()))
        return (
            f"{self.measurement.replace(',', chr(92) + ',').replace(' ', chr(92) + ' ')}{tags} {fields} {self.time_ns}"
        )


def _escaped(text: str) -> str:
    return text.replace(",", "\\,").replace("=", "\\=").replace(" ", "\\ ")


def ours(load: SyntheticLoad, decoder: Decoder, chunk: int) -> list[bytes]:
    writer, out = LineWriter(0.0), []
    for at in range(0, len(load.frames), chunk):
        part = load.frames.take(slice(at, at + chunk))
        lines = Lines()
        writer.frames(SOURCE, np.arange(at + 1, at + 1 + len(part)), part, decoder, lines)
        out += bodies(lines.parts)
    return out


def points_per_signal(frames: FrameColumns, decoder: Decoder) -> list[bytes]:
    return [("\n".join(point.to_line_protocol() for point in _signal_points(frames, decoder)) + "\n").encode()]


def _signal_points(frames: FrameColumns, decoder: Decoder) -> Iterator[Point]:
    decoded = decoder.decode(frames)
    for number, channel in enumerate(decoder.channels):
        rows = decoded.rows[decoded.starts[number] : decoded.starts[number + 1]].tolist()
        t_us, values = decoded.column(number)
        for row, t, value in zip(rows, t_us.tolist(), values.tolist(), strict=True):
            point = Point(channel.message).tag("vehicle", "fs").tag("bus", f"bus{channel.bus}")
            yield point.field(channel.signal, value).time((t + START_UTC_US) * 1000 + (row + 1) % 1000)


def points_per_frame(frames: FrameColumns, decoder: Decoder) -> list[bytes]:
    points: dict[int, Point] = {}
    decoded = decoder.decode(frames)
    for number, channel in enumerate(decoder.channels):
        rows = decoded.rows[decoded.starts[number] : decoded.starts[number + 1]].tolist()
        t_us, values = decoded.column(number)
        for row, t, value in zip(rows, t_us.tolist(), values.tolist(), strict=True):
            point = points.get(row)
            if point is None:
                point = Point(channel.message).tag("vehicle", "fs").tag("bus", f"bus{channel.bus}")
                points[row] = point.time((t + START_UTC_US) * 1000 + (row + 1) % 1000)
            point.field(channel.signal, value)
    return [("\n".join(point.to_line_protocol() for point in points.values()) + "\n").encode()]


def cpu_s(work: Callable[[], Any], repeat: int = 3) -> float:
    """Least processor seconds of some runs, after one that is not counted."""
    work()
    best = float("inf")
    for _ in range(repeat):
        start = time.process_time()
        work()
        best = min(best, time.process_time() - start)
    return best


def values_of(text: list[bytes]) -> set[tuple[str, str, int, float]]:
    out = set()
    for line in b"".join(text).decode().splitlines():
        head, fields, stamp = line.split(" ")
        for one in fields.split(","):
            name, value = one.split("=")
            out.add((head.split(",")[0], name, int(stamp), float(value)))
    return out


def server_cost(name: str, text: list[bytes], frames: int) -> None:
    with tempfile.TemporaryDirectory() as folder, influxdb(Path(folder) / "db") as peer:
        before, start = peer.cpu_s(), time.perf_counter()
        for body in bodies(text, 1 << 20):
            peer.request("POST", "/write", {"db": "ved", "precision": "ns"}, body)
        taken_s, cpu = time.perf_counter() - start, peer.cpu_s() - before
        print(
            f"  {name:34} {frames / cpu:12,.0f} frames/s of its processor time, {frames / taken_s:10,.0f} on the clock,"
        )
        print(f"  {'':34} {peer.stored_bytes() / frames:12.1f} bytes/frame on its disk before it compacts")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--peer-seconds", type=float, default=4.0)
    options = parser.parse_args()
    load, small = synthetic_load(options.seconds), synthetic_load(options.peer_seconds)
    decoder = Decoder(
        load_set([DbcSource(bus, f"bus{bus}", f"bus{bus}.dbc", load.dbc_texts[bus]) for bus in range(BUS_COUNT)])
    )
    n, few = len(load.frames), len(small.frames)
    assert values_of(ours(small, decoder, LIVE_FRAMES)) == values_of(points_per_signal(small.frames, decoder))
    assert values_of(ours(small, decoder, LIVE_FRAMES)) == values_of(points_per_frame(small.frames, decoder))
    print(f"{n:,} frames; frames/s of processor time, decoding included")
    live = cpu_s(lambda: ours(load, decoder, LIVE_FRAMES))
    per_signal = cpu_s(lambda: points_per_signal(small.frames, decoder), 2) / few * n
    per_frame = cpu_s(lambda: points_per_frame(small.frames, decoder), 2) / few * n
    for name, spent in (
        ("ours, chunks of half a second", live),
        ("ours, chunks of 100 ms", cpu_s(lambda: ours(load, decoder, 604))),
        ("ours, chunks of 8,192 frames", cpu_s(lambda: ours(load, decoder, 8192))),
        (
            "ours, half a second, gzipped",
            cpu_s(lambda: [zlib.compress(one, 1, wbits=31) for one in ours(load, decoder, LIVE_FRAMES)]),
        ),
        ("a point object for each signal", per_signal),
        ("a point object for each frame", per_frame),
    ):
        print(f"  {name:34} {n / spent:12,.0f} frames/s   {spent / live:6.1f} times ours")
    text = ours(load, decoder, LIVE_FRAMES)
    packed = sum(len(zlib.compress(one, 1, wbits=31)) for one in text)
    print(f"  {sum(map(len, text)) / n:.0f} bytes/frame as text, {packed / n:.1f} gzipped")
    print("a real influxd takes them")
    server_cost("ours: a line for each frame", text, n)
    server_cost("a line for each signal", points_per_signal(small.frames, decoder), few)


if __name__ == "__main__":
    main()
