"""The compiled kernel of decoding: two passes over a batch under a plan. `decode.py` hands it its columns.

numba is here, in api/unpack and in ingest alone.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, Final, NamedTuple

import numba
import numpy as np
from numba import types
from numba.extending import register_jitable
from numpy.typing import NDArray

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
    UNSIGNED,
    Plan,
)
from ved.model.frames import FrameFlag

_EXTENDED: Final = int(FrameFlag.EXTENDED)
_NO_DATA: Final = int(FrameFlag.REMOTE | FrameFlag.ERROR)
_UNKNOWN: Final = -1
_SKIPPED: Final = -2
_FACTOR: Final = np.uint64(HASH_FACTOR)


class Frames(NamedTuple):
    """The columns that the kernel reads; `words` u64[n, 1|8] are the payload's bytes, little-endian."""

    t_us: NDArray[np.int64]
    bus: NDArray[np.uint8]
    arbitration_id: NDArray[np.uint32]
    flags: NDArray[np.uint8]
    length: NDArray[np.uint8]
    words: NDArray[np.uint64]


class Groups(NamedTuple):
    """Frame rows sorted by message; `starts` i64[M + 1]; `is_partial`: some frame has only part of its message."""

    rows: NDArray[np.int64]
    starts: NDArray[np.int64]
    is_partial: NDArray[np.bool_]


class Columns(NamedTuple):
    """The samples, channel by channel."""

    t_us: NDArray[np.int64]
    values: NDArray[np.float64]
    rows: NDArray[np.int64]


@register_jitable
def _swap_bytes(word: np.uint64) -> np.uint64:
    ones, twos = np.uint64(0x00FF00FF00FF00FF), np.uint64(0x0000FFFF0000FFFF)
    word = (word & ones) << np.uint64(8) | (word >> np.uint64(8)) & ones
    word = (word & twos) << np.uint64(16) | (word >> np.uint64(16)) & twos
    return word << np.uint64(32) | word >> np.uint64(32)


@register_jitable
def _bits(low: np.uint64, high: np.uint64, field: tuple[int, int, int]) -> np.uint64:
    """The signal's bits as an unsigned number, from the payload word where they start and the one after it."""
    shift, length, is_big_endian = np.uint64(field[0]), np.uint64(field[1]), field[2]
    unused = np.uint64(64) - length
    if is_big_endian:
        bits = _swap_bytes(low) << shift
        if shift > unused:
            bits |= _swap_bytes(high) >> (np.uint64(64) - shift)
        return bits >> unused
    bits = low >> shift
    if shift > unused:
        bits |= high << (np.uint64(64) - shift)
    return bits << unused >> unused


@register_jitable
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


@register_jitable
def _number(bits: np.uint64, raw_type: int) -> float:
    """Raw bits as a float or as an unsigned number."""
    if raw_type == FLOAT32:
        return np.float64(np.uint32(bits).view(np.float32))
    if raw_type == FLOAT64:
        return np.float64(np.uint64(bits).view(np.float64))
    if raw_type == FLOAT16:
        return _half_to_float(bits)
    return np.float64(bits)


@register_jitable
def _find(keys: NDArray[np.int64], values: NDArray[np.int32], key: int) -> int:
    """The message under a key of a hash table, or _UNKNOWN."""
    mask = np.int64(len(keys) - 1)
    at = np.int64(np.uint64(key) * _FACTOR >> np.uint64(32)) & mask
    while keys[at] >= 0:
        if keys[at] == key:
            return int(values[at])
        at = (at + 1) & mask
    return _UNKNOWN


@register_jitable
def _group_of(arbitration_id: int) -> int:
    """The J1939 parameter group of a 29-bit id, as `ved.dbc.definitions.pgn` says it."""
    group = arbitration_id >> 8 & 0x3FFFF
    return group if group >> 8 & 0xFF >= 0xF0 else group & 0x3FF00


@register_jitable
def _route(frames: Frames, plan: Plan, message_of: NDArray[np.int32]) -> int:
    """Find every frame's message; returns how many data frames match none."""
    unknown = 0
    bus, flags, ids = frames.bus, frames.flags, frames.arbitration_id
    standard, keys, key_messages, slots = plan.standard, plan.extended_keys, plan.extended_messages, plan.bus_slots
    for row in range(len(message_of)):
        if flags[row] & _NO_DATA:
            message_of[row] = _SKIPPED
            continue
        message = _UNKNOWN
        slot, arbitration_id = np.int64(slots[bus[row]]), np.int64(ids[row])
        if flags[row] & _EXTENDED and arbitration_id >> EXTENDED_BITS == 0:
            message = _find(keys, key_messages, int(slot << EXTENDED_BITS | arbitration_id))
            if message == _UNKNOWN:
                group = int(slot << EXTENDED_BITS) | _group_of(int(arbitration_id))
                message = _find(plan.group_keys, plan.group_messages, group)
        elif not flags[row] & _EXTENDED and arbitration_id < STANDARD_IDS:
            message = standard[slot, arbitration_id]
        message_of[row] = message
        unknown += message == _UNKNOWN
    return unknown


