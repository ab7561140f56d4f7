"""Frames to channels: one compiled kernel over whole batches. The only place that imports numba."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, NamedTuple, TypeVar

import numba
import numpy as np
from numba import types
from numpy.typing import NDArray

from ved.dbc.load import DbcSet
from ved.dbc.plan import (
    END_BYTE,
    EXTENDED_BITS,
    FIRST_BIT,
    FLOAT16,
    FLOAT32,
    FLOAT64,
    HASH_FACTOR,
    IS_BIG_ENDIAN,
    LENGTH_BITS,
    MULTIPLEXER,
    RAW_TYPE,
    SELECTORS_FROM,
    SELECTORS_TO,
    SIGNED,
    STANDARD_IDS,
    Plan,
    compile_plan,
)
from ved.model.channel import Channel
from ved.model.frames import FrameColumns, FrameFlag

_EXTENDED: Final = int(FrameFlag.EXTENDED)
_NO_DATA: Final = int(FrameFlag.REMOTE | FrameFlag.ERROR)
_UNKNOWN: Final = -1
_SKIPPED: Final = -2
_Scalar = TypeVar("_Scalar", bound=np.generic)
_FACTOR: Final = np.uint64(HASH_FACTOR)


class _Frames(NamedTuple):
    """The columns that the kernel reads; `words` u64[n, 1|8] are the payload's bytes, little-endian."""

    t_us: NDArray[np.int64]
    bus: NDArray[np.uint8]
    arbitration_id: NDArray[np.uint32]
    flags: NDArray[np.uint8]
    length: NDArray[np.uint8]
    words: NDArray[np.uint64]


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """Samples grouped by channel: channel c has those from `starts[c]` to `starts[c + 1]`, in frame order.

    `starts` i64[channels + 1]; `t_us` i64[m]; `values` f64[m], physical; `rows` i64[m], the frame's row in the batch.
    `unknown_frames` counts data frames that no message matches, `short_samples` wanted samples that lie past the end
    of their frame.
    """

    starts: NDArray[np.int64]
    t_us: NDArray[np.int64]
    values: NDArray[np.float64]
    rows: NDArray[np.int64]
    unknown_frames: int
    short_samples: int

    def column(self, channel: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Times and values of one channel, as views."""
        part = slice(int(self.starts[channel]), int(self.starts[channel + 1]))
        return self.t_us[part], self.values[part]


class Decoder:
    """Decodes frames under one DBC set. Holds no state between batches; safe to share between threads."""

    def __init__(self, dbc_set: DbcSet) -> None:
        """Compile the set, and the kernel when this process (or the cache on disk) does not have it yet."""
        self.dbc_set = dbc_set
        self._plan = compile_plan(dbc_set)
        self._kernel = _compiled_kernel()
        self._all = _readonly(np.ones(len(dbc_set.channels), np.bool_), np.bool_)

    @property
    def channels(self) -> tuple[Channel, ...]:
        """The channels by number."""
        return self.dbc_set.channels

    def decode(self, frames: FrameColumns, wanted: NDArray[np.bool_] | None = None) -> Decoded:
        """All samples of the wanted channels (bool[channels]; None: of all). ValueError when `wanted` does not fit."""
        chosen = self._all if wanted is None else _readonly(wanted, np.bool_)
        if chosen.shape != self._all.shape:
            raise ValueError(f"wanted must have shape {self._all.shape}, not {chosen.shape}")
        columns = _Frames(
            _readonly(frames.t_us, np.int64),
            _readonly(frames.bus, np.uint8),
            _readonly(frames.arbitration_id, np.uint32),
            _readonly(frames.flags, np.uint8),
            _readonly(frames.length, np.uint8),
            _readonly(frames.payload, np.uint8).view(np.uint64),
        )
        return Decoded(*self._kernel(columns, self._plan, chosen))


def _readonly(column: NDArray[_Scalar], element: type[_Scalar]) -> NDArray[_Scalar]:
    """A contiguous read-only view (a copy only where it must be), so that the kernel has one type to be compiled for."""
    out = np.ascontiguousarray(column, element).view()
    out.flags.writeable = False
    return out


@numba.njit
def _find_message(plan: Plan, bus: int, arbitration_id: int, flags: int) -> int:
    slot = plan.bus_slots[bus]
    if not flags & _EXTENDED:
        return plan.standard[slot, arbitration_id] if arbitration_id < STANDARD_IDS else _UNKNOWN
    key = np.int64(slot) << EXTENDED_BITS | np.int64(arbitration_id)
    mask = len(plan.extended_keys) - 1
    at = np.int64(np.uint64(key) * _FACTOR >> np.uint64(32)) & mask
    while plan.extended_keys[at] >= 0:
        if plan.extended_keys[at] == key:
            return plan.extended_messages[at]
        at = (at + 1) & mask
    return _UNKNOWN


@numba.njit
def _swap_bytes(word: np.uint64) -> np.uint64:
    word = (word & np.uint64(0x00FF00FF00FF00FF)) << np.uint64(8) | (word >> np.uint64(8)) & np.uint64(
        0x00FF00FF00FF00FF
    )
    word = (word & np.uint64(0x0000FFFF0000FFFF)) << np.uint64(16) | (word >> np.uint64(16)) & np.uint64(
        0x0000FFFF0000FFFF
    )
    return word << np.uint64(32) | word >> np.uint64(32)


@numba.njit
def _raw_bits(words: NDArray[np.uint64], row: int, field: NDArray[np.int64]) -> np.uint64:
    """The signal's bits as an unsigned number; the caller has checked that they lie in the frame."""
    first, length = field[FIRST_BIT], field[LENGTH_BITS]
    word, shift = first >> 6, np.uint64(first & 63)
    crosses = (first & 63) + length > 64
    unused = np.uint64(64 - length)
    if field[IS_BIG_ENDIAN]:
        bits = _swap_bytes(words[row, word]) << shift
        if crosses:
            bits |= _swap_bytes(words[row, word + 1]) >> (np.uint64(64) - shift)
        return bits >> unused
    bits = words[row, word] >> shift
    if crosses:
        bits |= words[row, word + 1] << (np.uint64(64) - shift)
    return bits << unused >> unused


@numba.njit
def _half_to_float(bits: np.uint64) -> float:
    """IEEE 754 binary16."""
    fraction, exponent = np.float64(bits & np.uint64(0x3FF)), np.int64(bits >> np.uint64(10)) & 31
    if exponent == 31:
        size = np.nan if fraction else np.inf
    elif exponent:
        size = (1024.0 + fraction) * 2.0 ** (exponent - 25)
    else:
        size = fraction * 2.0**-24
    return -size if bits >> np.uint64(15) else size


@numba.njit
def _number(bits: np.uint64, raw_type: int, length: int) -> float:
    """Raw bits as the raw number."""
    if raw_type == SIGNED:
        unused = np.int64(64 - length)
        return np.float64(np.int64(bits) << unused >> unused)
    if raw_type == FLOAT32:
        return np.float64(np.uint32(bits).view(np.float32))
    if raw_type == FLOAT64:
        return np.uint64(bits).view(np.float64)
    if raw_type == FLOAT16:
        return _half_to_float(bits)
    return np.float64(bits)


@numba.njit
def _group(frames: _Frames, plan: Plan) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """Rows sorted by message (stable), where each message's rows start, and how many frames are unknown."""
    n, messages = len(frames.t_us), len(plan.is_plain)
    message_of = np.empty(n, np.int32)
    ends = np.zeros(messages + 1, np.int64)
    unknown = 0
    for row in range(n):
        message = _SKIPPED
        if not frames.flags[row] & _NO_DATA:
            message = _find_message(plan, frames.bus[row], frames.arbitration_id[row], frames.flags[row])
        message_of[row] = message
        if message >= 0:
            ends[message + 1] += 1
        elif message == _UNKNOWN:
            unknown += 1
    starts = np.cumsum(ends)
    cursor = starts.copy()
    rows = np.empty(starts[messages], np.int64)
    for row in range(n):
        message = message_of[row]
        if message >= 0:
            rows[cursor[message]] = row
            cursor[message] += 1
    return rows, starts, unknown


@numba.njit
def _mark_present(frames: _Frames, plan: Plan, message: int, row: int, present: NDArray[np.int8]) -> None:
    """For every signal of the message: 1 in this frame, 0 not selected, -1 selected but past the frame's end."""
    first = plan.message_signals[message]
    length = min(np.int64(frames.length[row]), 8 * frames.words.shape[1])
    for signal in range(first, plan.message_signals[message + 1]):
        field = plan.fields[signal]
        state = 1
        parent = field[MULTIPLEXER]
        if parent >= 0:
            state = 0
            if present[parent - first] == 1:
                bits = _raw_bits(frames.words, row, plan.fields[parent])
                for at in range(field[SELECTORS_FROM], field[SELECTORS_TO]):
                    if plan.selectors[at, 0] <= bits <= plan.selectors[at, 1]:
                        state = 1
                        break
        if state == 1 and field[END_BYTE] > length:
            state = -1
        present[signal - first] = state


@numba.njit
def _is_whole(frames: _Frames, plan: Plan, message: int, rows: NDArray[np.int64]) -> bool:
    """True when every signal of the message is in every one of these frames."""
    if not plan.is_plain[message]:
        return False
    needed = plan.message_bytes[message]
    if needed > 8 * frames.words.shape[1]:
        return False
    for row in rows:
        if frames.length[row] < needed:
            return False
    return True


@numba.njit
def _fill_column(
    frames: _Frames, plan: Plan, signal: int, rows: NDArray[np.int64], values: NDArray[np.float64]
) -> None:
    """Values of one signal that is in all of these frames."""
    field = plan.fields[signal]
    raw_type, length = field[RAW_TYPE], field[LENGTH_BITS]
    scale, offset = plan.scaling[signal, 0], plan.scaling[signal, 1]
    for at in range(len(rows)):
        values[at] = _number(_raw_bits(frames.words, rows[at], field), raw_type, length) * scale + offset


def _decode_frames(
    frames: _Frames, plan: Plan, wanted: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], NDArray[np.int64], int, int]:
    """Two passes: count the samples of every channel, then fill the columns."""
    rows, row_starts, unknown = _group(frames, plan)
    signals = len(wanted)
    starts = np.zeros(signals + 1, np.int64)
    whole = np.zeros(len(plan.is_plain), np.bool_)
    present = np.zeros(signals + 1, np.int8)
    short = 0
    for message in range(len(whole)):
        mine = rows[row_starts[message] : row_starts[message + 1]]
        first, last = plan.message_signals[message], plan.message_signals[message + 1]
        if len(mine) == 0 or not wanted[first:last].any():
            whole[message] = True
            continue
        whole[message] = _is_whole(frames, plan, message, mine)
        if whole[message]:
            for signal in range(first, last):
                starts[signal + 1] = len(mine) if wanted[signal] else 0
            continue
        for row in mine:
            _mark_present(frames, plan, message, row, present)
            for signal in range(first, last):
                if wanted[signal]:
                    starts[signal + 1] += present[signal - first] == 1
                    short += present[signal - first] == -1
    starts = np.cumsum(starts)
    t_us = np.empty(starts[signals], np.int64)
    values = np.empty(starts[signals], np.float64)
    out_rows = np.empty(starts[signals], np.int64)
    cursor = starts.copy()
    for message in range(len(whole)):
        mine = rows[row_starts[message] : row_starts[message + 1]]
        first, last = plan.message_signals[message], plan.message_signals[message + 1]
        if whole[message]:
            for signal in range(first, last):
                if starts[signal + 1] > starts[signal]:
                    part = slice(starts[signal], starts[signal + 1])
                    out_rows[part] = mine
                    for at in range(len(mine)):
                        t_us[starts[signal] + at] = frames.t_us[mine[at]]
                    _fill_column(frames, plan, signal, mine, values[part])
            continue
        for row in mine:
            _mark_present(frames, plan, message, row, present)
            for signal in range(first, last):
                if wanted[signal] and present[signal - first] == 1:
                    at = cursor[signal]
                    cursor[signal] = at + 1
                    t_us[at], out_rows[at] = frames.t_us[row], row
                    field = plan.fields[signal]
                    number = _number(_raw_bits(frames.words, row, field), field[RAW_TYPE], field[LENGTH_BITS])
                    values[at] = number * plan.scaling[signal, 0] + plan.scaling[signal, 1]
    return starts, t_us, values, out_rows, unknown, short


@cache
def _compiled_kernel() -> Callable[..., Any]:
    """The kernel, compiled for one fixed signature: read-only and writable arrays alike take this one."""

    def array(element: Any, dimensions: int = 1, *, readonly: bool = False) -> Any:
        return types.Array(element, dimensions, "C", readonly=readonly)

    frames = types.NamedTuple(
        [
            array(types.int64, readonly=True),
            array(types.uint8, readonly=True),
            array(types.uint32, readonly=True),
            array(types.uint8, readonly=True),
            array(types.uint8, readonly=True),
            array(types.uint64, 2, readonly=True),
        ],
        _Frames,
    )
    plan = types.NamedTuple(
        [
            array(types.uint8),
            array(types.int32, 2),
            array(types.int64),
            array(types.int32),
            array(types.int64),
            array(types.int64),
            array(types.boolean),
            array(types.int64, 2),
            array(types.float64, 2),
            array(types.uint64, 2),
        ],
        Plan,
    )
    signature = (frames, plan, array(types.boolean, readonly=True))
    return numba.njit(signature, cache=True, nogil=True)(_decode_frames)
