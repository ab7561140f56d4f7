"""What both ends of a connection remember of the frames that went over it (docs/spec/wire.md).

A column is one field of one group: its time, or some bits of its payload. Its values are predicted from its last
HISTORY values; the differences to that, as numbers from 0 up, are what travels. All columns stand side by side in a
matrix whose rows are the 1st, 2nd... frame of each group in a batch; most columns end before its last row.
"""

from dataclasses import dataclass, fields
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ved.codec.layout import (
    HISTORY,
    WORD_BITS,
    Field,
    Layout,
    filter_divisor,
    filter_weights,
    word_sizes,
)
from ved.codec.planes import unzigzag, zigzag

MAX_COLUMNS: Final = 1 << 14
MAX_WORDS: Final = 8
_BIG_ENDIAN: Final = MAX_WORDS
TIME_SOURCE: Final = 2 * MAX_WORDS
_COUNT_BITS: Final = 4
_MAX_NUMBER: Final = np.uint64(1 << 40)

Indexes = NDArray[np.intp]
Signed = NDArray[np.int64]
Unsigned = NDArray[np.uint64]


@dataclass(slots=True)
class Columns:
    """Fields of groups: where their bits stand (`source`: word, 8 + word from its other end, or 16 for the time), how
    they are predicted, their last values less the last one (oldest first), and the sum and count of late numbers."""

    source: Indexes
    shift: Unsigned
    unused_bits: Signed
    weights: Signed
    divisor: Signed
    last: Unsigned
    history: Signed
    total: Signed
    count: Signed

    @staticmethod
    def concatenate(parts: list["Columns"]) -> "Columns":
        """All columns one behind the other."""
        names = [one.name for one in fields(Columns)]
        return Columns(*(np.concatenate([getattr(part, name) for part in parts], axis=-1) for name in names))

    def take(self, at: Indexes | slice) -> "Columns":
        """The columns `at`, in that order."""
        return Columns(*(getattr(self, one.name)[..., at] for one in fields(Columns)))

    def __len__(self) -> int:
        return len(self.source)

    @property
    def mask(self) -> Unsigned:
        """The bits of a value."""
        return np.uint64(0xFFFFFFFFFFFFFFFF) >> self.unused_bits.view(np.uint64)

    @property
    def is_still(self) -> NDArray[np.bool_]:
        """Columns that change so seldom that only their changes are worth telling."""
        return 4 * self.total < self.count

    @property
    def ks(self) -> Unsigned:
        """Parameter of each column's numbers, from the mean of the late ones."""
        scaled = self.total * 11 // (16 * self.count)
        return np.frexp(scaled.astype(np.float64))[1].astype(np.uint64)

    def fold(self, values: Signed) -> Signed:
        """Signed numbers of each column's width, modulo it."""
        folded: Signed = (values << self.unused_bits) >> self.unused_bits
        return folded

    def note(self, numbers: Unsigned, counts: Signed) -> None:
        """Enter a batch's numbers (rows past a column's count are 0) into sum and count; old ones fade."""
        total = self.total + np.minimum(numbers, _MAX_NUMBER).sum(axis=0, dtype=np.uint64).view(np.int64)
        count = self.count + counts
        fading = np.maximum(np.frexp(count.astype(np.float64))[1].astype(np.int64) - _COUNT_BITS, 0)
        self.total, self.count = total >> fading, count >> fading


def fresh_columns(layout: Layout, data_bytes: int, octets: NDArray[np.uint8], t_us: Signed) -> Columns:
    """The columns of a group whose last HISTORY payloads and times are these."""
    cut: list[Field] = [layout.time]
    sources, shifts = [TIME_SOURCE], [0]
    for number, (word, size) in enumerate(zip(layout.words, word_sizes(data_bytes), strict=True)):
        at = WORD_BITS - 8 * size if word.is_big_endian else 0
        for field in word.fields:
            cut.append(field)
            sources.append(number + (_BIG_ENDIAN if word.is_big_endian else 0))
            shifts.append(at)
            at += field.width
    width = np.array([field.width for field in cut], np.int64)
    start = np.array([field.start_k for field in cut], np.int64)
    columns = Columns(
        np.array(sources, np.intp),
        np.array(shifts, np.uint64),
        WORD_BITS - width,
        np.stack([filter_weights(field.filter) for field in cut], axis=1),
        np.array([filter_divisor(field.filter) for field in cut], np.int64),
        np.zeros(len(cut), np.uint64),
        np.zeros((HISTORY, len(cut)), np.int64),
        np.where(start > 0, (np.int64(5) << start) >> 3, 0),
        np.ones(len(cut), np.int64),
    )
    raw = cut_fields(columns, octets, t_us, np.broadcast_to(np.arange(HISTORY)[:, None], (HISTORY, len(cut))))
    steps = columns.fold((raw[1:] - raw[:-1]).view(np.int64))
    columns.history[1:] = np.cumsum(steps, axis=0)
    columns.history -= columns.history[-1]
    columns.last = raw[-1]
    return columns


