"""The load that the budgets speak of: 60 messages on 3 buses, 360 signals, about 6,040 frames/s, seeded.

11- and 29-bit ids, little and big endian, floats, counters, CRCs, a multiplexed message; a clock with drift and jitter
for every message. The same seed gives the same bytes. `python benchmarks/synthetic_load.py [seconds] [folder]` prints
its size and, with a folder, writes it there: all.dbc, bus0.dbc to bus2.dbc, frames.npz.
"""

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ved.model.frames import FrameColumns, FrameFlag

BUS_COUNT: Final = 3
START_UTC_US: Final = 1_790_000_000_000_000
_LAP_S: Final = 92.0
_RATES_HZ: Final = [200] * 12 + [100] * 34 + [20] * 10 + [10] * 4
_PLAN: Final = {
    "imu": 9,
    "wheel": 11,
    "mix12": 9,
    "temps": 8,
    "float": 5,
    "ecu": 8,
    "crc": 5,
    "short": 2,
    "six": 2,
    "mux": 1,
}
_ECU: Final = [(16, "u_med"), (10, "u_low"), (10, "s_med"), (8, "temp"), (8, "u_low")]
_TEMPLATES: Final = {
    "imu": [(16, "s_noisy")] * 4,
    "wheel": [(16, "u_med")] * 4,
    "mix12": [(12, "u_low")] * 4 + [(12, "s_med"), (4, "cnt")],
    "temps": [(8, "temp")] * 8,
    "float": [(32, "f")] * 2,
    "ecu": _ECU + [(1, "flag")] * 4 + [(4, "enum"), (4, "cnt")],
    "crc": [(16, "s_med"), (16, "u_med"), (12, "u_low"), (8, "temp"), (4, "cnt"), (8, "crc")],
    "short": [(16, "u_med"), (8, "u_low"), (8, "temp")],
    "six": [(16, "s_med"), (16, "u_low"), (12, "u_low"), (4, "enum")],
}


@dataclass
class _Signal:
    name: str
    start: int
    bits: int
    kind: str
    mux: int | str | None = None
    scale: float = 1.0
    offset: float = 0.0

    @property
    def is_signed(self) -> bool:
        return self.kind.startswith("s_")

    @property
    def is_float(self) -> bool:
        return self.kind == "f"


@dataclass
class _Message:
    name: str
    number: int
    is_extended: bool
    bus: int
    rate_hz: int
    template: str
    is_big_endian: bool
    length: int = 8
    signals: list[_Signal] = field(default_factory=list)

    @property
    def dbc_number(self) -> int:
        return self.number | (0x80000000 if self.is_extended else 0)


@dataclass(frozen=True)
class SyntheticLoad:
    """Frames in the order of time (`t_us` from START_UTC_US), one DBC text per bus, and one for all messages."""

    frames: FrameColumns
    dbc_texts: tuple[str, ...]
    all_dbc_text: str
    message_count: int
    signal_count: int


def synthetic_load(seconds: float = 60.0, seed: int = 7) -> SyntheticLoad:
    """The load of `seconds` seconds."""
    rng = np.random.default_rng(seed)
    messages = _messages(rng)
    parts = [_frames(rng, message, seconds) for message in messages]
    frames = FrameColumns.concatenate(parts)
    texts = tuple(_dbc([message for message in messages if message.bus == bus]) for bus in range(BUS_COUNT))
    return SyntheticLoad(
        frames.take(np.argsort(frames.t_us, kind="stable")),
        texts,
        _dbc(messages),
        len(messages),
        sum(len(message.signals) for message in messages),
    )


def _messages(rng: np.random.Generator) -> list[_Message]:
    rates = list(_RATES_HZ)
    rng.shuffle(rates)
    plan = [name for name, count in _PLAN.items() for _ in range(count)]
    rng.shuffle(plan)
    taken: set[tuple[int, bool]] = set()
    messages = []
    for index, (template, rate_hz) in enumerate(zip(plan, rates, strict=True)):
        is_extended = index % 5 == 4
        while True:
            number = int(0x18F00000 + rng.integers(0, 0xFFFF)) if is_extended else int(rng.integers(0x100, 0x7F0))
            if (number, is_extended) not in taken:
                break
        taken.add((number, is_extended))
        name = f"M{index:02d}_{template}"
        messages.append(_Message(name, number, is_extended, index % BUS_COUNT, rate_hz, template, index % 4 == 1))
    for message in messages:
        _add_signals(rng, message)
    return messages


