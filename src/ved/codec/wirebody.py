"""A batch as lists of numbers, and back: counts of the groups, order of arrival, and what the columns say.

Frames are taken in passes of PASS frames of each group at most: after each pass the columns have learned from it.
"""

from collections.abc import Iterator
from typing import Final, Protocol

import numpy as np

from ved.codec.columns import arrival_rows, order_exceptions
from ved.codec.planes import unzigzag, zigzag
from ved.codec.rice import MAX_K, NumberReader, Numbers, pack_numbers
from ved.codec.varint import VarintReader, pack_varint
from ved.codec.wiregroups import Groups
from ved.codec.wirestate import (
    MAX_WORDS,
    Columns,
    Indexes,
    Signed,
    Unsigned,
    cut_fields,
    join_fields,
    to_numbers,
    to_octets,
    to_values,
)
from ved.errors import CorruptDataError
from ved.model.frames import CLASSIC_WIDTH, FD_WIDTH, MAX_BATCH_FRAMES, FrameColumns, FrameFlag, widen

PASS: Final = 32
MAX_PASS_COLUMNS: Final = 1 << 17
"""Passes of a batch times columns: 32 MiB of numbers."""

Changes = tuple[Indexes, Numbers]
"""Places and values of the numbers of still columns that are not 0."""

_OPEN_LISTS: Final = 5
"""Lists with one parameter of their own: counts, gaps, shifts, places of changes, changes."""


