"""UTC that a GPS receiver sends on a CAN bus: found among frames, doubted, and told as clock pairs now and then."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ved.model.clockmap import OLDEST_UTC_US, ClockPair
from ved.model.frames import FrameColumns, FrameFlag
from ved.model.records import ClockSource

NEWEST_UTC_US: Final = 4_102_444_800_000_000
"""2100-01-01: no receiver that says later has a fix."""

TELL_US: Final = 10_000_000
"""A pair is told when the first fix has come, and then at most so often."""

ERROR_US: Final = 100_000
"""A receiver says its time some hundredths of a second late, and never at the same distance."""

_AGREE_US: Final = 1_000_000
_NO_DATA: Final = np.uint8(FrameFlag.REMOTE | FrameFlag.ERROR)
_FLOATS: Final = {16: "<f2", 32: "<f4", 64: "<f8"}


@dataclass(frozen=True, slots=True)
class FrameField:
    """A number in the frames of one id: value = raw * scale + offset.

    `first_bit` counts in the field's own order: from byte 0's bit 0 upwards, big-endian from its bit 7 downwards.
    A float has 16, 32 or 64 bits.
    """

    bus: int
    arbitration_id: int
    is_extended: bool
    first_bit: int
    length_bits: int
    is_little_endian: bool = True
    is_signed: bool = False
    is_float: bool = False
    scale: float = 1.0
    offset: float = 0.0

    def find(self, frames: FrameColumns) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """The rows whose frames hold the field, and its values there."""
        here = (frames.arbitration_id == self.arbitration_id) & (frames.bus == self.bus)
        rows = np.flatnonzero(here)
        if len(rows):
            end_byte = (self.first_bit + self.length_bits + 7) // 8
            fits = (frames.length[rows] >= end_byte) & (frames.is_extended[rows] == self.is_extended)
            rows = rows[fits & (frames.flags[rows] & _NO_DATA == 0)]
        return rows, self._values(frames.payload[rows])

    def _values(self, payload: NDArray[np.uint8]) -> NDArray[np.float64]:
        order = np.unpackbits(payload, axis=1, bitorder="little" if self.is_little_endian else "big")
        bits = order[:, self.first_bit : self.first_bit + self.length_bits].astype(np.uint64)
        if not bits.size:
            return np.zeros(0)
        if not self.is_little_endian:
            bits = bits[:, ::-1]
        raw = (bits << np.arange(self.length_bits, dtype=np.uint64)).sum(axis=1, dtype=np.uint64)
        number: NDArray[np.float64] = raw.astype(np.float64)
        if self.is_float:
            packed = np.ascontiguousarray(raw.astype("<u8").view(np.uint8).reshape(-1, 8)[:, : self.length_bits // 8])
            number = packed.view(_FLOATS[self.length_bits])[:, 0].astype(np.float64)
        elif self.is_signed:
            gone = np.uint64(64 - self.length_bits)
            number = ((raw << gone).view(np.int64) >> gone.astype(np.int64)).astype(np.float64)
        return number * self.scale + self.offset


@dataclass(frozen=True, slots=True)
class GpsSignals:
    """`utc`: seconds since 1970. `valid`: not zero while `utc` can be used; it may stand in other frames."""

    utc: FrameField
    valid: FrameField | None = None


class GpsClock:
    """Follows the frames of one epoch in order.

    A time counts when it is valid, within 2024 to 2100, has just changed, and went on as the car's own clock did since
    the change before it: so neither a receiver without a fix nor one that stands still is believed.
    """

    def __init__(self, signals: GpsSignals) -> None:
        self._signals = signals
        self._is_valid = signals.valid is None
        self._changed: tuple[int, int] | None = None  # t_us and UTC of the last change
        self._told_us: int | None = None

    def pairs(self, frames: FrameColumns) -> list[ClockPair]:
        """What is to be told of these frames; mostly nothing."""
        rows, utc_s = self._signals.utc.find(frames)
        is_good = self._is_good(frames, rows)
        is_good &= (utc_s >= OLDEST_UTC_US / 1e6) & (utc_s < NEWEST_UTC_US / 1e6)
        utc_us = np.rint(np.where(is_good, utc_s, 0.0) * 1e6).astype(np.int64)
        out = []
        for t_us, at_us, is_one in zip(frames.t_us[rows].tolist(), utc_us.tolist(), is_good.tolist(), strict=True):
            if not is_one:
                self._changed = None
            elif self._is_news(t_us, at_us):
                out.append(ClockPair(t_us, at_us, ClockSource.GPS, ERROR_US))
                self._told_us = t_us
        return out

    def _is_good(self, frames: FrameColumns, rows: NDArray[np.intp]) -> NDArray[np.bool_]:
        """For each row, what the receiver said last of its time."""
        if self._signals.valid is None:
            return np.ones(len(rows), np.bool_)
        said_at, said = self._signals.valid.find(frames)
        known = np.concatenate(([self._is_valid], said != 0))
        self._is_valid = bool(known[-1])
        return known[np.searchsorted(said_at, rows, side="right")]

    def _is_news(self, t_us: int, utc_us: int) -> bool:
        before = self._changed
        if before is not None and utc_us == before[1]:
            return False
        self._changed = t_us, utc_us
        if before is None or utc_us < before[1] or abs(utc_us - before[1] - (t_us - before[0])) > _AGREE_US:
            return False
        return self._told_us is None or t_us - self._told_us >= TELL_US