def _add_signals(rng: np.random.Generator, message: _Message) -> None:
    if message.template == "mux":
        message.is_big_endian = False
        message.signals = [_Signal(f"{message.name}_MUX", 0, 8, "mux", "M")]
        for page in range(6):
            for cell in range(3):
                name = f"{message.name}_cell{page * 3 + cell}"
                message.signals.append(_Signal(name, 8 + 16 * cell, 16, "u_cell", page))
        message.signals.append(_Signal(f"{message.name}_state", 56, 8, "enum"))
    else:
        start = 0
        for index, (bits, kind) in enumerate(_TEMPLATES[message.template]):
            message.signals.append(_Signal(f"{message.name}_s{index}_{kind}", start, bits, kind))
            start += bits
        message.length = (start + 7) // 8
    scales = {
        "s_noisy": [0.001, 0.01, 0.000244140625],
        "u_med": [0.1, 0.01, 0.05],
        "u_low": [0.5, 0.1, 0.4],
    }
    for signal in message.signals:
        if signal.kind in scales:
            signal.scale = float(rng.choice(scales[signal.kind]))
        elif signal.kind == "s_med":
            signal.scale = 0.1
        elif signal.kind == "temp":
            signal.offset = -40.0
        elif signal.kind == "u_cell":
            signal.scale = 0.0001


