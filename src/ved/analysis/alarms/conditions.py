"""Conditions over columns: where the samples of their channels make conditions true or false again.

A sample trips a condition, clears it, or (between the two thresholds of a hysteresis, or without a number) does
neither: the condition stays as it was. So the transitions of any number of samples follow from two masks. The samples
of all conditions of a batch lie one condition after the other in the same arrays, so a batch costs a fixed number of
calls, however many rules there are.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ved.analysis.maths.program import Program
from ved.model.alarmrule import Guard, Rule
from ved.model.channel import Channel

Floats = NDArray[np.float64]
Times = NDArray[np.int64]
Mask = NDArray[np.bool_]
Indices = NDArray[np.intp]

NO_TIME: Final = -(1 << 62)
_TOLERANCE: Final = 1e-9
_INTEGERS: Final = 2.0**63


class Kind(IntEnum):
    """How a condition is worked out."""

    REGION = 0
    """False while low <= value <= high."""
    VALUES = 1
    BITS = 2
    RATE = 3
    PLAUSIBLE = 4
    EXPRESSION = 5
    SILENCE = 6


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition; `inputs` are channel numbers (several for an expression, none: silence of the whole vehicle)."""

    kind: Kind
    inputs: tuple[int, ...] = ()
    low: float = -np.inf
    high: float = np.inf
    hysteresis: float = 0.0
    values: tuple[float, ...] = ()
    mask: int = 0
    span_us: int = 0
    """Rate: over how long. Plausible: frozen after (0: never). Silence: for how long."""
    program: Program | None = field(default=None, compare=False)


class Samples(NamedTuple):
    """Samples of several conditions, one condition after the other, those of one kind together.

    `which` i64[k]: the conditions, by kind; `starts` i64[k + 1]: where their samples begin; `t_us`, `values`: [m].
    """

    which: Indices
    starts: NDArray[np.int64]
    t_us: Times
    values: Floats


class Memory:
    """What all conditions keep from one batch to the next.

    `is_on`; for frozen channels the last value, whether there is one, and since when it stands; for rates the newest
    samples, as far back as they are needed.
    """

    def __init__(self, count: int) -> None:
        self.is_on = np.zeros(count, np.bool_)
        self.has_last = np.zeros(count, np.bool_)
        self.last = np.full(count, np.nan)
        self.changed_us = np.full(count, NO_TIME, np.int64)
        self.tails: dict[int, tuple[Times, Floats]] = {}


class Table:
    """The parameters of all conditions as arrays."""

    def __init__(self, conditions: Sequence[Condition]) -> None:
        self.kind = np.array([one.kind for one in conditions], np.int64)
        self.low = np.array([one.low for one in conditions], np.float64)
        self.high = np.array([one.high for one in conditions], np.float64)
        margin = np.array([one.hysteresis for one in conditions], np.float64)
        self.clear_low, self.clear_high = self.low + margin, self.high - margin
        self.mask = np.array([one.mask for one in conditions], np.int64)
        self.span_us = np.array([one.span_us for one in conditions], np.int64)
        most = max((len(one.values) for one in conditions), default=0)
        self.values = np.full((len(conditions), most), np.nan)
        for at, one in enumerate(conditions):
            self.values[at, : len(one.values)] = one.values


def tolerance(values: Floats) -> Floats:
    """Within what numbers are the same."""
    out: Floats = _TOLERANCE * np.maximum(1.0, np.abs(values))
    return out


def transitions(table: Table, memory: Memory, samples: Samples) -> tuple[Indices, Indices, Mask]:
    """The samples at which a condition changes: place in `which`, place in the samples, what it becomes.

    Times do not decrease within a condition, and every condition has samples. The memory is moved on.
    """
    owner = np.broadcast_to(np.intp(0), len(samples.values))
    if len(samples.which) > 1:
        owner = np.repeat(np.arange(len(samples.which)), np.diff(samples.starts))
    with np.errstate(all="ignore"):  # infinite values, and floats that no integer holds
        trips, clears = _masks(table, memory, samples, owner)
    # Where sample after sample says the same, only the first can change something.
    says = trips | clears
    says[1:] &= (trips[1:] != trips[:-1]) | (clears[1:] != clears[:-1])
    says[samples.starts[:-1]] = (trips | clears)[samples.starts[:-1]]
    at = np.flatnonzero(says)
    if not len(at):
        return at, at, np.empty(0, np.bool_)
    becomes, of = trips[at], owner[at]
    is_first = np.append(True, of[1:] != of[:-1])
    before = np.append(False, becomes[:-1])
    before[is_first] = memory.is_on[samples.which[of[is_first]]]
    is_last = np.append(is_first[1:], True)
    memory.is_on[samples.which[of[is_last]]] = becomes[is_last]
    changed = becomes != before
    return of[changed], at[changed], becomes[changed]


