"""From the car's monotonic time to UTC: the best line through an epoch's clock records."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ved.model.records import ClockSource


@dataclass(frozen=True, slots=True)
class ClockPair:
    """One observation: at `t_us` of the epoch it was `utc_us`."""

    t_us: int
    utc_us: int
    source: ClockSource
    error_us: int = 0


@dataclass(frozen=True, slots=True)
class ClockMap:
    """UTC = t + offset. `source` is None when no clock record is known yet (offset 0: 1970)."""

    offset_us: int
    source: ClockSource | None

    @staticmethod
    def best(pairs: Sequence[ClockPair]) -> "ClockMap":
        """The map of the best source present: the pair with the least error, then the median of its equals.

        The server's own pairs arrive late by the network's delay, never early, so their least offset counts.
        """
        if not pairs:
            return ClockMap(0, None)
        source = max(pair.source for pair in pairs)
        chosen = [pair for pair in pairs if pair.source == source]
        if source == ClockSource.SERVER:
            return ClockMap(min(pair.utc_us - pair.t_us for pair in chosen), source)
        least = min(pair.error_us for pair in chosen)
        offsets = sorted(pair.utc_us - pair.t_us for pair in chosen if pair.error_us == least)
        return ClockMap(offsets[len(offsets) // 2], source)

    def to_utc(self, t_us: NDArray[np.int64]) -> NDArray[np.int64]:
        """UTC in µs since 1970 for monotonic times of the epoch."""
        return t_us + self.offset_us
