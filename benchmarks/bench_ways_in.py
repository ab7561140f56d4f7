"""What each way in costs: bytes per frame beside the car link's, and frames (values) per second that one core takes in.

The synthetic load of the budgets, in batches of 100 ms as a sender would cut them. Bytes are what the format carries:
UDP, TCP, HTTP and TLS around it are not in it, MQTT's fixed header and topic are. Time is the processor's, from bytes
to columns.

`python benchmarks/bench_ways_in.py [seconds of load]`
"""

import struct
import sys
import time
from collections.abc import Callable, Sequence

import numpy as np
from bench_batch import candump_text, cut
from can import Message
from can.interfaces.udp_multicast.utils import pack_message
from synthetic_load import synthetic_load

from ved.canbus.network.candumptext import CandumpTalk
from ved.canbus.network.cannelloni import parse_cannelloni
from ved.canbus.network.mqttframes import parse_mqtt_frames
from ved.canbus.network.multicast import parse_multicast
from ved.canbus.network.rawframes import RawFrames
from ved.canbus.network.socketcand import SocketcandTalk
from ved.codec.learn import LayoutBook
from ved.codec.records import encode_record
from ved.codec.wire import WireDecoder, WireEncoder
from ved.model.frames import FrameBatch, FrameColumns, FrameFlag
from ved.model.samples import SampleBatch
from ved.sensors.jsonvalues import add_json_value
from ved.sensors.lineprotocol import parse_lines
from ved.sensors.values import Placer, ValueList

TOPIC = b"ved/fs/powertrain"
PACKET = 1472
CHANNELS, RATE_HZ = 50, 100


def rows_of(frames: FrameColumns) -> list[tuple[int, int, int, bytes]]:
    """(time, id with its flag, length, data) of each frame; the load has no remote and no CAN FD frames."""
    extended = (frames.flags & np.uint8(FrameFlag.EXTENDED)).astype(np.int64) << 31
    raw = (frames.arbitration_id.astype(np.int64) | extended).tolist()
    data = [row.tobytes()[:length] for row, length in zip(frames.payload, frames.length.tolist(), strict=True)]
    return list(zip(frames.t_us.tolist(), raw, frames.length.tolist(), data, strict=True))


def cannelloni(frames: FrameColumns) -> list[bytes]:
    """Datagrams of at most an Ethernet packet."""
    out: list[bytes] = []
    parts: list[bytes] = []
    for _, raw, length, data in rows_of(frames):
        part = struct.pack(">IB", raw, length) + data
        if sum(map(len, parts)) + len(part) + 5 > PACKET:
            out.append(struct.pack(">BBBH", 2, 0, len(out) % 256, len(parts)) + b"".join(parts))
            parts = []
        parts.append(part)
    return [*out, struct.pack(">BBBH", 2, 0, len(out) % 256, len(parts)) + b"".join(parts)]


def mqtt(frames: FrameColumns) -> list[bytes]:
    rows = rows_of(frames)
    start_us = rows[0][0]
    head = struct.pack("<BBHIIQ", 1, 0, len(rows), 1, 0, start_us)
    return [head + b"".join(struct.pack("<IIBB", raw, t - start_us, size, 0) + data for t, raw, size, data in rows)]


def socketcand(frames: FrameColumns) -> list[bytes]:
    text = []
    for t_us, raw, _, data in rows_of(frames):
        number = f"{raw & 0x1FFF_FFFF:08X}" if raw >> 31 else f"{raw:03X}"
        seconds, micro = divmod(1_790_000_000_000_000 + t_us, 1_000_000)
        text.append(f"< frame {number} {seconds}.{micro:06d} {data.hex().upper()} >")
    return ["".join(text).encode()]


def console(frames: FrameColumns) -> list[bytes]:
    lines = []
    for _, raw, length, data in rows_of(frames):
        number = f"{raw & 0x1FFF_FFFF:08X}" if raw >> 31 else f"     {raw:03X}"
        lines.append(f"  can0  {number}   [{length}]  {data.hex(' ').upper()}\n")
    return ["".join(lines).encode()]


def multicast(frames: FrameColumns) -> list[bytes]:
    return [
        pack_message(
            Message(
                timestamp=1_790_000_000 + t_us / 1e6,
                arbitration_id=raw & 0x1FFF_FFFF,
                is_extended_id=bool(raw >> 31),
                data=data,
                channel=None,
            )
        )
        for t_us, raw, _, data in rows_of(frames)
    ]


def columns(found: RawFrames) -> int:
    return len(found.columns(0, np.zeros(len(found), np.int64)))


