"""The gap ledger of an epoch: per second, how many frames came live, came late, are missing or lost (and where)."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ved.model.intervals import Intervals
from ved.model.records import Lane, Loss, LossPlace

SECOND_US: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Arrived:
    """A run of frames that the server has: its seqs, the times of its first and last frame, and how it came."""

    first_seq: int
    last_seq: int
    t_from_us: int
    t_to_us: int
    lane: Lane


class GapLedger(NamedTuple):
    """Frames in each second of the epoch from `first_second` on; `is_uncounted`: of more nobody knows how many."""

    first_second: int
    live: NDArray[np.int64]
    backfilled: NDArray[np.int64]
    missing: NDArray[np.int64]
    lost: dict[LossPlace, NDArray[np.int64]]
    is_uncounted: dict[LossPlace, NDArray[np.bool_]]


def gap_ledger(arrived: Sequence[Arrived], losses: Sequence[Loss], first_second: int, seconds: int) -> GapLedger:
    """The ledger of one epoch for a window of `seconds`, from what arrived (in order of arrival) and what was declared.

    A seq counts once, as it came first; what arrived is not lost, whatever was declared. Missing is what neither came
    nor was declared, below the highest seq known; it lies between its neighbours in time. Frames of a run count as
    evenly spread over it.
    """
    known = Intervals()
    lanes = {lane: np.zeros(seconds, np.int64) for lane in Lane}
    for run in arrived:
        _spread(
            lanes[run.lane], first_second, _count_new(known, run.first_seq, run.last_seq), run.t_from_us, run.t_to_us
        )
    lost: dict[LossPlace, NDArray[np.int64]] = {}
    is_uncounted: dict[LossPlace, NDArray[np.bool_]] = {}
    for loss in losses:
        if loss.count < 0:
            marks = is_uncounted.setdefault(loss.place, np.zeros(seconds, np.bool_))
            first, last = loss.t_from_us // SECOND_US - first_second, loss.t_to_us // SECOND_US - first_second
            marks[min(max(first, 0), seconds) : min(max(last + 1, 0), seconds)] = True
            continue
        count = _count_new(known, loss.first_seq, loss.last_seq) if loss.first_seq else loss.count
        counts = lost.setdefault(loss.place, np.zeros(seconds, np.int64))
        _spread(counts, first_second, count, loss.t_from_us, loss.t_to_us)
    spans = [(run.first_seq, run.last_seq, run.t_from_us, run.t_to_us) for run in arrived]
    spans += [(one.first_seq, one.last_seq, one.t_from_us, one.t_to_us) for one in losses if one.first_seq]
    missing = np.zeros(seconds, np.int64)
    _spread_missing(missing, first_second, known, spans)
    return GapLedger(first_second, lanes[Lane.LIVE], lanes[Lane.BACKFILL], missing, lost, is_uncounted)


def _count_new(known: Intervals, first_seq: int, last_seq: int) -> int:
    """How many of these seqs were not known; they are now."""
    count = sum(last - first + 1 for first, last in known.missing(first_seq, last_seq))
    known.add(first_seq, last_seq)
    return count


def _spread_missing(
    counts: NDArray[np.int64], first_second: int, known: Intervals, spans: Sequence[tuple[int, int, int, int]]
) -> None:
    runs = known.runs()
    if not runs:
        return
    by_first = sorted((first_seq, t_from_us) for first_seq, _, t_from_us, _ in spans)
    by_last = sorted((last_seq, t_to_us) for _, last_seq, _, t_to_us in spans)
    firsts, lasts = [first for first, _ in by_first], [last for last, _ in by_last]
    for first, last in known.missing(1, runs[-1][1]):
        before, after = bisect_left(lasts, first), bisect_right(firsts, last)
        t_from_us = by_last[before - 1][1] if before else 0
        _spread(counts, first_second, last - first + 1, t_from_us, by_first[after][1])


def _spread(counts: NDArray[np.int64], first_second: int, count: int, t_from_us: int, t_to_us: int) -> None:
    """Add `count` frames, evenly from `t_from_us` to `t_to_us`; the sum is exact."""
    t_from_us, t_to_us = min(t_from_us, t_to_us), max(t_from_us, t_to_us)
    length_us = t_to_us - t_from_us + 1
    first = max(t_from_us // SECOND_US, first_second)
    last = min(t_to_us // SECOND_US, first_second + len(counts) - 1)
    for second in range(first, last + 1):
        begin_us = max(second * SECOND_US - t_from_us, 0)
        end_us = min((second + 1) * SECOND_US - t_from_us, length_us)
        counts[second - first_second] += count * end_us // length_us - count * begin_us // length_us
