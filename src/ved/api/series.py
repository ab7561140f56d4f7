"""Samples of one channel over time, as the readers of history hand them out."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Samples(NamedTuple):
    """n samples in time order: `utc_us` i64[n] (µs since 1970), `values` f64[n] (physical). Gaps stay gaps."""

    utc_us: NDArray[np.int64]
    values: NDArray[np.float64]


def join(parts: Sequence[Samples]) -> Samples:
    """All parts as one, in time order."""
    parts = [part for part in parts if len(part.utc_us)]
    if not parts:
        return Samples(np.empty(0, np.int64), np.empty(0, np.float64))
    utc_us = np.concatenate([part.utc_us for part in parts])
    values = np.concatenate([part.values for part in parts])
    if bool((utc_us[1:] >= utc_us[:-1]).all()):
        return Samples(utc_us, values)
    order = np.argsort(utc_us, kind="stable")
    return Samples(utc_us[order], values[order])
