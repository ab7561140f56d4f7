"""How many bit times a frame keeps its bus busy, stuff bits included.

Source: ISO 11898-1 (Bosch CAN 2.0 part A and B: 44 or 64 bits of frame and 3 of interframe space around the data, one
stuff bit after five equal bits between start of frame and CRC, CRC-15 with polynomial 0x4599).
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ved.model.frames import FrameColumns, FrameFlag

_POLYNOMIAL: Final = 0x4599
_CRC_BITS: Final = 15
_AFTER_CRC: Final = 13
"""CRC delimiter, ACK slot and delimiter, end of frame, interframe space: never stuffed."""
_STANDARD_HEAD: Final = 19
_EXTENDED_HEAD: Final = 39
_DATA_BITS: Final = 64
_FD_DATA_SPEED: Final = 4
"""Data phase against arbitration phase where the bit rate switches: the usual 2 Mbit/s beside 500 kbit/s."""


def frame_bits(frames: FrameColumns) -> NDArray[np.float64]:
    """Bit times (at the nominal bit rate) of each frame, f64[n]: exact for classic frames, an estimate for CAN FD.

    An error frame counts with its flag, echo and delimiter: 20 bits and 3 of space.
    """
    out = np.full(len(frames), 23.0)
    is_error = (frames.flags & np.uint8(FrameFlag.ERROR)) != 0
    is_fd = ((frames.flags & np.uint8(FrameFlag.FD)) != 0) & ~is_error
    is_classic = ~is_fd & ~is_error
    for is_extended in (False, True):
        rows = np.flatnonzero(is_classic & (frames.is_extended == is_extended))
        if len(rows):
            out[rows] = _classic_bits(frames.take(rows), is_extended=is_extended)
    rows = np.flatnonzero(is_fd)
    if len(rows):
        out[rows] = _fd_bits(frames.take(rows))
    return out


def _classic_bits(frames: FrameColumns, *, is_extended: bool) -> NDArray[np.int64]:
    head = _EXTENDED_HEAD if is_extended else _STANDARD_HEAD
    is_remote = (frames.flags & np.uint8(FrameFlag.REMOTE)) != 0
    code = np.minimum(frames.length, 8)
    ends = head + 8 * np.where(is_remote, 0, code).astype(np.int64)
    bits = np.zeros((len(frames), head + _DATA_BITS + _CRC_BITS), np.bool_)
    _put_head(bits, frames.arbitration_id, is_remote, code, is_extended=is_extended)
    bits[:, head : head + _DATA_BITS] = np.unpackbits(frames.payload[:, :8], axis=1)
    crc = np.zeros(len(frames), np.int64)
    for column in range(int(ends.max())):
        inverts = bits[:, column] != (crc >> (_CRC_BITS - 1) & 1).astype(np.bool_)
        following = (crc << 1 & (1 << _CRC_BITS) - 1) ^ np.where(inverts, _POLYNOMIAL, 0)
        crc = np.where(column < ends, following, crc)
    rows = np.arange(len(frames))
    for bit in range(_CRC_BITS):
        bits[rows, ends + bit] = crc >> (_CRC_BITS - 1 - bit) & 1
    stuffed = ends + _CRC_BITS
    return stuffed + _stuff_bits(bits, stuffed) + _AFTER_CRC


def _put_head(
    bits: NDArray[np.bool_],
    arbitration_id: NDArray[np.uint32],
    is_remote: NDArray[np.bool_],
    code: NDArray[np.uint8],
    *,
    is_extended: bool,
) -> None:
    """Start of frame (dominant), identifier, RTR, IDE, reserved bits, data length code."""
    base = arbitration_id >> 18 if is_extended else arbitration_id
    at = _put(bits, 1, base, 11)
    if is_extended:
        bits[:, at : at + 2] = True  # SRR, IDE
        at = _put(bits, at + 2, arbitration_id, 18)
    bits[:, at] = is_remote
    _put(bits, at + 3, code, 4)


def _put(bits: NDArray[np.bool_], at: int, values: NDArray[np.integer[Any]], width: int) -> int:
    for bit in range(width):
        bits[:, at + bit] = values >> (width - 1 - bit) & 1
    return at + width


def _stuff_bits(bits: NDArray[np.bool_], ends: NDArray[np.int64]) -> NDArray[np.int64]:
    """Inserted bits of each row up to its end: the opposite after five equal ones, and it begins the next run."""
    count = np.zeros(len(bits), np.int64)
    run = np.zeros(len(bits), np.int64)
    last = ~bits[:, 0]
    for column in range(int(ends.max())):
        bit = bits[:, column]
        run = np.where(bit == last, run + 1, 1)
        is_full = (run == 5) & (column < ends)
        count += is_full
        run[is_full] = 1
        last = bit ^ is_full
    return count


def _fd_bits(frames: FrameColumns) -> NDArray[np.float64]:
    """Arbitration phase and data phase, with a stuff bit in 30 (random bits) and the fixed ones of the CRC field."""
    head = np.where(frames.is_extended, 36.0, 17.0)
    is_long = frames.length > 16
    data = 5.0 + 8.0 * frames.length
    check = np.where(is_long, 21 + 4 + 7, 17 + 4 + 6)
    is_switched = (frames.flags & np.uint8(FrameFlag.BIT_RATE_SWITCH)) != 0
    fast = (data * 31 / 30 + check) / np.where(is_switched, _FD_DATA_SPEED, 1)
    return head * 31 / 30 + fast + _AFTER_CRC