def fits(columns: int, counts: Indexes) -> bool:
    """True when a batch of these counts is not too large for so many columns."""
    return -(-int(counts.max()) // PASS) * columns <= MAX_PASS_COLUMNS


def write_body(groups: Groups, grouped: FrameColumns, order: Indexes, counts: Indexes) -> bytes:
    """The lists of frames sorted by group; `order` are their places in the order of arrival. The groups remember."""
    gaps, shifts = order_exceptions(grouped.t_us, order)
    still, moving, ks = _column_lists(groups, grouped, counts)
    changes = np.flatnonzero(still)
    opening = (
        zigzag((counts - groups.counts_before).astype(np.int64)),
        gaps,
        shifts,
        _places_to_gaps(changes),
        still[changes] - np.uint64(1),
    )
    shape = [_best_k(numbers) for numbers in opening]
    all_ks = [_same(k, len(numbers)) for k, numbers in zip(shape, opening, strict=True)]
    quotients, escaped, low = pack_numbers(np.concatenate([*opening, moving]), np.concatenate([*all_ks, ks]))
    groups.note(counts, int(grouped.t_us[np.argmax(order)]))
    sizes = (len(gaps), len(changes), len(quotients))
    return b"".join((bytes(shape), *(pack_varint(size) for size in sizes), quotients, escaped, low))


def _column_lists(groups: Groups, grouped: FrameColumns, counts: Indexes) -> tuple[Numbers, Numbers, Numbers]:
    """Numbers of still columns, numbers of the others, and the parameters of these."""
    columns, group_of_column = groups.columns, groups.group_of_column
    payload = widen(grouped.payload) if np.any(columns.source % MAX_WORDS) else grouped.payload
    starts = (np.cumsum(counts) - counts)[group_of_column]
    still, moving, ks = [], [], []
    for first, pass_counts in _passes(counts):
        column_counts = pass_counts[group_of_column]
        steps = np.arange(int(pass_counts.max()))
        rows = np.minimum(starts + first + steps[:, None], len(grouped) - 1)
        is_still, pass_ks = columns.is_still, columns.ks
        numbers = to_numbers(columns, cut_fields(columns, payload, grouped.t_us, rows), column_counts).T
        is_frame = steps < column_counts[:, None]
        still.append(numbers[is_still][is_frame[is_still]])
        moving.append(numbers[~is_still][is_frame[~is_still]])
        ks.append(np.repeat(pass_ks[~is_still], column_counts[~is_still]))
    return np.concatenate(still), np.concatenate(moving), np.concatenate(ks)


class NumberSource(Protocol):
    """Reads lists one after the other; CorruptDataError when there are not so many numbers."""

    def take(self, ks: Numbers) -> Numbers:
        """The next numbers, one for each parameter."""

    def end(self) -> None:
        """CorruptDataError when anything is left over."""


class Engine(Protocol):
    """How a body's numbers become values: the work of `read_body` that depends on the number of frames."""

    def open(self, quotients: bytes, rest: bytes) -> NumberSource:
        """The lists in these blocks."""

    def read_rows(
        self, groups: Groups, counts: Indexes, numbers: NumberSource, changes: Changes, word_count: int
    ) -> tuple[Signed, Unsigned]:
        """Times (n,) and payload words (n, word_count) of all frames, sorted by group; the columns remember them.

        `numbers` is one of `open`'s and must be read to its end.
        """


class ArrayEngine:
    """Whole arrays at once, in NumPy."""

    def open(self, quotients: bytes, rest: bytes) -> NumberSource:
        """See `Engine`."""
        return NumberReader(quotients, rest)

    def read_rows(
        self, groups: Groups, counts: Indexes, numbers: NumberSource, changes: Changes, word_count: int
    ) -> tuple[Signed, Unsigned]:
        """See `Engine`."""
        values = _read_values(groups, counts, numbers, changes)
        times, words = join_fields(groups.columns, values, groups.group_of_column, word_count)
        group = np.repeat(np.arange(len(groups)), counts)
        step = np.arange(len(group)) - np.repeat(np.cumsum(counts) - counts, counts)
        return times[step, group], words[:, step, group].T


def read_body(groups: Groups, reader: VarintReader, engine: Engine) -> FrameColumns:
    """The inverse of `write_body`, in order of arrival."""
    shape = reader.octets(_OPEN_LISTS)
    if max(shape) > MAX_K:
        raise CorruptDataError("a parameter is out of range")
    moved, changed = reader.number(MAX_BATCH_FRAMES), reader.number(PASS * MAX_PASS_COLUMNS)
    numbers = engine.open(reader.octets(reader.number(len(reader.data))), reader.rest())
    counts = groups.counts_before + unzigzag(numbers.take(_same(shape[0], len(groups))))
    if len(counts) == 0 or int(counts.min()) < 0 or not 0 < counts.sum(dtype=np.float64) <= MAX_BATCH_FRAMES:
        raise CorruptDataError("frames of the groups are out of range")
    if not fits(len(groups.columns), counts):
        raise CorruptDataError("a batch on the wire is too large")
    gaps, shifts = numbers.take(_same(shape[1], moved)), numbers.take(_same(shape[2], moved))
    places = _gaps_to_places(numbers.take(_same(shape[3], changed)))
    changes = numbers.take(_same(shape[4], changed)) + np.uint64(1)
    keys = groups.key_numbers
    flags, length = (keys >> np.uint64(40)).astype(np.uint8), (keys >> np.uint64(32)).astype(np.uint8)
    has_wide = np.any((length > CLASSIC_WIDTH) & (flags & np.uint8(FrameFlag.REMOTE) == 0) & (counts > 0))
    word_count = FD_WIDTH // CLASSIC_WIDTH if has_wide else 1
    t_us, words = engine.read_rows(groups, counts, numbers, (places, changes), word_count)
    rows = arrival_rows(t_us, gaps, shifts)
    group = np.repeat(np.arange(len(keys)), counts)[rows]
    bus, number = (keys >> np.uint64(48)).astype(np.uint8), keys.astype(np.uint32)
    frames = FrameColumns(t_us[rows], bus[group], number[group], flags[group], length[group], to_octets(words[rows]))
    groups.note(counts, int(frames.t_us[-1]))
    return frames


def _read_values(groups: Groups, counts: Indexes, numbers: NumberSource, changes: Changes) -> Unsigned:
    """Raw values of all columns: a matrix with one row for the 1st, 2nd... frame of each group."""
    columns, group_of_column = groups.columns, groups.group_of_column
    places, values = changes
    out = []
    for _, pass_counts in _passes(counts):
        column_counts = pass_counts[group_of_column]
        size = int(column_counts[columns.is_still].sum())
        here = int(np.searchsorted(places, size))
        still = np.zeros(size, np.uint64)
        still[places[:here]] = values[:here]
        places, values = places[here:] - size, values[here:]
        out.append(to_values(columns, _read_matrix(columns, column_counts, numbers, still), column_counts))
    if len(places):
        raise CorruptDataError("a change is out of range")
    numbers.end()
    return np.concatenate(out)


def _read_matrix(columns: Columns, column_counts: Indexes, numbers: NumberSource, still: Numbers) -> Unsigned:
    is_still = columns.is_still
    is_frame = np.arange(int(column_counts.max())) < column_counts[:, None]
    out = np.zeros(is_frame.shape, np.uint64)
    out[is_frame & is_still[:, None]] = still
    out[is_frame & ~is_still[:, None]] = numbers.take(np.repeat(columns.ks[~is_still], column_counts[~is_still]))
    return np.ascontiguousarray(out.T)


def _passes(counts: Indexes) -> Iterator[tuple[int, Indexes]]:
    """The first frame of each group in a pass, and how many of each group are in it."""
    for first in range(0, int(counts.max()), PASS):
        yield first, np.clip(counts - first, 0, PASS)


def _best_k(numbers: Numbers) -> int:
    """A good parameter for a list."""
    if len(numbers) == 0:
        return 0
    return min(MAX_K, (int(numbers.sum(dtype=np.float64)) * 11 // (16 * len(numbers))).bit_length())


def _same(k: int, count: int) -> Numbers:
    return np.full(count, k, np.uint64)


def _places_to_gaps(places: Indexes) -> Numbers:
    return np.diff(places, prepend=-1).astype(np.uint64) - np.uint64(1)


def _gaps_to_places(gaps: Numbers) -> Indexes:
    if len(gaps) and int(gaps.max()) >= PASS * MAX_PASS_COLUMNS:
        raise CorruptDataError("a change is out of range")
    places: Indexes = np.cumsum(gaps.astype(np.intp) + 1) - 1
    return places
