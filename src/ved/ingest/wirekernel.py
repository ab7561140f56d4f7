"""The wire's numbers to columns, compiled: what docs/spec/wire.md says, one column after the other.

`ved/codec/wirebody.py` does the same in NumPy for everybody else, and judges this one in the tests.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, Final, NamedTuple

import numba
import numpy as np
from numba import types
from numba.extending import register_jitable
from numpy.typing import NDArray

from ved.codec.layout import HISTORY
from ved.codec.rice import ESCAPE, Numbers
from ved.codec.wirebody import PASS, Changes, NumberSource
from ved.codec.wiregroups import Groups
from ved.codec.wirestate import MAX_WORDS, TIME_SOURCE, Indexes, Signed, Unsigned
from ved.errors import CorruptDataError

_ESCAPE: Final = ESCAPE
_HISTORY: Final = HISTORY
_PASS: Final = PASS
_MAX_WORDS: Final = MAX_WORDS
_TIME: Final = TIME_SOURCE
_MAX_NUMBER: Final = 1 << 40
_COUNT_LIMIT: Final = 16
_FAILED: Final = -1
_U0: Final = np.uint64(0)
_U1: Final = np.uint64(1)
_U8: Final = np.uint64(8)
_U63: Final = np.uint64(63)
_ALL: Final = np.uint64(0xFFFFFFFFFFFFFFFF)


class _Blocks(NamedTuple):
    """The blocks of a body, and in `at` what was read of them: numbers, escaped numbers, low bits."""

    quotients: NDArray[np.uint8]
    escaped: NDArray[np.uint64]
    low: NDArray[np.uint8]
    at: NDArray[np.int64]


class _Columns(NamedTuple):
    """`Columns`, its matrices turned (a row for each column), `weight` its `count`, and `widths`: how many of
    them each group has."""

    source: NDArray[np.int64]
    shift: NDArray[np.uint64]
    unused_bits: NDArray[np.int64]
    weights: NDArray[np.int64]
    divisor: NDArray[np.int64]
    last: NDArray[np.uint64]
    history: NDArray[np.int64]
    total: NDArray[np.int64]
    weight: NDArray[np.int64]
    widths: NDArray[np.int64]


class _Changes(NamedTuple):
    places: NDArray[np.int64]
    values: NDArray[np.uint64]


class _Rows(NamedTuple):
    """What comes out: times (n,) and payload words (n, words), sorted by group."""

    t_us: NDArray[np.int64]
    words: NDArray[np.uint64]


class CompiledNumbers:
    """Reads lists one after the other; CorruptDataError when the blocks do not hold what is asked for."""

    def __init__(self, quotients: bytes, rest: bytes) -> None:
        self._scan, self._take, _ = _compiled()
        found = np.empty(8 * len(quotients), np.uint8)
        count, escaped = self._scan(np.frombuffer(quotients, np.uint8), found)
        if count == _FAILED:
            raise CorruptDataError("quotients out of range")
        if len(rest) < 8 * escaped:
            raise CorruptDataError("escaped numbers are missing")
        octets = np.frombuffer(rest, np.uint8)
        self.blocks = _Blocks(
            found[:count], np.frombuffer(rest, np.uint64, escaped), octets[8 * escaped :], np.zeros(3, np.int64)
        )

    def take(self, ks: Numbers) -> Numbers:
        """The next numbers, one for each parameter."""
        out = np.empty(len(ks), np.uint64)
        if not self._take(self.blocks, ks, out):
            raise CorruptDataError("numbers are missing")
        return out

    def end(self) -> None:
        """Everything must have been taken, but for bits that fill the last byte, which are 0."""
        low, (count, _, bits) = self.blocks.low, self.blocks.at.tolist()
        spare_bits = 8 * len(low) - bits
        if count != len(self.blocks.quotients) or spare_bits >= 8 or (spare_bits and low[-1] & (1 << spare_bits) - 1):
            raise CorruptDataError("numbers are left over")


class CompiledEngine:
    """The compiled `Engine` of a `WireDecoder`."""

    def open(self, quotients: bytes, rest: bytes) -> CompiledNumbers:
        """See `Engine`."""
        return CompiledNumbers(quotients, rest)

    def read_rows(
        self, groups: Groups, counts: Indexes, numbers: NumberSource, changes: Changes, word_count: int
    ) -> tuple[Signed, Unsigned]:
        """See `Engine`."""
        assert isinstance(numbers, CompiledNumbers)
        columns = groups.columns
        weights, history = np.ascontiguousarray(columns.weights.T), np.ascontiguousarray(columns.history.T)
        columns.weights, columns.history = weights.T, history.T  # so that the next batch need not turn them again
        state = _Columns(
            columns.source,
            columns.shift,
            columns.unused_bits,
            weights,
            columns.divisor,
            columns.last,
            history,
            columns.total,
            columns.count,
            np.array(groups.widths, np.int64),
        )
        size = int(counts.sum())
        rows = _Rows(np.empty(size, np.int64), np.zeros((size, word_count), np.uint64))
        _, _, fill = _compiled()
        changed = fill(numbers.blocks, _Changes(*changes), state, counts, rows)
        if changed == _FAILED:
            raise CorruptDataError("numbers are missing")
        if changed != len(changes[0]):
            raise CorruptDataError("a change is out of range")
        numbers.end()
        return rows


def _scan_quotients(block: Any, out: Any) -> tuple[int, int]:
    """All quotients, and how many of them are escapes; `_FAILED` when one is too large or the block is too long."""
    count = escaped = run = 0
    for octet in block:
        for bit in range(7, -1, -1):
            if (octet >> bit) & 1:
                if run > _ESCAPE:
                    return _FAILED, 0
                escaped += run == _ESCAPE
                out[count] = run
                count += 1
                run = 0
            else:
                run += 1
    if run >= 8:
        return _FAILED, 0
    return count, escaped


@register_jitable
def _read_low(low: Any, bit_at: Any, k: Any) -> Any:
    """k bits, at least one, from a bit on."""
    byte = bit_at >> 3
    have = 8 - (bit_at & 7)
    window = np.uint64(low[byte]) & ((_U1 << np.uint64(have)) - _U1)
    while have < k:
        byte += 1
        window = (window << _U8) | np.uint64(low[byte])
        have += 8
    return window >> np.uint64(have - k)


def _take_numbers(blocks: Any, ks: Any, out: Any) -> bool:
    """One number for each parameter; False when there are not so many."""
    bits: Any = 0
    for k in ks:
        bits += np.int64(k)
    if blocks.at[0] + len(ks) > len(blocks.quotients) or blocks.at[2] + bits > 8 * len(blocks.low):
        return False
    for place in range(len(ks)):
        _read_moving(blocks, np.int64(ks[place]), out[place : place + 1])
    return True


@register_jitable
def _read_moving(blocks: Any, k: Any, numbers: Any) -> Any:
    """The next numbers, all with one parameter; False when they are missing."""
    count, at, bit_at = len(numbers), blocks.at[0], blocks.at[2]
    if at + count > len(blocks.quotients) or bit_at + count * k > 8 * len(blocks.low):
        return False
    for step in range(count):
        quotient = blocks.quotients[at + step]
        if quotient == _ESCAPE:
            numbers[step] = blocks.escaped[blocks.at[1]]
            blocks.at[1] += 1
        elif k == 0:
            numbers[step] = np.uint64(quotient)
        else:
            numbers[step] = np.uint64(quotient) << np.uint64(k) | _read_low(blocks.low, bit_at, k)
        bit_at += k
    blocks.at[0] = at + count
    blocks.at[2] = bit_at
    return True


@register_jitable
def _bit_length(number: Any) -> Any:
    bits = 0
    while number > 0:
        number >>= 1
        bits += 1
    return bits


@register_jitable
def _note(columns: Any, at: Any, total: Any, count: Any) -> None:
    """Enter sum and count of a pass's numbers; old ones fade."""
    total += columns.total[at]
    count += columns.weight[at]
    while count >= _COUNT_LIMIT:
        total >>= 1
        count >>= 1
    columns.total[at] = total
    columns.weight[at] = count


