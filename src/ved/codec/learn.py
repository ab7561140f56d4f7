"""Finds layouts for groups from their frames: which bits move as one number, and what predicts them best.

Any layout is right (docs/spec/wire.md), so all of this is about bytes. Neighbouring bits of one number flip ever less
often towards its top; where a bit flips more often than the one below it, another number begins. Among these places the
cheapest cut is found by dynamic programming over the estimated bits of every piece.
"""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ved.codec.layout import (
    FILTERS,
    HISTORY,
    HOLD,
    LINE,
    MAX_START_K,
    WORD_BITS,
    Field,
    Layout,
    Word,
    filter_divisor,
    filter_weights,
    word_sizes,
)
from ved.codec.planes import zigzag
from ved.codec.wiregroups import GroupKey
from ved.codec.wirestate import Indexes
from ved.model.frames import FrameColumns

FIRST_FRAMES: Final = 128
MAX_FRAMES: Final = 512
MAX_GROUPS: Final = 1024
_GROWTH: Final = 4
_FRAMES_PER_LESSON: Final = 1_000
_MAX_PIECE_BITS: Final = 32
_FIELD_BITS_PER_FRAME: Final = 0.04
_FLIPS_MORE: Final = 1.15
_CUT_FILTERS: Final = (HOLD, LINE)
_FILTERS: Final = tuple(FILTERS)
_TIME_FILTERS: Final = (1, 2, 3, 4, 5, 6, 7)

Unsigned = NDArray[np.uint64]
Signed = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(slots=True)
class _Group:
    seen: int = 0
    learn_at: int = FIRST_FRAMES
    frames: int = 0
    t_us: list[Signed] = field(default_factory=list)
    payload: list[NDArray[np.uint8]] = field(default_factory=list)