def cut_fields(columns: Columns, octets: NDArray[np.uint8], t_us: Signed, rows: Indexes) -> Unsigned:
    """The bits of each column in the frames `rows` (a matrix, one column each)."""
    words = np.ascontiguousarray(octets).view("<u8").astype(np.uint64, copy=False)
    count = words.shape[1]
    sources = np.concatenate([words, words.byteswap(), t_us.view(np.uint64)[:, None]], axis=1)
    place = np.where(
        columns.source == TIME_SOURCE, 2 * count, columns.source // MAX_WORDS * count + columns.source % MAX_WORDS
    )
    cut: Unsigned = (sources[rows, place] >> columns.shift) & columns.mask
    return cut


def join_fields(
    columns: Columns, values: Unsigned, group_of_column: Indexes, word_count: int
) -> tuple[Signed, Unsigned]:
    """The inverse for a matrix of values: times and payload words of each group.

    Shapes (rows, groups) and (word_count, rows, groups).
    """
    starts = np.flatnonzero(np.diff(group_of_column * (TIME_SOURCE + 1) + columns.source, prepend=-1))
    units = np.add.reduceat(values << columns.shift, starts, axis=1)
    source, group = columns.source[starts], group_of_column[starts]
    is_time = source == TIME_SOURCE
    words = np.zeros((word_count, len(values), int(is_time.sum())), np.uint64)
    for number in range(word_count):
        is_little, is_big = source == number, source == number + _BIG_ENDIAN
        words[number][:, group[is_little]] = units[:, is_little]
        words[number][:, group[is_big]] = units[:, is_big].byteswap()
    return units[:, is_time].view(np.int64), words


def to_octets(words: Unsigned) -> NDArray[np.uint8]:
    """n payloads from (n, words)."""
    return np.ascontiguousarray(words, "<u8").view(np.uint8).reshape(len(words), -1)


def history_of(columns: Columns) -> tuple[NDArray[np.uint8], Signed]:
    """The last HISTORY payloads and times of one group, whose columns these are."""
    values = (columns.last + columns.history.view(np.uint64)) & columns.mask
    t_us, words = join_fields(columns, values, np.zeros(len(columns), np.intp), MAX_WORDS)
    return to_octets(words[:, :, 0].T), t_us[:, 0]


def to_numbers(columns: Columns, raw: Unsigned, counts: Indexes) -> Unsigned:
    """The numbers of a batch's matrix of raw values, 0 past each column's count; the columns remember the batch."""
    steps = len(raw)
    past = np.empty((HISTORY + steps, len(columns)), np.int64)
    past[:HISTORY] = columns.history
    before = np.concatenate([columns.last[None], raw[:-1]])
    np.cumsum(columns.fold((raw - before).view(np.int64)), axis=0, out=past[HISTORY:])
    windows = np.lib.stride_tricks.sliding_window_view(past[:-1], HISTORY, axis=0)
    sums = np.einsum("hc,ich->ic", columns.weights, windows)
    predicted = (sums + columns.divisor // 2) // columns.divisor
    numbers = zigzag(columns.fold(past[HISTORY:] - predicted))
    numbers[np.arange(steps)[:, None] >= counts] = 0
    _remember(columns, past, numbers, counts)
    return numbers


def to_values(columns: Columns, numbers: Unsigned, counts: Indexes) -> Unsigned:
    """The inverse of `to_numbers`, row by row; values past a column's count mean nothing."""
    steps = len(numbers)
    past = np.empty((HISTORY + steps, len(columns)), np.int64)
    past[:HISTORY] = columns.history
    weights, divisor, unused = columns.weights, columns.divisor, columns.unused_bits
    residuals = unzigzag(numbers)
    half = divisor // 2
    value = np.empty_like(half)
    for row in range(steps):
        before, after = past[row + HISTORY - 1], past[row + HISTORY]
        np.einsum("hc,hc->c", weights, past[row : row + HISTORY], out=value)
        value += half
        value //= divisor
        value += residuals[row]
        value -= before
        value <<= unused
        value >>= unused
        np.add(before, value, out=after)
    values = (columns.last + past[HISTORY:].view(np.uint64)) & columns.mask
    _remember(columns, past, numbers, counts)
    return values


def _remember(columns: Columns, past: Signed, numbers: Unsigned, counts: Indexes) -> None:
    rows = counts + np.arange(HISTORY)[:, None]
    history = past[rows, np.arange(len(columns))]
    columns.last = (columns.last + history[-1].view(np.uint64)) & columns.mask
    columns.history = history - history[-1]
    columns.note(numbers, counts.astype(np.int64))