@register_jitable
def _follow(columns: Any, at: Any, numbers: Any, values: Any, past: Any) -> None:
    """Numbers of one column to its raw values; its history, sum and count go on. `past` is room to work in."""
    steps = len(numbers)
    first = _HISTORY - 1
    for place in range(_HISTORY):
        past[place] = columns.history[at, place]
        if columns.weights[at, place] != 0 and place < first:
            first = place
    divisor, unused = columns.divisor[at], columns.unused_bits[at]
    half, last, mask = divisor // 2, columns.last[at], _ALL >> np.uint64(unused)
    total = np.int64(0)
    is_hold = first == _HISTORY - 1 and divisor == 1 and columns.weights[at, first] == 1
    for step in range(steps):
        number = numbers[step]
        total += min(np.int64(number & _ALL >> _U1) if number >> _U63 == _U0 else _MAX_NUMBER, _MAX_NUMBER)
        before = past[step + _HISTORY - 1]
        change = np.int64(number >> _U1) ^ -np.int64(number & _U1)
        if not is_hold:
            value = half
            for place in range(first, _HISTORY):
                value += columns.weights[at, place] * past[step + place]
            change += (value // divisor if divisor != 1 else value) - before
        past[step + _HISTORY] = before + ((change << unused) >> unused)
        values[step] = (last + np.uint64(past[step + _HISTORY])) & mask
    end = past[steps + _HISTORY - 1]
    for place in range(_HISTORY):
        columns.history[at, place] = past[steps + place] - end
    columns.last[at] = (last + np.uint64(end)) & mask
    _note(columns, at, total, steps)


@register_jitable
def _swap_bytes(words: Any) -> None:
    for place in range(len(words)):
        word, swapped = words[place], _U0
        for _ in range(8):
            swapped = (swapped << _U8) | (word & np.uint64(0xFF))
            word >>= _U8
        words[place] = swapped


@register_jitable
def _place(columns: Any, at: Any, values: Any, t_us: Any, words: Any) -> None:
    """Put a column's raw values where they belong; the word of the last one of its fields is turned round if need be.

    `words` is (steps, words) of this group's frames in the pass.
    """
    source = columns.source[at]
    if source == _TIME:
        for step in range(len(values)):
            t_us[step] = np.int64(values[step])
        return
    word, shift = source % _MAX_WORDS, columns.shift[at]
    for step in range(len(values)):
        words[step, word] |= values[step] << shift
    is_last = at + 1 == len(columns.source) or columns.source[at + 1] != source
    if source >= _MAX_WORDS and is_last:
        _swap_bytes(words[:, word])


@register_jitable
def _read_still(changes: Any, changed: Any, seen: Any, numbers: Any) -> Any:
    """Numbers of a still column: 0 but for the changes. Returns how many changes were used so far."""
    for step in range(len(numbers)):
        numbers[step] = _U0
        if changed < len(changes.places) and changes.places[changed] == seen + step:
            numbers[step] = changes.values[changed]
            changed += 1
    return changed


def _fill_rows(blocks: Any, changes: Any, columns: Any, counts: Any, rows: Any) -> Any:
    """All passes over all columns. Returns how many changes were used, or `_FAILED` when numbers are missing."""
    changed, seen, most = 0, 0, 0
    for count in counts:
        most = max(most, count)
    numbers, values = np.empty(_PASS, np.uint64), np.empty(_PASS, np.uint64)
    past = np.empty(_HISTORY + _PASS, np.int64)
    for first in range(0, most, _PASS):
        at = start = 0
        for group in range(len(counts)):
            steps = min(max(counts[group] - first, 0), _PASS)
            here = slice(start + first, start + first + steps)
            for column in range(at, at + columns.widths[group]):
                if steps == 0:
                    break
                if 4 * columns.total[column] < columns.weight[column]:
                    changed = _read_still(changes, changed, seen, numbers[:steps])
                    seen += steps
                else:
                    k = _bit_length(columns.total[column] * 11 // (16 * columns.weight[column]))
                    if not _read_moving(blocks, k, numbers[:steps]):
                        return _FAILED
                _follow(columns, column, numbers[:steps], values[:steps], past)
                _place(columns, column, values[:steps], rows.t_us[here], rows.words[here])
            at += columns.widths[group]
            start += counts[group]
    return changed


@cache
def _compiled() -> tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any]]:
    """All three, each compiled for one fixed signature."""

    def array(element: Any, dimensions: int = 1, *, readonly: bool = False) -> Any:
        return types.Array(element, dimensions, "C", readonly=readonly)

    def fields(kind: type[NamedTuple], *elements: Any) -> Any:
        return types.NamedTuple(elements, kind)  # type: ignore[no-untyped-call]

    i64, u8, u64 = types.int64, types.uint8, types.uint64
    blocks = fields(_Blocks, array(u8), array(u64, readonly=True), array(u8, readonly=True), array(i64))
    kinds = (i64, u64, i64, None, i64, u64, None, i64, i64, i64)
    columns = fields(_Columns, *(array(i64, 2) if kind is None else array(kind) for kind in kinds))
    changes, rows = fields(_Changes, array(i64), array(u64)), fields(_Rows, array(i64), array(u64, 2))
    jit = numba.njit
    scan = jit((array(u8, readonly=True), array(u8)), cache=True, nogil=True)(_scan_quotients)
    take = jit((blocks, array(u64), array(u64)), cache=True, nogil=True)(_take_numbers)
    fill = jit((blocks, changes, columns, array(i64), rows), cache=True, nogil=True)(_fill_rows)
    return scan, take, fill


def compile_kernels() -> None:
    """Compile, or load what was compiled before: seconds or a moment."""
    _compiled()