def _masks(table: Table, memory: Memory, samples: Samples, owner: Indices) -> tuple[Mask, Mask]:
    """Where the conditions are tripped, and where they are cleared; never both."""
    trips, clears = np.empty(len(owner), np.bool_), np.empty(len(owner), np.bool_)
    kinds = table.kind[samples.which]
    edges = np.searchsorted(kinds, np.arange(Kind.SILENCE + 1)).tolist()
    for kind, (first, end) in enumerate(pairwise(edges)):
        if first == end:
            continue
        part = slice(int(samples.starts[first]), int(samples.starts[end]))
        block = Samples(
            samples.which[first:end],
            samples.starts[first : end + 1] - part.start,
            samples.t_us[part],
            samples.values[part],
        )
        # Of one condition alone the parameters are one number each, not one for each sample.
        of = block.which if end - first == 1 else block.which[owner[part] - first]
        trips[part], clears[part] = _of_kind(Kind(kind), table, memory, block, of)
    return trips, clears


def _of_kind(kind: Kind, table: Table, memory: Memory, block: Samples, of: Indices) -> tuple[Mask, Mask]:
    """As `_masks`, for conditions of one kind; `of`: each sample's condition, or the one of all."""
    values = block.values
    if kind is Kind.REGION:
        return _region(table, of, values)
    if kind is Kind.RATE:
        return _region(table, of, _rates(table, memory, block))
    if kind is Kind.VALUES:
        trips = np.zeros(len(values), np.bool_)
        for wanted in table.values.T:
            trips |= np.abs(values - wanted[of]) <= tolerance(wanted[of])
        return trips, np.isfinite(values) & ~trips
    if kind is Kind.BITS:
        is_number = np.abs(values) < _INTEGERS
        trips = (np.where(is_number, values, 0.0).astype(np.int64) & table.mask[of]) != 0
        return trips, is_number & ~trips
    if kind is Kind.PLAUSIBLE:
        low, high = table.low[of], table.high[of]
        margin = tolerance(values)
        trips = ~np.isfinite(values) | (values < low - margin) | (values > high + margin)
        span_us = table.span_us[of]
        if span_us.any():
            trips |= (span_us > 0) & (block.t_us - _changes(memory, block) >= span_us)
        return trips, ~trips
    return np.isfinite(values) & (values != 0), values == 0


def _region(table: Table, of: Indices, values: Floats) -> tuple[Mask, Mask]:
    trips = (values < table.low[of]) | (values > table.high[of])
    return trips, (values >= table.clear_low[of]) & (values <= table.clear_high[of])


