"""Min/max/last decimation: many samples become one entry per bucket of time, and no spike is lost.

The summary of a bucket can be merged with another summary of the same bucket in any order, any number of times
(`merge`), so batches may be cut anywhere.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Buckets(NamedTuple):
    """n buckets in time order.

    `t_us` i64[n] is the time of a bucket's last sample, `last` f64[n] its value; `minimum` and `maximum` f64[n] ignore
    NaN samples unless all are NaN.
    """

    t_us: NDArray[np.int64]
    minimum: NDArray[np.float64]
    maximum: NDArray[np.float64]
    last: NDArray[np.float64]

    def slice(self, start: int, stop: int) -> "Buckets":
        """The buckets start..stop-1 (views)."""
        return Buckets(self.t_us[start:stop], self.minimum[start:stop], self.maximum[start:stop], self.last[start:stop])

    @staticmethod
    def empty() -> "Buckets":
        """No buckets."""
        none = np.empty(0, np.float64)
        return Buckets(np.empty(0, np.int64), none, none, none)


def buckets(t_us: NDArray[np.int64], values: NDArray[np.float64], bucket_us: int) -> Buckets:
    """Summarise samples (i64[n] µs, f64[n]) on the grid of multiples of `bucket_us` µs.

    Samples may come in any order; of samples with the same time the later one in the arrays is the last.
    ValueError when `bucket_us` < 1 or the arrays differ in length.
    """
    starts = np.array([0, len(t_us)], np.int64)
    return bucket_columns(starts, t_us, values, bucket_us)[1]


def bucket_columns(
    starts: NDArray[np.int64], t_us: NDArray[np.int64], values: NDArray[np.float64], bucket_us: int
) -> tuple[NDArray[np.int64], Buckets]:
    """Summarise many columns in one pass.

    Column k is rows starts[k]..starts[k+1]-1 of `t_us` and `values`; `starts` is i64[columns+1], from 0 to len(t_us).
    Returns the starts of the columns in the returned buckets, and the buckets of all columns one after the other.
    """
    if bucket_us < 1:
        raise ValueError(f"bucket_us must be at least 1, not {bucket_us}")
    if len(t_us) != len(values):
        raise ValueError("times and values differ in length")
    n = len(t_us)
    if n == 0:
        return np.zeros(len(starts), np.int64), Buckets.empty()
    inner = starts[1:-1]
    inner = inner[(inner > 0) & (inner < n)]
    t_us, values = _in_time_order(starts, inner, t_us, values)
    key = t_us // bucket_us
    is_first = np.empty(n, np.bool_)
    is_first[0] = True
    np.not_equal(key[1:], key[:-1], out=is_first[1:])
    is_first[inner] = True
    firsts = np.flatnonzero(is_first)
    summary = _summary(Buckets(t_us, values, values, values), firsts)
    return np.searchsorted(firsts, starts).astype(np.int64), summary


def merge(older: Buckets, newer: Buckets, bucket_us: int) -> Buckets:
    """The summary of both together; where the last samples have the same time, `newer` gives the last value."""
    if not len(older.t_us):
        return newer
    if not len(newer.t_us):
        return older
    t_us = np.concatenate([older.t_us, newer.t_us])
    order = np.argsort(t_us, kind="stable")
    both = Buckets(
        t_us[order],
        np.concatenate([older.minimum, newer.minimum])[order],
        np.concatenate([older.maximum, newer.maximum])[order],
        np.concatenate([older.last, newer.last])[order],
    )
    key = both.t_us // bucket_us
    return _summary(both, np.flatnonzero(np.append(True, key[1:] != key[:-1])))


def coarsen(finer: Buckets, bucket_us: int) -> Buckets:
    """Buckets (in time order) on a coarser grid, of which theirs is a part."""
    if not len(finer.t_us):
        return finer
    key = finer.t_us // bucket_us
    return _summary(finer, np.flatnonzero(np.append(True, key[1:] != key[:-1])))


def _summary(parts: Buckets, firsts: NDArray[np.intp]) -> Buckets:
    """One bucket for each run of parts that begins at one of `firsts`."""
    lasts = np.append(firsts[1:], len(parts.t_us)) - 1
    # fmin and fmax take the number where one of two is NaN. (No signalling NaN comes here: scaling made it quiet.)
    return Buckets(
        parts.t_us[lasts],
        np.fmin.reduceat(parts.minimum, firsts),
        np.fmax.reduceat(parts.maximum, firsts),
        parts.last[lasts],
    )


def _in_time_order(
    starts: NDArray[np.int64],
    inner: NDArray[np.int64],
    t_us: NDArray[np.int64],
    values: NDArray[np.float64],
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The same rows, each column sorted by time (stable); the arrays themselves where they are in order already."""
    falls = t_us[1:] < t_us[:-1]
    falls[inner - 1] = False
    if not falls.any():
        return t_us, values
    column = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    order = np.lexsort((t_us, column))
    return t_us[order], values[order]
