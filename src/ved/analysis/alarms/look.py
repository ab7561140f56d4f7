"""Which conditions change in a batch, and where. A batch costs little while nothing happens: the least and greatest
value of every channel tell for all conditions at once which may have changed; only those are looked at by the sample.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ved.analysis.alarms.conditions import (
    NO_TIME,
    Condition,
    Kind,
    Memory,
    Samples,
    Table,
    transitions,
)
from ved.analysis.maths.program import State
from ved.model.channel import Channel


class Columns(NamedTuple):
    """Samples grouped by channel, as the decoder gives them: channel c has those from starts[c] to starts[c + 1].

    `starts` i64[channels + 1]; `values` f64[m]; `rows` i64[m], each sample's row in the batch, rising in a channel.
    """

    starts: NDArray[np.int64]
    values: NDArray[np.float64]
    rows: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch: `clock` i64[n], the newest time so far at each row; `counts`, `low`, `high` by channel."""

    clock: NDArray[np.int64]
    columns: Columns
    counts: NDArray[np.int64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    is_end: bool
    """No frame: only the time to which all was given."""

    @property
    def now_us(self) -> int:
        """The newest time."""
        return int(self.clock[-1])

    def of(self, channel: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Rows and values of one channel."""
        part = slice(int(self.columns.starts[channel]), int(self.columns.starts[channel + 1]))
        return self.columns.rows[part], self.columns.values[part]


class Steps(NamedTuple):
    """Where a condition changes: order in the batch (2 * row; odd: between two rows), time, what it becomes."""

    keys: NDArray[np.int64]
    t_us: NDArray[np.int64]
    becomes: NDArray[np.bool_]


def make_batch(t_us: NDArray[np.int64], columns: Columns, now_us: int, *, is_end: bool) -> Batch:
    """A batch after one that ended at `now_us`: time never runs back."""
    clock = np.maximum.accumulate(t_us)
    if clock[0] < now_us:
        clock = np.maximum(clock, now_us)
    counts = np.diff(columns.starts)
    low, high = np.full(len(counts), np.nan), np.full(len(counts), np.nan)
    present = np.flatnonzero(counts)
    if len(present):
        # Minimum and maximum keep a NaN, and a comparison with NaN is false: such a channel is looked at.
        low[present] = np.minimum.reduceat(columns.values, columns.starts[present])
        high[present] = np.maximum.reduceat(columns.values, columns.starts[present])
    return Batch(clock, columns, counts, low, high, is_end)


class Looker:
    """All conditions of a vehicle's rules, and what they remember."""

    def __init__(self, conditions: Sequence[Condition], channels: Sequence[Channel]) -> None:
        self.conditions = tuple(conditions)
        self.memory = Memory(len(conditions))
        self.start_us = NO_TIME
        self.heard_us = NO_TIME
        self.last_us = np.full(len(channels), NO_TIME, np.int64)
        self.last_value = np.full(len(channels), np.nan)
        self.names = [channel.name for channel in channels]
        self.used = {channel for condition in self.conditions for channel in condition.inputs}
        self._runs: dict[int, State] = {}
        self._waiting: set[int] = set()
        self._table = Table(conditions)
        kind = self._table.kind
        self._silences = np.flatnonzero(kind == Kind.SILENCE).tolist()
        self._expressions = np.flatnonzero(kind == Kind.EXPRESSION).tolist()
        simple = np.flatnonzero(kind < Kind.EXPRESSION)
        self._simple = simple[np.argsort(kind[simple], kind="stable")]
        self._channel = np.array([conditions[at].inputs[0] for at in self._simple.tolist()], np.intp)

    def look(self, batch: Batch) -> dict[int, Steps]:
        """The conditions that change in this batch, and where."""
        if self.start_us == NO_TIME:
            self.start_us = int(batch.clock[0])
        found = self._look_simple(batch)
        for at in self._silences:
            steps = self._look_silence(at, batch)
            if steps is not None:
                found[at] = steps
        for at in self._expressions:
            if at in self._waiting or any(batch.counts[channel] for channel in self.conditions[at].inputs):
                steps = self._look_expression(at, batch)
                if steps is not None:
                    found[at] = steps
        return found

    def note(self, batch: Batch) -> None:
        """Remember the last samples of a batch that was looked at."""
        present = np.flatnonzero(batch.counts)
        last = batch.columns.starts[present + 1] - 1
        self.last_us[present] = batch.clock[batch.columns.rows[last]]
        self.last_value[present] = batch.columns.values[last]
        if not batch.is_end:
            self.heard_us = batch.now_us

    def silent(self, t_us: int) -> dict[int, int]:
        """No frame came until `t_us`: the silences of the whole vehicle that have begun since, and when.

        Of one channel alone that says nothing: its samples may be on their way with all others.
        """
        found = {}
        for at in self._silences:
            begins_us = self._silence_begins(at)
            if not self.conditions[at].inputs and not self.memory.is_on[at] and begins_us < t_us:
                self.memory.is_on[at] = True
                found[at] = begins_us
        return found

    def rebase(self, kept: set[int]) -> None:
        """Forget all; the conditions in `kept` hold until a sample says otherwise."""
        self.memory = Memory(len(self.conditions))
        self.memory.is_on[list(kept)] = True
        self._runs.clear()
        self._waiting.clear()
        self.start_us = self.heard_us = NO_TIME
        self.last_us[:] = NO_TIME
        self.last_value[:] = np.nan

    def _due(self, batch: Batch) -> NDArray[np.intp]:
        """Places in `_simple` of the conditions that may change in this batch."""
        table, of, channel = self._table, self._simple, self._channel
        kind, is_on = table.kind[of], self.memory.is_on[of]
        least, most = batch.low[channel], batch.high[channel]
        stays_off = ~is_on & (least >= table.low[of]) & (most <= table.high[of])
        stays_on = is_on & ((most < table.clear_low[of]) | (least > table.clear_high[of]))
        stays = (kind == Kind.REGION) & (stays_off | stays_on)
        # With one value all through, and the same as before, nothing changes where only the value counts.
        stays |= ((kind == Kind.VALUES) | (kind == Kind.BITS)) & (least == most) & (least == self.last_value[channel])
        return np.flatnonzero((batch.counts[channel] > 0) & ~stays)

    def _look_simple(self, batch: Batch) -> dict[int, Steps]:
        due = self._due(batch)
        if not len(due):
            return {}
        channel = self._channel[due]
        lengths = batch.counts[channel]
        starts = np.append(0, np.cumsum(lengths))
        at = np.arange(starts[-1]) + np.repeat(batch.columns.starts[channel] - starts[:-1], lengths)
        rows = batch.columns.rows[at]
        samples = Samples(self._simple[due], starts, batch.clock[rows], batch.columns.values[at])
        of, changed, becomes = transitions(self._table, self.memory, samples)
        if not len(of):
            return {}
        keys, t_us = 2 * rows[changed], samples.t_us[changed]
        edges = np.flatnonzero(np.append(True, of[1:] != of[:-1])).tolist()
        return {
            int(samples.which[of[first]]): Steps(keys[first:end], t_us[first:end], becomes[first:end])
            for first, end in zip(edges, [*edges[1:], len(of)], strict=True)
        }

    def _silence_begins(self, at: int) -> int:
        """When the silence begins if no sample comes."""
        condition = self.conditions[at]
        last_us = int(self.last_us[condition.inputs[0]]) if condition.inputs else self.heard_us
        return (self.start_us if last_us == NO_TIME else last_us) + condition.span_us

    def _look_silence(self, at: int, batch: Batch) -> Steps | None:
        condition, is_on = self.conditions[at], bool(self.memory.is_on[at])
        first_us = self._silence_begins(at)
        if not is_on and first_us >= batch.now_us:
            return None
        rows = np.arange(0 if batch.is_end else len(batch.clock))
        if condition.inputs:
            rows, _ = batch.of(condition.inputs[0])
        heard = batch.clock[rows]
        begins = np.append(first_us, heard + condition.span_us)
        gaps = np.flatnonzero(begins < np.append(heard, batch.now_us)).tolist()
        steps: list[tuple[int, int, bool]] = []
        if is_on and len(rows):
            steps.append((2 * int(rows[0]), int(heard[0]), False))
        for gap in gaps:
            if gap == 0 and is_on:
                continue
            steps.append((2 * int(np.searchsorted(batch.clock, begins[gap], "right")) - 1, int(begins[gap]), True))
            if gap < len(rows):
                steps.append((2 * int(rows[gap]), int(heard[gap]), False))
        if not steps:
            return None
        self.memory.is_on[at] = steps[-1][2]
        keys, t_us, becomes = zip(*steps, strict=True)
        return Steps(np.array(keys, np.int64), np.array(t_us, np.int64), np.array(becomes, np.bool_))

    def _look_expression(self, at: int, batch: Batch) -> Steps | None:
        condition = self.conditions[at]
        assert condition.program is not None
        columns = {}
        for channel in condition.inputs:
            rows, values = batch.of(channel)
            columns[self.names[channel]] = (batch.clock[rows], values)
        state = self._runs.setdefault(at, condition.program.start())
        # A sample at the very edge waits for the next frames: others of the same time may follow.
        self._waiting.discard(at)
        if any(len(t_us) and t_us[-1] >= batch.now_us for t_us, _ in columns.values()):
            self._waiting.add(at)
        series = condition.program.evaluate(columns, state, batch.now_us)
        if not len(series.t_us):
            return None
        samples = Samples(np.array([at]), np.array([0, len(series.t_us)]), series.t_us, series.values)
        _, found, becomes = transitions(self._table, self.memory, samples)
        if not len(found):
            return None
        t_us = series.t_us[found]
        return Steps(2 * np.searchsorted(batch.clock, t_us, "right").astype(np.int64) - 1, t_us, becomes)
