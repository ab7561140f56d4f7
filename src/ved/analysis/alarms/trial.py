"""A rule tried out: values are forced through it, and it tells what would happen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from ved.analysis.alarms.batches import Columns
from ved.analysis.alarms.engine import Engine
from ved.model.alarmrule import Rule
from ved.model.channel import Channel

STEP_US: Final = 10_000
BEFORE_US: Final = 1_000_000
MAX_HOLD_MS: Final = 600_000


@dataclass(frozen=True, slots=True)
class Forced:
    """Values of channels by name: `rest` before and after, `values` for `hold_ms`. NaN is a value; None: no sample."""

    rest: Mapping[str, float | None]
    values: Mapping[str, float | None]
    hold_ms: int


@dataclass(frozen=True, slots=True)
class TrialStep:
    """The alarm begins or ends `t_ms` after the values were forced."""

    t_ms: float
    is_raised: bool
    value: float


@dataclass(frozen=True, slots=True)
class Trial:
    """What would happen; `idle`: why the rule would do nothing, or empty. `inputs`: the channels that it looks at."""

    steps: tuple[TrialStep, ...]
    idle: str
    inputs: tuple[str, ...]
    end_ms: float


def try_rule(rule: Rule, channels: Sequence[Channel], forced: Forced) -> Trial:
    """Every channel that the rule looks at is sampled at 100 Hz: one second at rest, forced, at rest again."""
    engine = Engine([rule], channels)
    if engine.idle:
        return Trial((), engine.idle[rule.id], (), 0.0)
    names = engine.inputs_of(0)
    hold_us = min(forced.hold_ms, MAX_HOLD_MS) * 1000
    after_us = rule.off_delay_ms * 1000 + BEFORE_US
    t_us = np.arange(-BEFORE_US, hold_us + after_us, STEP_US, dtype=np.int64)
    is_forced = (t_us >= 0) & (t_us < hold_us)
    rows: dict[int, np.ndarray[tuple[int], np.dtype[np.int64]]] = {}
    values: dict[int, np.ndarray[tuple[int], np.dtype[np.float64]]] = {}
    for number, channel in enumerate(channels):
        if channel.name in names:
            at_rest = forced.rest.get(channel.name, 0.0)
            held = forced.values.get(channel.name, at_rest)
            column = np.where(is_forced, np.nan if held is None else held, np.nan if at_rest is None else at_rest)
            is_sent = np.where(is_forced, held is not None, at_rest is not None)
            rows[number], values[number] = np.flatnonzero(is_sent), column[is_sent]
    counts = [len(rows.get(number, ())) for number in range(len(channels))]
    columns = Columns(
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        np.concatenate([np.empty(0), *values.values()]),
        np.concatenate([np.empty(0, np.int64), *rows.values()]),
    )
    end_us = int(t_us[-1]) + STEP_US
    changes = engine.take(t_us, columns) + engine.finish(end_us)
    steps = tuple(TrialStep(one.t_us / 1000, one.is_raised, one.value) for one in changes)
    return Trial(steps, "", tuple(names), end_us / 1000)
