"""From the car's monotonic time to UTC: the best line through an epoch's clock records.

A map is one offset for the whole epoch, so it never changes an order or a distance; a better map, whenever it comes,
moves everything of the epoch that was stored before it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ved.model.records import ClockSource

OLDEST_UTC_US: Final = 1_704_067_200_000_000
"""2024-01-01: a clock that runs and says earlier was never set."""

SET_US: Final = 60_000_000
"""No pair of the server is late by more: its clock was set."""

_TRUST: Final = {
    ClockSource.HOST: 0,  # nobody keeps it: it may be years off, and jump
    ClockSource.SERVER: 1,
    ClockSource.RECORDED: 2,
    ClockSource.NTP: 3,
    ClockSource.GPS: 4,
}
_STEADY_US: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class ClockPair:
    """One observation: at `t_us` of the epoch it was `utc_us`."""

    t_us: int
    utc_us: int
    source: ClockSource
    error_us: int = 0

    @property
    def offset_us(self) -> int:
        """UTC at the start of the epoch, by this pair."""
        return self.utc_us - self.t_us


@dataclass(frozen=True, slots=True)
class ClockMap:
    """UTC = t + offset. `source` is None when no clock record is known yet (offset 0: 1970)."""

    offset_us: int
    source: ClockSource | None

    @staticmethod
    def best(pairs: Sequence[ClockPair]) -> "ClockMap":
        """The map of the most trusted source present: GPS, NTP, a recording, the server, last the host's own clock.

        A pair of a clock that was never set counts only where there is no other.
        """
        if not pairs:
            return ClockMap(0, None)
        trust = max(map(_trust, pairs))
        chosen = [pair for pair in pairs if _trust(pair) == trust]
        source = max((pair.source for pair in chosen), key=_TRUST.__getitem__)
        chosen = sorted((pair for pair in chosen if pair.source == source), key=lambda pair: (pair.t_us, pair.utc_us))
        if source == ClockSource.SERVER:
            return ClockMap(_fold(chosen), source)
        if source == ClockSource.HOST:
            return ClockMap(_latest(chosen), source)
        least = min(pair.error_us for pair in chosen)
        offsets = sorted(pair.offset_us for pair in chosen if pair.error_us == least)
        return ClockMap(offsets[len(offsets) // 2], source)

    def to_utc(self, t_us: NDArray[np.int64]) -> NDArray[np.int64]:
        """UTC in µs since 1970 for monotonic times of the epoch."""
        return t_us + self.offset_us


def is_better(kept_offset_us: int, offset_us: int) -> bool:
    """True when a later pair of the server takes the place of the one kept.

    A pair is late by the network's delay, never early, so the least offset counts, until the server's clock is set.
    """
    return offset_us < kept_offset_us or offset_us > kept_offset_us + SET_US


def _trust(pair: ClockPair) -> int:
    was_set = pair.source == ClockSource.RECORDED or pair.utc_us >= OLDEST_UTC_US
    return _TRUST[pair.source] if was_set else -1


def _fold(pairs: Iterable[ClockPair]) -> int:
    offsets = iter([pair.offset_us for pair in pairs])
    kept = next(offsets)
    for offset in offsets:
        kept = offset if is_better(kept, offset) else kept
    return kept


def _latest(pairs: Iterable[ClockPair]) -> int:
    """The offset since the last jump: whoever sets a clock mostly sets it right. A drift moves nothing."""
    offsets = iter([pair.offset_us for pair in pairs])
    kept = next(offsets)
    for offset in offsets:
        kept = offset if abs(offset - kept) > _STEADY_US else kept
    return kept