@register_jitable
def _group(message_of: NDArray[np.int32], starts: NDArray[np.int64], rows: NDArray[np.int64]) -> None:
    """Sort the rows by message, stable; `starts` i64[M + 1] becomes where each message's rows start."""
    for message in message_of:
        if message >= 0:
            starts[message + 1] += 1
    cursor = np.empty_like(starts)
    for message in range(len(starts) - 1):
        starts[message + 1] += starts[message]
        cursor[message] = starts[message]
    for row, message in enumerate(message_of):
        if message >= 0:
            rows[cursor[message]] = row
            cursor[message] += 1


@register_jitable
def _states(frames: Frames, plan: Plan, signals: tuple[int, int], rows: NDArray[np.int64]) -> NDArray[np.int8]:
    """i8[signals, rows] of one message: 1 in this frame, 0 not selected, -1 selected but past the frame's end."""
    first, last = signals
    words, lengths, fields, selectors = frames.words, frames.length, plan.fields, plan.selectors
    states = np.empty((last - first, len(rows)), np.int8)
    for signal in range(first, last):
        parent, needed = fields[signal, MULTIPLEXER], fields[signal, END_BYTE]
        for at in range(len(rows)):
            row, state = rows[at], 1
            if parent >= 0:
                state = 0
                if states[parent - first, at] == 1:
                    word, shift, length = (
                        fields[parent, FIRST_BIT] >> 6,
                        fields[parent, FIRST_BIT] & 63,
                        fields[parent, LENGTH_BITS],
                    )
                    high = words[row, word + 1] if shift + length > 64 else np.uint64(0)
                    bits = _bits(words[row, word], high, (shift, length, fields[parent, IS_BIG_ENDIAN]))
                    for choice in range(fields[signal, SELECTORS_FROM], fields[signal, SELECTORS_TO]):
                        if selectors[choice, 0] <= bits <= selectors[choice, 1]:
                            state = 1
            if state == 1 and (needed > lengths[row] or needed > 8 * words.shape[1]):
                state = -1
            states[signal - first, at] = state
    return states


@register_jitable
def _count(frames: Frames, plan: Plan, groups: Groups, wanted: NDArray[np.bool_], counts: NDArray[np.int64]) -> int:
    """Count every wanted signal's samples and note the messages that some frame has in part; returns the short ones."""
    short = 0
    lengths, width = frames.length, 8 * frames.words.shape[1]
    for message in range(len(groups.is_partial)):
        first, last = plan.message_signals[message], plan.message_signals[message + 1]
        row_from, row_to = groups.starts[message], groups.starts[message + 1]
        chosen = 0
        for signal in range(first, last):
            chosen += wanted[signal]
        if chosen == 0 or row_from == row_to:
            continue
        needed = plan.message_bytes[message]
        partial = not plan.is_plain[message] or needed > width
        for at in range(row_from, row_to):
            partial |= lengths[groups.rows[at]] < needed
        groups.is_partial[message] = partial
        if not partial:
            for signal in range(first, last):
                counts[signal] = (row_to - row_from) * wanted[signal]
            continue
        states = _states(frames, plan, (first, last), groups.rows[row_from:row_to])
        for signal in range(first, last):
            if wanted[signal]:
                for at in range(row_to - row_from):
                    counts[signal] += states[signal - first, at] == 1
                    short += states[signal - first, at] == -1
    return short


@register_jitable
def _choose_rows(frames: Frames, plan: Plan, groups: Groups, starts: NDArray[np.int64], out: Columns) -> None:
    """Row and time of every sample, channel by channel."""
    chosen, t_us, times, rows = out.rows, out.t_us, frames.t_us, groups.rows
    for message in range(len(groups.is_partial)):
        first, last = plan.message_signals[message], plan.message_signals[message + 1]
        row_from, row_to = groups.starts[message], groups.starts[message + 1]
        if starts[first] == starts[last]:
            continue
        if not groups.is_partial[message]:
            count = row_to - row_from
            done = starts[first]
            for at in range(count):
                chosen[done + at] = rows[row_from + at]
                t_us[done + at] = times[rows[row_from + at]]
            for at in range(done + count, starts[last]):
                chosen[at], t_us[at] = chosen[at - count], t_us[at - count]
            continue
        states = _states(frames, plan, (first, last), rows[row_from:row_to])
        to = starts[first]
        for signal in range(first, last):
            if starts[signal] < starts[signal + 1]:
                for at in range(row_to - row_from):
                    if states[signal - first, at] == 1:
                        chosen[to], t_us[to] = rows[row_from + at], times[rows[row_from + at]]
                        to += 1