def _rates(table: Table, memory: Memory, block: Samples) -> Floats:
    """Change per second against the newest sample that is at least `span_us` older; NaN where there is none."""
    empty = np.empty(0, np.int64), np.empty(0, np.float64)
    tails = [memory.tails.get(at, empty) for at in block.which.tolist()]
    edges = block.starts.tolist()
    pairs = list(pairwise(edges))
    t_us = np.concatenate(
        [one for tail, (a, b) in zip(tails, pairs, strict=True) for one in (tail[0], block.t_us[a:b])]
    )
    values = np.concatenate(
        [one for tail, (a, b) in zip(tails, pairs, strict=True) for one in (tail[1], block.values[a:b])]
    )
    tail_lengths = np.array([len(tail[0]) for tail in tails], np.int64)
    lengths = np.diff(block.starts)
    ends = np.cumsum(tail_lengths + lengths)
    begins = ends - tail_lengths - lengths
    # One condition after the other on one axis of time, far enough apart: so one search serves all.
    place = np.repeat(np.arange(len(tails)), tail_lengths + lengths)
    spans_us = np.maximum(table.span_us[block.which], 1)
    apart_us = int(t_us.max() - t_us.min()) + int(spans_us.max()) + 1
    axis = t_us - t_us.min() + place * apart_us
    is_new = np.arange(len(axis)) >= (begins + tail_lengths)[place]
    new = np.flatnonzero(is_new)
    past = np.minimum(np.searchsorted(axis, axis[new] - spans_us[place[new]], "right") - 1, new - 1)
    has_past = past >= begins[place[new]]
    rates = np.full(len(block.values), np.nan)
    at, before = new[has_past], past[has_past]
    rates[has_past] = (values[at] - values[before]) / ((t_us[at] - t_us[before]) / 1e6)
    keep = np.maximum(np.searchsorted(axis, axis[ends - 1] - spans_us, "right") - 1, begins)
    for condition, first, end in zip(block.which.tolist(), keep.tolist(), ends.tolist(), strict=True):
        memory.tails[condition] = t_us[first:end].copy(), values[first:end].copy()
    return rates


def _changes(memory: Memory, block: Samples) -> Times:
    """When each sample's value was first seen without a change since."""
    begins, which, values = block.starts[:-1], block.which, block.values
    before = np.empty_like(values)
    before[1:] = values[:-1]
    before[begins] = memory.last[which]
    is_new = ~((values == before) | (np.isnan(values) & np.isnan(before)))
    is_new[begins] |= ~memory.has_last[which]
    since_us = block.t_us.copy()
    since_us[begins] = np.where(is_new[begins], block.t_us[begins], memory.changed_us[which])
    is_new[begins] = True
    changed_us: Times = since_us[np.maximum.accumulate(np.where(is_new, np.arange(len(values)), 0))]
    ends = block.starts[1:] - 1
    memory.last[which], memory.has_last[which], memory.changed_us[which] = values[ends], True, changed_us[ends]
    return changed_us


def condition_of(rule: Rule, channels: Sequence[Channel], numbers: dict[str, int]) -> Condition | None:
    """The condition of a rule without an expression; None where its channel is not known."""
    if rule.kind == "no_data" and not rule.channel:
        return Condition(Kind.SILENCE, span_us=rule.for_ms * 1000)
    number = numbers.get(rule.channel)
    if number is None:
        return None
    inputs = (number,)
    if rule.kind in ("above", "below", "outside"):
        low, high = {"above": (None, rule.limit), "below": (rule.limit, None)}.get(rule.kind, (rule.low, rule.high))
        return _region_of(inputs, low, high, rule.hysteresis)
    if rule.kind == "rate":
        assert rule.limit is not None
        low, high = (None, rule.limit) if rule.limit > 0 else (rule.limit, None)
        region = _region_of(inputs, low, high, rule.hysteresis)
        return Condition(Kind.RATE, inputs, region.low, region.high, rule.hysteresis, span_us=rule.over_ms * 1000)
    if rule.kind == "equals":
        return Condition(Kind.VALUES, inputs, values=rule.values)
    if rule.kind == "bits":
        return Condition(Kind.BITS, inputs, mask=rule.mask)
    if rule.kind == "no_data":
        return Condition(Kind.SILENCE, inputs, span_us=rule.for_ms * 1000)
    low, high = channels[number].minimum, channels[number].maximum
    region = _region_of(inputs, low, high, 0.0)
    return Condition(Kind.PLAUSIBLE, inputs, region.low, region.high, span_us=rule.frozen_ms * 1000)


def guard_of(guard: Guard, numbers: dict[str, int]) -> Condition | None:
    """The condition of a guard; None where its channel is not known."""
    number = numbers.get(guard.channel)
    if number is None:
        return None
    if guard.equals is not None:
        return Condition(Kind.VALUES, (number,), values=(guard.equals,))
    return _region_of((number,), guard.below, guard.above, 0.0)


def _region_of(inputs: tuple[int, ...], low: float | None, high: float | None, hysteresis: float) -> Condition:
    return Condition(Kind.REGION, inputs, -np.inf if low is None else low, np.inf if high is None else high, hysteresis)