class LayoutBook:
    """The layouts that a writer has learned, for all its connections. Few are learned at a time: none waits long."""

    def __init__(self) -> None:
        self._groups: dict[GroupKey, _Group] = {}
        self._layouts: dict[GroupKey, Layout] = {}
        self._due: dict[GroupKey, None] = {}

    def find(self, key: GroupKey) -> Layout | None:
        """The layout to use, when one was learned."""
        return self._layouts.get(key)

    def observe(self, keys: list[GroupKey], counts: Indexes, frames: FrameColumns) -> None:
        """Frames sorted by group: so many of the first key, then of the next..."""
        end = 0
        for key, count in zip(keys, counts.tolist(), strict=True):
            end += count
            group = self._groups.get(key)
            if group is None:
                if len(self._groups) >= MAX_GROUPS or not key.data_bytes:
                    continue
                group = self._groups[key] = _Group()
            group.seen += count
            if group.seen > group.learn_at - MAX_FRAMES:
                rows = slice(end - count, end)
                self._collect(key, group, frames.t_us[rows], frames.payload[rows])
        for key in list(self._due)[: 1 + len(frames) // _FRAMES_PER_LESSON]:
            del self._due[key]
            self._learn(key, self._groups[key])

    def _collect(self, key: GroupKey, group: _Group, t_us: Signed, payload: NDArray[np.uint8]) -> None:
        group.t_us.append(t_us)
        group.payload.append(payload)
        group.frames += len(t_us)
        if group.seen >= group.learn_at and group.frames >= FIRST_FRAMES:
            self._due[key] = None

    def _learn(self, key: GroupKey, group: _Group) -> None:
        t_us = np.concatenate(group.t_us)[-MAX_FRAMES:]
        payload = np.concatenate(group.payload)[-MAX_FRAMES:, : key.data_bytes]
        group.t_us, group.payload, group.frames = [], [], 0
        group.learn_at = group.seen * _GROWTH
        self._layouts[key] = learn_layout(t_us, payload)


def learn_layout(t_us: Signed, payload: NDArray[np.uint8]) -> Layout:
    """A layout for a group, from more than HISTORY of its frames: shapes (n,) and (n, data bytes)."""
    words, at = [], 0
    for size in word_sizes(payload.shape[1]):
        octets = payload[:, at : at + size]
        at += size
        little, big = (_cut_word(_word(octets, is_big), 8 * size) for is_big in (False, True))
        is_big = big[0] < little[0]
        words.append(Word(is_big, _choose_filters(_word(octets, is_big), (big if is_big else little)[1])))
    time = _best_filter((t_us - t_us[0])[:, None], np.zeros(1, np.int64), _TIME_FILTERS)[0]
    return Layout(Field(WORD_BITS, *time), tuple(words))


def _word(octets: NDArray[np.uint8], is_big: bool) -> Unsigned:
    """Payload bytes as one number, its lowest bit at 0."""
    padded = np.zeros((len(octets), WORD_BITS // 8), np.uint8)
    padded[:, : octets.shape[1]] = octets[:, ::-1] if is_big else octets
    return padded.view("<u8")[:, 0].astype(np.uint64)


def _cut_word(word: Unsigned, bits: int) -> tuple[float, list[int]]:
    """The estimated cost of the best cut, and its edges: 0, ..., bits."""
    edges = _edges(word, bits)
    firsts, ends = np.array(
        [
            (first, end)
            for place, first in enumerate(edges)
            for end in edges[place + 1 :]
            if end - first <= _MAX_PIECE_BITS or end == edges[place + 1]
        ]
    ).T
    values, unused = _pieces(word, firsts, ends)
    costs = np.min([_cost(_residuals(values, unused, number)) for number in _CUT_FILTERS], axis=0)
    costs += _FIELD_BITS_PER_FRAME * len(word)
    best: dict[int, tuple[float, list[int]]] = {0: (0.0, [0])}
    for first, end, cost in zip(firsts.tolist(), ends.tolist(), costs.tolist(), strict=True):
        total = best[first][0] + cost
        if end not in best or total < best[end][0]:
            best[end] = (total, [*best[first][1], end])
    return best[bits]


def _edges(word: Unsigned, bits: int) -> list[int]:
    """Where a number may begin: at bytes, where bits begin or cease to move, where a bit flips more than the last."""
    flips = word[1:] ^ word[:-1]
    rates = ((flips[:, None] >> np.arange(bits, dtype=np.uint64)) & np.uint64(1)).sum(axis=0, dtype=np.int64)
    before, after = rates[:-1], rates[1:]
    is_edge = (after > _FLIPS_MORE * before + 2) | ((before == 0) != (after == 0))
    return sorted({0, bits, *range(8, bits, 8), *(np.flatnonzero(is_edge) + 1).tolist()})


def _pieces(word: Unsigned, firsts: Indexes, ends: Indexes) -> tuple[Signed, Signed]:
    """Values of each piece, unwrapped so that they never jump by more than half of its range; and 64 - its width."""
    unused = (WORD_BITS - (ends - firsts)).astype(np.int64)
    raw = ((word[:, None] >> firsts.astype(np.uint64)) << unused.astype(np.uint64)).view(np.int64) >> unused
    values = np.zeros_like(raw)
    np.cumsum((np.diff(raw, axis=0) << unused) >> unused, axis=0, out=values[1:])
    return values, unused


def _residuals(values: Signed, unused: Signed, number: int) -> Unsigned:
    """What the filter leaves of each column, as numbers from 0 up."""
    weights, divisor = filter_weights(number), filter_divisor(number)
    count = len(values) - HISTORY
    sums = np.full((count, values.shape[1]), divisor // 2, np.int64)
    for place in np.flatnonzero(weights).tolist():
        sums += weights[place] * values[place : place + count]
    left = values[HISTORY:] - (sums // divisor if divisor > 1 else sums)
    return zigzag((left << unused) >> unused)


def _cost(numbers: Unsigned) -> Floats:
    """About how many bits the columns take."""
    count = len(numbers)
    k = _parameter(numbers)
    moving = (numbers >> k).sum(axis=0, dtype=np.float64) + count * (1.0 + k)
    changes = np.count_nonzero(numbers, axis=0)
    rare = changes * (np.log2(count / np.maximum(changes, 1)) + 2.5 + np.log2(1 + numbers.mean(axis=0)))
    cost: Floats = np.minimum(moving, rare + changes)
    return cost


def _parameter(numbers: Unsigned) -> Unsigned:
    k: Unsigned = np.frexp(np.floor(numbers.mean(axis=0) * (11 / 16)))[1].astype(np.uint64)
    return k


def _choose_filters(word: Unsigned, edges: list[int]) -> tuple[Field, ...]:
    firsts, ends = np.array(edges[:-1]), np.array(edges[1:])
    values, unused = _pieces(word, firsts, ends)
    chosen = _best_filter(values, unused, _FILTERS)
    return tuple(Field(int(end - first), *one) for first, end, one in zip(firsts, ends, chosen, strict=True))


def _best_filter(values: Signed, unused: Signed, numbers: tuple[int, ...]) -> list[tuple[int, int]]:
    """For each column the filter that leaves least, and its start_k."""
    residuals = [_residuals(values, unused, number) for number in numbers]
    best = np.argmin([_cost(one) for one in residuals], axis=0)
    out = []
    for column, choice in enumerate(best.tolist()):
        left = residuals[choice][:, column : column + 1]
        is_still = float(left.mean()) < 0.25
        out.append((numbers[choice], 0 if is_still else min(MAX_START_K, int(_parameter(left)[0]) + 1)))
    return out