@register_jitable
def _scale(
    bits: NDArray[np.uint64], values: NDArray[np.float64], kind: tuple[int, int], scaling: NDArray[np.float64]
) -> None:
    """Physical values from raw bits; `kind` is raw type and length."""
    raw_type, length = kind
    scale, offset = scaling[0], scaling[1]
    if raw_type == SIGNED or (raw_type == UNSIGNED and length < 64):
        sign = np.int64(1) << (length - 1) if raw_type == SIGNED and length < 64 else np.int64(0)
        for at in range(len(values)):
            values[at] = np.float64((np.int64(bits[at]) ^ sign) - sign) * scale + offset
        return
    for at in range(len(values)):
        values[at] = _number(bits[at], raw_type) * scale + offset


@register_jitable
def _fill(frames: Frames, plan: Plan, groups: Groups, starts: NDArray[np.int64], out: Columns) -> None:
    """The values of every sample: its message's payload words gathered once, then signal by signal."""
    words, fields, scaling, values, rows = frames.words, plan.fields, plan.scaling, out.values, out.rows
    low, bits = np.empty(len(groups.rows), np.uint64), np.empty(len(groups.rows), np.uint64)
    for message in range(len(groups.is_partial)):
        gathered = np.int64(-1)
        for signal in range(plan.message_signals[message], plan.message_signals[message + 1]):
            start, count = starts[signal], starts[signal + 1] - starts[signal]
            if count == 0:
                continue
            first, length, is_big_endian = (
                fields[signal, FIRST_BIT],
                fields[signal, LENGTH_BITS],
                fields[signal, IS_BIG_ENDIAN],
            )
            word, shift, unused = first >> 6, np.uint64(first & 63), np.uint64(64 - length)
            if gathered != word or groups.is_partial[message]:
                for at in range(count):
                    low[at] = words[rows[start + at], word]
                gathered = word
            if (first & 63) + length > 64:
                for at in range(count):
                    field = (first & 63, length, is_big_endian)
                    bits[at] = _bits(low[at], words[rows[start + at], word + 1], field)
            elif is_big_endian:
                for at in range(count):
                    bits[at] = _swap_bytes(low[at]) << shift >> unused
            else:
                for at in range(count):
                    bits[at] = low[at] >> shift << unused >> unused
            _scale(bits, values[start : start + count], (fields[signal, RAW_TYPE], length), scaling[signal])


def _count_samples(frames: Frames, plan: Plan, wanted: NDArray[np.bool_]) -> tuple[Any, ...]:
    """First pass: sort the frames by message and count every channel's samples."""
    message_of = np.empty(len(frames.t_us), np.int32)
    unknown = _route(frames, plan, message_of)
    messages, signals = len(plan.is_plain), len(wanted)
    groups = Groups(np.empty(len(message_of), np.int64), np.zeros(messages + 1, np.int64), np.zeros(messages, np.bool_))
    _group(message_of, groups.starts, groups.rows)
    starts = np.zeros(signals + 1, np.int64)
    short = _count(frames, plan, groups, wanted, starts[1:])
    for signal in range(signals):
        starts[signal + 1] += starts[signal]
    return groups, starts, unknown, short


def _fill_samples(frames: Frames, plan: Plan, groups: Groups, starts: NDArray[np.int64], out: Columns) -> None:
    """Second pass: fill the columns. NumPy has allocated them: numba's own large arrays cost a page fault per 4 kB."""
    _choose_rows(frames, plan, groups, starts, out)
    _fill(frames, plan, groups, starts, out)


@cache
def compiled_passes() -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Both passes, each compiled for one fixed signature: read-only and writable columns alike take this one."""

    def array(element: Any, dimensions: int = 1, *, readonly: bool = False) -> Any:
        return types.Array(element, dimensions, "C", readonly=readonly)

    def fields(kind: type[NamedTuple], *elements: Any) -> Any:
        return types.NamedTuple(elements, kind)  # type: ignore[no-untyped-call]

    i64, u8 = types.int64, types.uint8
    columns = [array(element, readonly=True) for element in (i64, u8, types.uint32, u8, u8)]
    frames = fields(Frames, *columns, array(types.uint64, 2, readonly=True))
    plan = fields(
        Plan,
        *(array(u8), array(types.int32, 2), *(array(i64), array(types.int32)) * 2),
        *(array(i64), array(i64), array(types.boolean)),
        *(array(i64, 2), array(types.float64, 2), array(types.uint64, 2)),
    )
    groups = fields(Groups, array(i64), array(i64), array(types.boolean))
    out = fields(Columns, array(i64), array(types.float64), array(i64))
    count = numba.njit((frames, plan, array(types.boolean, readonly=True)), cache=True, nogil=True)(_count_samples)
    fill = numba.njit((frames, plan, groups, array(i64), out), cache=True, nogil=True)(_fill_samples)
    return count, fill
