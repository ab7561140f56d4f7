"""The truth: a source that writes every frame to a file which no fault touches, before anybody else gets it.

One file per life of the car's program. A frame's payload holds its life and its number, so that a stored frame leads
back to the one true row, whatever seq or epoch it is filed under; the rest of the payload and the id are mixed from
the number by an own formula.
"""

import os
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ved.model.clockmap import ClockPair
from ved.model.frames import FrameColumns, FrameFlag
from ved.model.records import ClockSource
from ved.model.vehicle import Vehicle, VehicleBus

ROW = np.dtype(
    [
        ("t_us", "<i8"), ("id", "<u4"), ("life", "<u2"), ("bus", "u1"), ("flags", "u1"), ("length", "u1"),
        ("pad", "u1", 3), ("number", "<u4"), ("payload", "u1", 8),
    ]
)  # fmt: skip

WATCHED = range(0, 60, 3)
"""Of the standard ids (0x100 and up) those that go over bus 0."""

_DBC = 'VERSION ""\nBU_: X\n' + "".join(
    f'BO_ {0x100 + place} M{place}: 6 X\n SG_ number : 16|32@1+ (1,0) [0|0] "" X\n' for place in WATCHED
)
CAR = Vehicle("fs", "Torture", "Torture", (VehicleBus(0, "bus0", 500_000, "can0", ("torture.dbc",), (_DBC,)),))
"""For viewers: the signal of each message is the frame's number."""


def make_rows(life: int, first: int, t_us: NDArray[np.int64]) -> NDArray[np.void]:
    """Rows number `first`... of a life at the given times."""
    number = np.arange(first, first + len(t_us), dtype=np.uint64)
    mixed = (number * np.uint64(0x9E3779B97F4A7C15)) ^ np.uint64(life * 0xA24BAED4)
    rows = np.zeros(len(t_us), ROW)
    rows["t_us"], rows["life"], rows["number"] = t_us, life, number
    rows["bus"] = number % 3
    is_extended = number % 7 == 0
    rows["id"] = np.where(is_extended, 0x18DA0000 + (mixed >> np.uint64(40)) % 0x100, 0x100 + number % 60)
    rows["flags"] = np.where(is_extended, int(FrameFlag.EXTENDED), 0)
    rows["length"] = 6 + mixed % np.uint64(3)
    payload = np.zeros((len(t_us), 8), np.uint8)
    payload[:, :2] = np.full(len(t_us), life, "<u2").view(np.uint8).reshape(-1, 2)
    payload[:, 2:6] = number.astype("<u4").view(np.uint8).reshape(-1, 4)
    payload[:, 6] = np.where(rows["length"] > 6, mixed >> np.uint64(8), 0).astype(np.uint8)
    payload[:, 7] = np.where(rows["length"] > 7, mixed >> np.uint64(16), 0).astype(np.uint8)
    rows["payload"] = payload
    return rows


def columns_of(rows: NDArray[np.void]) -> FrameColumns:
    return FrameColumns(
        rows["t_us"].astype(np.int64),
        rows["bus"].copy(),
        rows["id"].astype(np.uint32),
        rows["flags"].copy(),
        rows["length"].copy(),
        rows["payload"].copy(),
    )


def rows_of(frames: FrameColumns) -> NDArray[np.void]:
    """Frames as rows; life and number come from the payload, whatever stands there."""
    rows = np.zeros(len(frames), ROW)
    rows["t_us"], rows["bus"], rows["id"] = frames.t_us, frames.bus, frames.arbitration_id
    rows["flags"], rows["length"], rows["payload"] = frames.flags, frames.length, frames.payload[:, :8]
    rows["life"] = np.ascontiguousarray(frames.payload[:, :2]).view("<u2")[:, 0]
    rows["number"] = np.ascontiguousarray(frames.payload[:, 2:6]).view("<u4")[:, 0]
    return rows


def read_truth(folder: Path) -> dict[int, NDArray[np.void]]:
    """All rows of each life, lives in their order; a row that a kill cut in two reached nobody and is left out."""
    out: dict[int, NDArray[np.void]] = {}
    for path in sorted(folder.glob("*.truth"), key=lambda one: int(one.stem)):
        data = path.read_bytes()
        out[int(path.stem)] = np.frombuffer(data[: len(data) - len(data) % ROW.itemsize], ROW)
    return out


class TruthSource:
    """A live bus of `rate` frames per second, in chunks; it falls silent while the file `<folder>/quiet` exists.

    The file `<folder>/rate` holds another rate, from when it is there.
    """

    is_realtime = True

    def __init__(self, folder: Path, life: int, rate: int) -> None:
        self._folder = folder
        self._life = life
        self._rate = rate
        self._number = 1
        self._fd = -1
        self._origin_ns = 0
        self._at_ns = 0

    def open(self, origin_mono_ns: int) -> None:
        self._origin_ns = origin_mono_ns
        self._at_ns = time.monotonic_ns()
        (self._folder / f"{self._life}.origin").write_text(str(origin_mono_ns))
        self._fd = os.open(
            self._folder / f"{self._life}.truth", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600
        )

    def read(self, timeout_s: float) -> FrameColumns | None:
        time.sleep(min(timeout_s, 0.01))
        now_ns = time.monotonic_ns()
        if (self._folder / "quiet").exists():
            self._at_ns = now_ns
            return FrameColumns.empty()
        if (other := self._folder / "rate").exists():
            self._rate = int(other.read_text())
        count = (now_ns - self._at_ns) * self._rate // 1_000_000_000
        if not count:
            return FrameColumns.empty()
        step_ns = 1_000_000_000 // self._rate
        t_ns = self._at_ns - self._origin_ns + step_ns * np.arange(1, count + 1)
        self._at_ns += step_ns * count
        rows = make_rows(self._life, self._number, t_ns // 1000)
        self._number += count
        data = rows.tobytes()
        assert os.write(self._fd, data) == len(data)
        return columns_of(rows)

    def clock(self, now_mono_ns: int) -> ClockPair | None:
        """The wall clock as the car sees it, which may be far from right."""
        return ClockPair((now_mono_ns - self._origin_ns) // 1000, time.time_ns() // 1000, ClockSource.HOST)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