def _dbc(messages: list[_Message]) -> str:
    lines = ['VERSION ""\n', "NS_ :\n", "BS_:\n", "BU_: ECU LOG\n"]
    for message in messages:
        lines.append(f"BO_ {message.dbc_number} {message.name}: {message.length} ECU")
        for signal in message.signals:
            mux = "" if signal.mux is None else (" M" if signal.mux == "M" else f" m{signal.mux}")
            start = 8 * (signal.start // 8) + 7 - signal.start % 8 if message.is_big_endian else signal.start
            order = 0 if message.is_big_endian else 1
            sign = "-" if signal.is_signed or signal.is_float else "+"
            place = f"{start}|{signal.bits}@{order}{sign}"
            lines.append(f' SG_ {signal.name}{mux} : {place} ({signal.scale},{signal.offset}) [0|0] "u" LOG')
        lines.append("")
    for message in messages:
        for signal in message.signals:
            if signal.kind == "enum":
                choices = '0 "Off" 1 "Init" 2 "Ready" 3 "Run" 4 "Fault" ;'
                lines.append(f"VAL_ {message.dbc_number} {signal.name} {choices}")
    for message in messages:
        lines += [
            f"SIG_VALTYPE_ {message.dbc_number} {signal.name} : 1;" for signal in message.signals if signal.is_float
        ]
    return "\n".join(lines) + "\n"


def _smooth(rng: np.random.Generator, t: NDArray[np.float64], amplitude: float) -> NDArray[np.float64]:
    """Like a car on a track: a part that comes back every lap, and faster movements on top."""
    y = np.zeros_like(t)
    for _ in range(5):
        f = float(rng.integers(1, 40)) / _LAP_S
        y += rng.normal() * np.sin(2 * np.pi * f * t + rng.uniform(0, 6.3)) / (1 + 0.15 * f * _LAP_S / 4)
    for _ in range(3):
        f = rng.uniform(0.3, 3)
        y += 0.08 * rng.normal() * np.sin(2 * np.pi * f * t + rng.uniform(0, 6.3))
    y /= max(1e-9, np.abs(y).max())
    return y * amplitude


def _raw(rng: np.random.Generator, signal: _Signal, t: NDArray[np.float64]) -> NDArray[np.int64]:
    n, top = len(t), 1 << signal.bits
    kind = signal.kind
    if kind == "cnt":
        return np.arange(n) % top
    if kind == "mux":
        return np.arange(n) % 6
    if kind == "flag":
        if rng.uniform() < 0.6:
            return (np.floor(t / rng.uniform(2, 60) + rng.uniform()).astype(np.int64)) % 2
        return np.zeros(n, np.int64)
    if kind == "enum":
        return np.minimum(4, np.floor(t / rng.uniform(60, 300)).astype(np.int64) + 1)
    if kind == "f":
        value = rng.uniform(50, 500) + _smooth(rng, t, 40) + rng.normal(size=n) * 0.01
        return value.astype(np.float32).view(np.uint32).astype(np.int64)
    if kind == "temp":
        warm = 120 + 40 * (1 - np.exp(-t / 150)) * rng.uniform(0.2, 1)
        return np.rint(warm + _smooth(rng, t, 3) + 0.05 * rng.normal(size=n)).astype(np.int64)
    if kind == "u_cell":
        return np.rint(38000 - t * 3 + _smooth(rng, t, 800) + rng.normal(size=n) * 3).astype(np.int64)
    if kind == "s_noisy":
        return np.rint(_smooth(rng, t, 12000) + rng.normal(size=n) * rng.uniform(10, 60)).astype(np.int64)
    if kind == "u_med":
        return np.rint(20000 + _smooth(rng, t, 15000) + rng.normal(size=n) * rng.uniform(1, 6)).astype(np.int64)
    if kind == "s_med":
        return np.rint(_smooth(rng, t, top * 0.35) + rng.normal(size=n) * 1.0).astype(np.int64)
    y = _smooth(rng, t, top * 0.6) + top * 0.3  # u_low: clipped like a throttle, now and then unused
    raw = np.clip(np.rint(y + 0.2 * rng.normal(size=n)), 0, top - 1).astype(np.int64)
    if rng.uniform() < 0.2:
        raw[:] = int(top * 0.3)
    return raw


def _frames(rng: np.random.Generator, message: _Message, seconds: float) -> FrameColumns:
    n = int(seconds * message.rate_hz)
    t = (np.arange(n) + rng.uniform(0, 1)) / message.rate_hz
    drift = rng.normal() * 30e-6
    t = t * (1 + drift) + np.abs(rng.normal(size=n)) * 80e-6
    word = np.zeros(n, np.uint64)
    page = np.zeros(n, np.int64)
    for signal in message.signals:
        if signal.kind == "crc":
            continue
        raw = _raw(rng, signal, t)
        if signal.kind == "mux":
            page = raw
        top = 1 << signal.bits
        if not signal.is_float:
            raw = np.clip(raw, -(top >> 1) if signal.is_signed else 0, (top >> 1) - 1 if signal.is_signed else top - 1)
        shift = 64 - signal.start - signal.bits if message.is_big_endian else signal.start
        value = (raw & (top - 1)).astype(np.uint64) << np.uint64(shift)
        word |= np.where(page == signal.mux, value, np.uint64(0)) if isinstance(signal.mux, int) else value
    if message.is_big_endian:
        word = word.byteswap()
    payload = word.view(np.uint8).reshape(n, 8).copy()
    if message.template == "crc":
        payload[:, 7] = _crc8(payload[:, :7])
    return FrameColumns(
        np.rint(t * 1e6).astype(np.int64),
        np.full(n, message.bus, np.uint8),
        np.full(n, message.number, np.uint32),
        np.full(n, FrameFlag.EXTENDED if message.is_extended else 0, np.uint8),
        np.full(n, message.length, np.uint8),
        payload,
    )


def _crc8(data: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """CRC-8 SAE J1850 of each row."""
    table = np.zeros(256, np.uint8)
    for value in range(256):
        crc = value
        for _ in range(8):
            crc = ((crc << 1) ^ 0x1D) & 0xFF if crc & 0x80 else (crc << 1) & 0xFF
        table[value] = crc
    out = np.full(len(data), 0xFF, np.uint8)
    for column in range(data.shape[1]):
        out = table[out ^ data[:, column]]
    return out ^ np.uint8(0xFF)


def write_load(load: SyntheticLoad, folder: Path) -> None:
    """The load as files; times in frames.npz are ns of UTC."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "all.dbc").write_text(load.all_dbc_text)
    for bus, text in enumerate(load.dbc_texts):
        (folder / f"bus{bus}.dbc").write_text(text)
    frames = load.frames
    np.savez(
        folder / "frames.npz",
        ts=(frames.t_us + START_UTC_US) * 1000,
        bus=frames.bus,
        id=frames.arbitration_id,
        ext=frames.flags & np.uint8(FrameFlag.EXTENDED),
        dlc=frames.length,
        data=frames.payload,
    )


def main() -> None:
    """Print what the load is; write it where a folder is named."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    load = synthetic_load(seconds)
    rate = len(load.frames) / seconds
    print(f"{load.message_count} messages, {load.signal_count} signals, {len(load.frames)} frames, {rate:.0f} frames/s")
    if len(sys.argv) > 2:
        write_load(load, Path(sys.argv[2]))


if __name__ == "__main__":
    main()
