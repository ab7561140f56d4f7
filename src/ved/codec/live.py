"""Live messages: columns of bucket summaries <-> bytes, as docs/spec/live.md says.

A column is encoded on its own, so that viewers who watch the same channel at the same rate share its bytes.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ved.errors import CorruptDataError, UnsupportedVersionError

LIVE_VERSION: Final = 1
MAX_TICKS: Final = 2**32 - 1
COARSE_TICK_US: Final = 1000
LAST_HISTORY: Final = 1

_HEADER: Final = struct.Struct("<BBHHHqIIQ")
_COLUMN: Final = struct.Struct("<HBBI")
_HAS_MIN_MAX: Final = 1
_DTYPES: Final[dict[int, np.dtype[np.float32] | np.dtype[np.float64]]] = {1: np.dtype("<f4"), 2: np.dtype("<f8")}
_PADDING: Final = (b"", b"\0" * 7, b"\0" * 6, b"\0" * 5, b"\0" * 4, b"\0" * 3, b"\0" * 2, b"\0")


class LiveKind(IntEnum):
    """Kind byte of a binary live message."""

    HISTORY = 1
    INCREMENT = 2


@dataclass(frozen=True, slots=True)
class LiveHeader:
    """What stands before the columns; `base_utc_us` is a multiple of `tick_us`."""

    kind: LiveKind
    subscription: int
    base_utc_us: int
    tick_us: int
    sequence: int
    is_last_history: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class LiveColumn:
    """n entries of one channel: `t_utc_us` i64[n], the values f64[n]; no minimum and maximum: both equal last."""

    channel: int
    t_utc_us: NDArray[np.int64]
    last: NDArray[np.float64]
    minimum: NDArray[np.float64] | None = None
    maximum: NDArray[np.float64] | None = None
    is_wide: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class LiveMessage:
    """A decoded binary message."""

    header: LiveHeader
    columns: tuple[LiveColumn, ...]


def tick_for(span_us: int) -> int:
    """The tick (µs) in which times up to `span_us` after the base fit; ValueError beyond 49 days."""
    if span_us <= MAX_TICKS:
        return 1
    if span_us <= MAX_TICKS * COARSE_TICK_US:
        return COARSE_TICK_US
    raise ValueError(f"a live message cannot span {span_us} µs")


def encode_column(column: LiveColumn, base_utc_us: int, tick_us: int) -> bytes:
    """The bytes of one column, a multiple of 8; ValueError when a time does not fit."""
    ticks = (column.t_utc_us - base_utc_us) // tick_us
    n = len(ticks)
    if n and (int(ticks.min()) < 0 or int(ticks.max()) > MAX_TICKS):
        raise ValueError("a time does not fit between the base and the last tick")
    code = 2 if column.is_wide else 1
    dtype = _DTYPES[code]
    has_range = column.minimum is not None and column.maximum is not None
    parts = [_COLUMN.pack(column.channel, code, _HAS_MIN_MAX if has_range else 0, n), _padded(ticks.astype("<u4"))]
    # A value beyond float32 becomes infinite: that is what the page draws anyway.
    with np.errstate(over="ignore", invalid="ignore"):
        parts.append(_padded(column.last.astype(dtype)))
        if column.minimum is not None and column.maximum is not None:
            parts.append(_padded(column.minimum.astype(dtype)))
            parts.append(_padded(column.maximum.astype(dtype)))
    return b"".join(parts)


def encode_message(header: LiveHeader, columns: Sequence[bytes]) -> bytes:
    """One message of columns that were encoded with the header's base and tick; ValueError on a field out of range."""
    if header.tick_us < 1 or header.base_utc_us % header.tick_us:
        raise ValueError("base_utc_us must be a multiple of tick_us")
    flags = LAST_HISTORY if header.is_last_history else 0
    try:
        head = _HEADER.pack(
            LIVE_VERSION,
            header.kind,
            header.subscription,
            len(columns),
            flags,
            header.base_utc_us,
            header.tick_us,
            0,
            header.sequence,
        )
    except struct.error as error:
        raise ValueError(f"live header out of range: {error}") from error
    return b"".join((head, *columns))


def decode_message(data: bytes) -> LiveMessage:
    """The message in `data`; CorruptDataError (UnsupportedVersionError for another version) when it is not one."""
    if len(data) < _HEADER.size:
        raise CorruptDataError("live message: shorter than its header")
    version, kind, subscription, count, flags, base_utc_us, tick_us, reserved, sequence = _HEADER.unpack_from(data)
    if version != LIVE_VERSION:
        raise UnsupportedVersionError(f"live message: version {version}")
    if kind not in (LiveKind.HISTORY, LiveKind.INCREMENT):
        raise CorruptDataError(f"live message: unknown kind {kind}")
    if tick_us < 1 or base_utc_us % tick_us or reserved or flags & ~LAST_HISTORY:
        raise CorruptDataError("live message: bad header")
    header = LiveHeader(LiveKind(kind), subscription, base_utc_us, tick_us, sequence, bool(flags & LAST_HISTORY))
    columns: list[LiveColumn] = []
    at = _HEADER.size
    for _ in range(count):
        column, at = _decode_column(data, at, header)
        columns.append(column)
    if at != len(data):
        raise CorruptDataError("live message: bytes left over")
    return LiveMessage(header, tuple(columns))


def _decode_column(data: bytes, at: int, header: LiveHeader) -> tuple[LiveColumn, int]:
    if at + _COLUMN.size > len(data):
        raise CorruptDataError("live message: cut in a column header")
    channel, code, flags, n = _COLUMN.unpack_from(data, at)
    at += _COLUMN.size
    dtype = _DTYPES.get(code)
    if dtype is None or flags & ~_HAS_MIN_MAX:
        raise CorruptDataError(f"live message: unknown dtype {code} or flags {flags}")
    arrays = 3 if flags & _HAS_MIN_MAX else 1
    if at + _aligned(4 * n) + arrays * _aligned(dtype.itemsize * n) > len(data):
        raise CorruptDataError("live message: cut in a column")
    ticks = np.frombuffer(data, "<u4", n, at).astype(np.int64)
    if np.any(ticks[1:] < ticks[:-1]):
        raise CorruptDataError("live message: times decrease")
    at += _aligned(4 * n)
    values: list[NDArray[np.float64]] = []
    for _ in range(arrays):
        # A signalling NaN is a NaN like any other.
        with np.errstate(invalid="ignore"):
            values.append(np.frombuffer(data, dtype, n, at).astype(np.float64))
        at += _aligned(dtype.itemsize * n)
    t_utc_us = header.base_utc_us + ticks * header.tick_us
    minimum, maximum = (values[1], values[2]) if arrays == 3 else (None, None)
    return LiveColumn(channel, t_utc_us, values[0], minimum, maximum, code == 2), at


def _aligned(size: int) -> int:
    return (size + 7) & ~7


def _padded(array: NDArray[np.generic]) -> bytes:
    raw = array.tobytes()
    return raw + _PADDING[len(raw) & 7]
