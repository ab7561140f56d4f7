"""Times and payloads of a batch body, compiled: what docs/spec/batch.md says, one column after the other.

The same bytes as `pack_groups` of ved/codec/columns.py, which is NumPy and judges this one in the tests.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, Final, NamedTuple

import numba
import numpy as np
from numba import types
from numba.extending import register_jitable
from numpy.typing import NDArray

from ved.codec.columns import BatchGroups, PackedGroups

_MILLISECOND_US: Final = 1000
_SNAP_PARTS: Final = 50
_FAILED: Final = -1


class _Times(NamedTuple):
    """What `PackedGroups` has of times."""

    offsets: NDArray[np.uint64]
    periods: NDArray[np.uint64]
    residuals: NDArray[np.uint64]


class _Payload(NamedTuple):
    """What `PackedGroups` has of payloads; `sizes` are those of the streams (rows of a matrix)."""

    firsts: NDArray[np.uint8]
    classes: NDArray[np.uint8]
    streams: NDArray[np.uint8]
    sizes: NDArray[np.int64]


def pack_groups_compiled(t_us: NDArray[np.int64], payload: NDArray[np.uint8], groups: BatchGroups) -> PackedGroups:
    """The compiled `GroupPacker`."""
    pack_times, pack_payload = _compiled()
    counts, data_bytes = groups.counts, groups.data_bytes
    repeated = int(np.count_nonzero(counts > 1))
    times = _Times(
        np.empty(len(counts), np.uint64), np.empty(repeated, np.uint64), np.empty(len(t_us) - len(counts), np.uint64)
    )
    base_us = pack_times(t_us, counts, times)
    columns, moves = int(data_bytes.sum()), int((data_bytes * (counts - 1)).sum())
    packed = _Payload(
        np.empty(columns, np.uint8), np.empty(columns, np.uint8), np.empty((3, moves), np.uint8), np.zeros(3, np.int64)
    )
    if not pack_payload(payload, counts, data_bytes, packed):
        raise ValueError("payload bytes outside of a frame's length")
    streams = tuple(stream[:size] for stream, size in zip(packed.streams, packed.sizes.tolist(), strict=True))
    return PackedGroups(base_us, *times, packed.firsts, packed.classes, streams if columns else ())


@register_jitable
def _zigzag(value: Any) -> Any:
    return np.uint64((value << 1) ^ (value >> 63))


def _pack_times(t_us: Any, counts: Any, out: Any) -> Any:
    """Fill `out`; returns the least time."""
    base_us = t_us[0]
    for time_us in t_us:
        base_us = min(base_us, time_us)
    ordered = np.empty(len(t_us), np.int64)
    start = step_at = period_at = 0
    for group in range(len(counts)):
        steps = counts[group] - 1
        out.offsets[group] = np.uint64(t_us[start] - base_us)
        if steps > 0:
            for step in range(steps):
                ordered[step] = t_us[start + step + 1] - t_us[start + step]
            ordered[:steps].sort()
            median = ordered[steps // 2]
            rounded = (median + _MILLISECOND_US // 2) // _MILLISECOND_US * _MILLISECOND_US
            period = rounded if abs(rounded - median) <= median // _SNAP_PARTS else median
            out.periods[period_at] = _zigzag(period)
            period_at += 1
            for step in range(steps):
                out.residuals[step_at] = _zigzag(t_us[start + step + 1] - t_us[start + step] - period)
                step_at += 1
        start += counts[group]
    return base_us


@register_jitable
def _pack_column(payload: Any, start: Any, byte: Any, moves: Any) -> Any:
    """Zigzag differences of one byte of a group's frames, and their sum."""
    total: Any = 0
    before = payload[start, byte]
    for step in range(len(moves)):
        octet = payload[start + step + 1, byte]
        change = (np.int64(octet) - np.int64(before)) & 0xFF
        move = ((change << 1) ^ (0xFF if change & 0x80 else 0)) & 0xFF
        moves[step] = move
        total += move
        before = octet
    return total


def _pack_payload(
    payload: NDArray[np.uint8], counts: NDArray[np.int64], data_bytes: NDArray[np.int64], out: Any
) -> bool:
    """Fill `out`; False when there are bytes that are not zero outside of a frame's data."""
    width, most = payload.shape[1], 0
    for count in counts:
        most = max(most, count)
    moves = np.empty(most, np.uint8)
    start = column = 0
    for group in range(len(counts)):
        steps = counts[group] - 1
        if data_bytes[group] > width:
            return False
        for row in range(start, start + counts[group]):
            for byte in range(data_bytes[group], width):
                if payload[row, byte] != 0:
                    return False
        for byte in range(data_bytes[group]):
            out.firsts[column] = payload[start, byte]
            total = _pack_column(payload, start, byte, moves[:steps])
            # 0 stands still, 1 up to 1.5 a step, 2 up to 12 a step, 3 more: as in ved/codec/columns.py.
            kind = (total > 0) + (2 * total > 3 * steps) + (total > 12 * steps)
            out.classes[column] = kind
            column += 1
            if kind > 0:
                at = out.sizes[kind - 1]
                out.streams[kind - 1, at : at + steps] = moves[:steps]
                out.sizes[kind - 1] = at + steps
        start += counts[group]
    return True


@cache
def _compiled() -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Both, each compiled for one fixed signature."""

    def array(element: Any, dimensions: int = 1) -> Any:
        return types.Array(element, dimensions, "C", readonly=False)

    i64, u8 = types.int64, types.uint8
    times = types.NamedUniTuple(array(types.uint64), 3, _Times)  # type: ignore[no-untyped-call]
    packed = types.NamedTuple((array(u8), array(u8), array(u8, 2), array(i64)), _Payload)  # type: ignore[no-untyped-call]
    pack_times = numba.njit((array(i64), array(i64), times), cache=True, nogil=True)(_pack_times)
    signature = (array(u8, 2), array(i64), array(i64), packed)
    pack_payload = numba.njit(signature, cache=True, nogil=True)(_pack_payload)
    return pack_times, pack_payload


def compile_kernels() -> None:
    """Compile, or load what was compiled before: seconds or a moment."""
    _compiled()
