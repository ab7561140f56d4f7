"""Which conditions change in a batch, and where. A batch costs little while nothing happens: the least and greatest
value of every channel tell for all conditions at once which may have changed; only those are looked at by the sample.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ved.analysis.alarms.batches import LONG, Batch
from ved.analysis.alarms.conditions import (
    NO_TIME,
    Condition,
    Kind,
    Memory,
    Samples,
    Table,
    tolerance,
    transitions,
)
from ved.analysis.maths.program import State
from ved.model.channel import Channel


class Steps(NamedTuple):
    """Where a condition changes: key, time, what it becomes."""

    keys: NDArray[np.int64]
    t_us: NDArray[np.int64]
    becomes: NDArray[np.bool_]


class Looker:
    """All conditions of a vehicle's rules, and what they remember."""

    def __init__(
        self, conditions: Sequence[Condition], channels: Sequence[Channel], together: Sequence[tuple[int, ...]]
    ) -> None:
        """`together`: the conditions of each rule."""
        self.conditions = tuple(conditions)
        self.memory = Memory(len(conditions))
        self.start_us = NO_TIME
        self.heard_us = NO_TIME
        self.last_us = np.full(len(channels), NO_TIME, np.int64)
        self.last_value = np.full(len(channels), np.nan)
        self.names = [channel.name for channel in channels]
        self.used = {channel for condition in self.conditions for channel in condition.inputs}
        self._beside = {
            at: tuple({channel for one in rule for channel in self.conditions[one].inputs})
            for rule in together
            for at in rule
        }
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
            self.start_us = batch.start_us
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
        present, t_us, values = batch.last()
        self.last_us[present], self.last_value[present] = t_us, values
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
        stays |= (
            (kind == Kind.PLAUSIBLE) & stays_off & (table.span_us[of] == 0) & np.isfinite(least) & np.isfinite(most)
        )
        stays |= (kind == Kind.VALUES) & ~is_on & self._misses(least, most)
        return np.flatnonzero((batch.counts[channel] > 0) & ~stays)

    def _misses(self, least: NDArray[np.float64], most: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether all samples (between `least` and `most`) are others than the values of a condition in `_simple`."""
        wanted = self._table.values[self._simple]
        margin = 2 * tolerance(wanted)
        may_be = (wanted + margin >= least[:, None]) & (wanted - margin <= most[:, None])
        misses: NDArray[np.bool_] = ~may_be.any(axis=1) & (least <= most)
        return misses

    def _look_simple(self, batch: Batch) -> dict[int, Steps]:
        due = self._due(batch)
        if not len(due):
            return {}
        if batch.counts[self._channel[due]].sum() < LONG * len(due):
            return self._turns(batch, due)
        found: dict[int, Steps] = {}
        for place in due.tolist():
            found |= self._turns(batch, np.array([place]))
        return found

    def _turns(self, batch: Batch, due: NDArray[np.intp]) -> dict[int, Steps]:
        """The conditions at places in `_simple` that change, and where; they have samples."""
        channels = self._channel[due]
        rows, t_us, values = batch.of(int(channels[0])) if len(due) == 1 else batch.together(channels)
        starts = np.append(0, np.cumsum(batch.counts[channels]))
        samples = Samples(self._simple[due], starts, t_us, values)
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
        rows, heard = batch.of(condition.inputs[0])[:2] if condition.inputs else batch.heard()
        gaps = (np.flatnonzero(heard[1:] - heard[:-1] > condition.span_us) + 1).tolist()
        steps: list[tuple[int, int, bool]] = []
        if is_on and len(heard):
            steps.append((2 * int(rows[0]), int(heard[0]), False))
        elif not is_on and first_us < (int(heard[0]) if len(heard) else batch.now_us):
            gaps.insert(0, 0)
        if len(heard) and int(heard[-1]) + condition.span_us < batch.now_us:
            gaps.append(len(heard))
        for gap in gaps:
            begins_us = int(heard[gap - 1]) + condition.span_us if gap else first_us
            if condition.inputs:
                key = int(batch.key_at(np.array([begins_us]), "right", self._beside[at])[0])
            else:
                key = (2 * int(rows[gap]) if gap < len(rows) else batch.end_key) - 1
            steps.append((key, begins_us, True))
            if gap < len(heard):
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
            columns[self.names[channel]] = batch.of(channel)[1:]
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
        return Steps(batch.key_at(t_us, "right", self._beside[at]), t_us, becomes)
