"""How the payload of a group is cut into fields, and how each is predicted (docs/spec/wire.md).

A layout says nothing about what a field means; a wrong one costs bytes, never data.
"""

import struct
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ved.errors import CorruptDataError

HISTORY: Final = 16
"""Values of the past that a filter may look at."""

WORD_BITS: Final = 64
WORD_BYTES: Final = 8
MAX_START_K: Final = 41
_FIRST_LAG: Final = 32
_FIELD: Final = struct.Struct("<BBB")

# number of a filter -> (weights of the value before, the one before that..., divisor)
_Filter = tuple[list[int], int]


def _mean(count: int) -> _Filter:
    return [1] * count, count


def _line(count: int) -> _Filter:
    """The next point of the least squares line through the last `count` values."""
    return [2 * (2 * count + 1 - 3 * j) for j in range(1, count + 1)], count * (count - 1)


def _lag(count: int) -> _Filter:
    return [0] * (count - 1) + [1], 1


FILTERS: Final[dict[int, _Filter]] = {
    0: _mean(1),
    1: _line(2),
    2: _line(3),
    3: _line(4),
    4: _line(6),
    5: _line(8),
    6: _line(12),
    7: _line(16),
    8: _mean(2),
    9: _mean(3),
    10: _mean(4),
    11: _mean(8),
    12: _mean(16),
} | {_FIRST_LAG + count: _lag(count) for count in range(2, HISTORY + 1)}
HOLD: Final = 0
LINE: Final = 1


@dataclass(frozen=True, slots=True)
class Field:
    """Some neighbouring bits of a word. `start_k`: 0 when it stands still, else one more than its first parameter."""

    width: int
    filter: int
    start_k: int


TIME: Final = Field(WORD_BITS, LINE, 15)
OCTET: Final = Field(8, HOLD, 8)


@dataclass(frozen=True, slots=True)
class Word:
    """Up to 8 payload bytes as one number, cut into fields from its lowest bit up."""

    is_big_endian: bool
    fields: tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class Layout:
    """The field of a group's time, and its payload's words."""

    time: Field
    words: tuple[Word, ...]

    @property
    def column_count(self) -> int:
        """Its fields, the time included."""
        return 1 + sum(len(word.fields) for word in self.words)


def word_sizes(data_bytes: int) -> list[int]:
    """Bytes of each word of a payload."""
    return [min(WORD_BYTES, data_bytes - at) for at in range(0, data_bytes, WORD_BYTES)]


def default_layout(data_bytes: int) -> Layout:
    """What a group begins with: every byte a field."""
    return Layout(TIME, tuple(Word(False, (OCTET,) * size) for size in word_sizes(data_bytes)))


def pack_layout(layout: Layout) -> bytes:
    """The bytes of a layout; the payload's length is known to the reader."""
    parts = [_pack_field(layout.time)]
    for word in layout.words:
        parts.append(bytes([word.is_big_endian]))
        parts += [_pack_field(field) for field in word.fields]
    return b"".join(parts)


def _pack_field(field: Field) -> bytes:
    return _FIELD.pack(field.width, field.filter, field.start_k)


def unpack_layout(data: bytes, at: int, data_bytes: int) -> tuple[Layout, int]:
    """The layout at `at`, and where it ends; CorruptDataError when it is none."""
    time, at = _unpack_field(data, at)
    if time.width != WORD_BITS:
        raise CorruptDataError("a time has 64 bits")
    words = []
    for size in word_sizes(data_bytes):
        if at >= len(data) or data[at] > 1:
            raise CorruptDataError("byte order out of range")
        is_big_endian, fields, bits = data[at] == 1, [], 8 * size
        at += 1
        while bits > 0:
            field, at = _unpack_field(data, at)
            fields.append(field)
            bits -= field.width
        if bits != 0:
            raise CorruptDataError("fields do not fill their word")
        words.append(Word(is_big_endian, tuple(fields)))
    return Layout(time, tuple(words)), at


def _unpack_field(data: bytes, at: int) -> tuple[Field, int]:
    try:
        width, number, start_k = _FIELD.unpack_from(data, at)
    except struct.error as error:
        raise CorruptDataError("a layout is cut short") from error
    if not 1 <= width <= WORD_BITS or number not in FILTERS or start_k > MAX_START_K:
        raise CorruptDataError("a field is out of range")
    return Field(width, number, start_k), at + _FIELD.size


def filter_weights(number: int) -> NDArray[np.int64]:
    """Weights over HISTORY values, the oldest first."""
    weights = FILTERS[number][0]
    out = np.zeros(HISTORY, np.int64)
    out[HISTORY - len(weights) :] = weights[::-1]
    return out


def filter_divisor(number: int) -> int:
    """What the weighted sum is divided by."""
    return FILTERS[number][1]