def timed(read: Callable[[], int]) -> float:
    """Rows per second, the best of three."""
    best = 0.0
    for _ in range(3):
        begun = time.process_time()
        count = read()
        best = max(best, count / (time.process_time() - begun))
    return best


def tell(name: str, size: float, rate: float, unit: str = "frame") -> None:
    print(f"  {name:<34} {size:7.1f} B/{unit}   {rate:12,.0f} {unit}s/s")


def measure_frames(seconds: float) -> None:
    frames = synthetic_load(seconds).frames
    whole: Sequence[FrameBatch] = cut(frames, 100_000)
    batches = [one.frames for one in whole]
    count = len(frames)
    print(f"{count:,} frames in batches of 100 ms")
    encoder = WireEncoder(LayoutBook())
    bodies = [encoder.encode(one) or b"" for one in whole]

    def read_wire() -> int:
        decoder = WireDecoder("fs")
        return sum(decoder.decode(body).count for body in bodies if body)

    tell("the car's link (docs/spec/wire.md)", sum(map(len, bodies)) / count, timed(read_wire))
    head = 2 + 3 + len(TOPIC) + 2
    makers = {
        "cannelloni": (cannelloni, lambda one: columns(parse_cannelloni(one).frames), 0),
        "MQTT, raw frames (docs/spec/mqtt.md)": (mqtt, lambda one: columns(parse_mqtt_frames(one).frames), head),
        "candump -L over TCP": (lambda one: [candump_text(one)], lambda one: columns(CandumpTalk().feed(one)), 0),
        "candump's console form": (console, lambda one: columns(CandumpTalk().feed(one)), 0),
        "socketcand": (socketcand, read_socketcand, 0),
        "udp_multicast (msgpack)": (multicast, lambda one: columns(parse_multicast(one)), 0),
    }
    for name, (make, read, extra) in makers.items():
        pieces = [piece for one in batches for piece in make(one)]
        size = sum(len(piece) + extra for piece in pieces) / count
        tell(name, size, timed(lambda pieces=pieces, read=read: sum(read(piece) for piece in pieces)))


def read_socketcand(piece: bytes) -> int:
    talk = SocketcandTalk("can0")
    talk.feed(b"< hi >< ok >< ok >")
    return columns(talk.feed(piece))


def measure_values(seconds: float) -> None:
    """CHANNELS channels at RATE_HZ, each value with its time."""
    dice = np.random.default_rng(1)
    steps = round(seconds * RATE_HZ)
    values = np.round(20 + np.cumsum(dice.normal(0, 0.05, (steps, CHANNELS)), axis=0), 2)
    start_s = 1_790_000_000
    topics = [b"sensors/board%d/value%d" % (number % 5, number) for number in range(CHANNELS)]
    payloads = [
        (b'{"value":%.2f,"t":%.3f}' % (value, start_s + step / RATE_HZ), topics[number])
        for step in range(steps)
        for number, value in enumerate(values[step])
    ]
    bodies = []
    for at in range(0, steps, RATE_HZ // 10):
        lines = []
        for step in range(at, min(at + RATE_HZ // 10, steps)):
            row = values[step]
            for board in range(5):
                fields = ",".join(f"value{n}={row[n]:.2f}" for n in range(board, CHANNELS, 5))
                lines.append(f"board,number={board} {fields} {(start_s * RATE_HZ + step) * 10**9 // RATE_HZ}\n")
        bodies.append("".join(lines).encode())
    count = steps * CHANNELS
    print(f"{count:,} values of {CHANNELS} channels at {RATE_HZ} Hz")

    def read_json() -> int:
        found = ValueList()
        for payload, topic in payloads:
            add_json_value(payload, topic.decode().replace("/", "."), found)
        return len(found.values())

    def read_lines() -> int:
        return sum(len(parse_lines(body).values) for body in bodies)

    size = sum(len(payload) + 2 + 2 + len(topic) + 2 for payload, topic in payloads) / count
    tell("MQTT, JSON a value", size, timed(read_json), "value")
    tell("line protocol over HTTP", sum(map(len, bodies)) / count, timed(read_lines), "value")
    parsed = [parse_lines(body).values for body in bodies]
    records: list[bytes] = []

    def make_records() -> int:
        records.clear()
        placer, seq = Placer(), 1
        for found in parsed:
            rows, refused = placer.place(found, 0, int(found.utc_us[0]) + 500_000)
            assert not refused
            records.append(encode_record(SampleBatch("fs", bytes(16), seq, rows.channels, rows.samples)))
            seq += len(rows)
        return seq - 1

    rate = timed(make_records)
    tell("samples over the car's link", sum(map(len, records)) / count, rate, "value")


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
    measure_frames(seconds)
    measure_values(seconds)


if __name__ == "__main__":
    main()
