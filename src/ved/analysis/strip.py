"""The gap ledger over a window of UTC, in buckets as wide as a page's pixels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ved.analysis.ledger import BLOCK_SECONDS, MISSING, SECOND_US, Span
from ved.model.records import LossPlace

MAX_BUCKETS: Final = 4000


@dataclass(slots=True)
class LedgerStrip:
    """Frames per bucket of `bucket_us` from `utc_from_us` on; all arrays have one entry a bucket.

    `lost[place]` counts; where `uncounted[place]` is set, more were lost and nobody knows how many.
    """

    utc_from_us: int
    bucket_us: int
    live: NDArray[np.int64]
    backfilled: NDArray[np.int64]
    missing: NDArray[np.int64]
    lost: dict[LossPlace, NDArray[np.int64]] = field(default_factory=dict)
    uncounted: dict[LossPlace, NDArray[np.bool_]] = field(default_factory=dict)

    @staticmethod
    def over(utc_from_us: int, utc_to_us: int, buckets: int) -> "LedgerStrip":
        """An empty strip of at most `buckets` buckets, each a whole number of seconds on the grid of 1970."""
        width_us = max(1, -(-(utc_to_us - utc_from_us) // (buckets * SECOND_US))) * SECOND_US
        first = utc_from_us // width_us
        count = max(1, -(-utc_to_us // width_us) - first)
        live, backfilled, missing = np.zeros((3, count), np.int64)
        return LedgerStrip(first * width_us, width_us, live, backfilled, missing)

    @property
    def utc_to_us(self) -> int:
        """Where the last bucket ends."""
        return self.utc_from_us + len(self.live) * self.bucket_us


@dataclass(frozen=True, slots=True)
class EpochPart:
    """What of an epoch is laid on a strip: its clock's offset, and the part of UTC in which it is seen."""

    offset_us: int
    seen_from_us: int = -(1 << 62)
    seen_to_us: int = 1 << 62


def lay_arrived(strip: LedgerStrip, part: EpochPart, blocks: Mapping[int, NDArray[np.int64]]) -> None:
    """Add what came: `blocks[n]` is int64[2, BLOCK_SECONDS]. A second counts where its middle lies."""
    low_us, high_us = max(strip.utc_from_us, part.seen_from_us), min(strip.utc_to_us, part.seen_to_us)
    for block, counts in blocks.items():
        seconds = block * BLOCK_SECONDS + np.arange(BLOCK_SECONDS, dtype=np.int64)
        middle_us = seconds * SECOND_US + SECOND_US // 2 + part.offset_us
        is_in = (middle_us >= low_us) & (middle_us < high_us)
        at = (middle_us[is_in] - strip.utc_from_us) // strip.bucket_us
        np.add.at(strip.live, at, counts[0, is_in])
        np.add.at(strip.backfilled, at, counts[1, is_in])


def lay_spans(strip: LedgerStrip, part: EpochPart, spans: Sequence[Span]) -> None:
    """Add what did not come, evenly spread over each span's interval of time; what is seen of a span sums up exactly.

    Spans within one bucket, which may be thousands, are added in one go.
    """
    low_us, high_us = max(strip.utc_from_us, part.seen_from_us), min(strip.utc_to_us, part.seen_to_us)
    for place in {one.place for one in spans}:
        here = [one for one in spans if one.place == place]
        from_us = np.array([one.t_from_us for one in here], np.int64) + part.offset_us
        to_us = np.array([one.t_to_us for one in here], np.int64) + part.offset_us
        frames = np.array([one.frames for one in here], np.int64)
        is_in = (to_us >= low_us) & (from_us < high_us)
        first = (from_us - strip.utc_from_us) // strip.bucket_us
        last = (to_us - strip.utc_from_us) // strip.bucket_us
        is_short = is_in & (first == last) & (from_us >= low_us) & (to_us < high_us) & (frames >= 0)
        counts = _counts_of(strip, place)
        np.add.at(counts, first[is_short], frames[is_short])
        for at in np.flatnonzero(is_in & ~is_short).tolist():
            edges_us = _edges(strip, low_us, high_us, int(from_us[at]), int(to_us[at]))
            if frames[at] >= 0:
                counts += _spread(int(frames[at]), int(from_us[at]), int(to_us[at]), edges_us)
            else:
                marks = strip.uncounted.setdefault(LossPlace(place), np.zeros(len(strip.live), np.bool_))
                marks |= np.diff(edges_us) > 0


def _counts_of(strip: LedgerStrip, place: int) -> NDArray[np.int64]:
    if place == MISSING:
        return strip.missing
    return strip.lost.setdefault(LossPlace(place), np.zeros(len(strip.live), np.int64))


def _edges(strip: LedgerStrip, low_us: int, high_us: int, from_us: int, to_us: int) -> NDArray[np.int64]:
    """The bucket borders, drawn in to where the span is and may be seen."""
    borders = strip.utc_from_us + np.arange(len(strip.live) + 1, dtype=np.int64) * strip.bucket_us
    return np.clip(borders, max(low_us, from_us), min(high_us, to_us + 1))


def _spread(frames: int, from_us: int, to_us: int, edges_us: NDArray[np.int64]) -> NDArray[np.int64]:
    parts = (edges_us - from_us) / (to_us + 1 - from_us)
    below = np.floor(frames * parts + 1e-9).astype(np.int64)
    return below[1:] - below[:-1]
