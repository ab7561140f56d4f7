"""Rollups: least, greatest, last, mean and number of numbers for each stretch of time."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Rollup:
    """n stretches in time order: `t_us` i64[n] of the last sample, figures f64[n], `count` i64[n] of numbers.

    A NaN sample may be the last; the other figures ignore it unless there is nothing else, and it does not count.
    """

    t_us: NDArray[np.int64]
    minimum: NDArray[np.float64]
    maximum: NDArray[np.float64]
    last: NDArray[np.float64]
    mean: NDArray[np.float64]
    count: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.t_us)

    def take(self, rows: NDArray[np.intp]) -> "Rollup":
        """The stretches at `rows`, in that order."""
        return Rollup(
            self.t_us[rows],
            self.minimum[rows],
            self.maximum[rows],
            self.last[rows],
            self.mean[rows],
            self.count[rows],
        )

    @staticmethod
    def concatenate(parts: Sequence["Rollup"]) -> "Rollup":
        """All parts one after the other."""
        none = np.empty(0)
        return Rollup(
            np.concatenate([np.empty(0, np.int64), *(one.t_us for one in parts)]),
            np.concatenate([none, *(one.minimum for one in parts)]),
            np.concatenate([none, *(one.maximum for one in parts)]),
            np.concatenate([none, *(one.last for one in parts)]),
            np.concatenate([none, *(one.mean for one in parts)]),
            np.concatenate([np.empty(0, np.int64), *(one.count for one in parts)]),
        )


def roll(t_us: NDArray[np.int64], values: NDArray[np.float64], width_us: int) -> Rollup:
    """Samples (in time order) on the grid of multiples of `width_us`."""
    return combine([Rollup(t_us, values, values, values, values, (~np.isnan(values)).astype(np.int64))], width_us)


def combine(parts: Sequence[Rollup], width_us: int) -> Rollup:
    """All parts, in any order, on the grid of `width_us`; no stretch of a part may cross it."""
    whole = Rollup.concatenate(parts)
    if not len(whole):
        return whole
    if bool((whole.t_us[1:] < whole.t_us[:-1]).any()):
        whole = whole.take(np.argsort(whole.t_us, kind="stable"))
    key = whole.t_us // width_us
    firsts = np.flatnonzero(np.append(True, key[1:] != key[:-1]))
    lasts = np.append(firsts[1:], len(key)) - 1
    total = np.add.reduceat(np.where(whole.count > 0, whole.mean, 0.0) * whole.count, firsts)
    count = np.add.reduceat(whole.count, firsts)
    return Rollup(
        whole.t_us[lasts],
        np.fmin.reduceat(whole.minimum, firsts),
        np.fmax.reduceat(whole.maximum, firsts),
        whole.last[lasts],
        np.where(count > 0, total / np.maximum(count, 1), np.nan),
        count,
    )
