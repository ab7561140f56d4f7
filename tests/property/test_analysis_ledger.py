"""The gap ledger: nothing is counted twice, nothing is left out, whatever came and was declared."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ved.analysis.ledger import Arrived, gap_ledger
from ved.model.records import Lane, Loss, LossPlace

EPOCH = bytes(16)
US_PER_SEQ = 50_000
SECONDS = 20


def arrived(first: int, count: int, lane: Lane) -> Arrived:
    """Frames every 50 ms: seq 1 at 0."""
    last = first + count - 1
    return Arrived(first, last, (first - 1) * US_PER_SEQ, (last - 1) * US_PER_SEQ, lane)


def loss(first: int, count: int, place: LossPlace, *, has_seqs: bool) -> Loss:
    last = first + count - 1
    t_from_us, t_to_us = (first - 1) * US_PER_SEQ, (last - 1) * US_PER_SEQ
    seqs = (first, last) if has_seqs else (0, 0)
    return Loss("fs", EPOCH, 1, place, 0, count, t_from_us, t_to_us, *seqs)


SEQ, COUNT = st.integers(1, 300), st.integers(1, 40)
ARRIVED = st.lists(st.builds(arrived, SEQ, COUNT, st.sampled_from(Lane)), max_size=15)
LOSSES = st.lists(st.builds(loss, SEQ, COUNT, st.sampled_from(LossPlace), has_seqs=st.booleans()), max_size=6)


@settings(max_examples=150, deadline=None)
@given(ARRIVED, LOSSES)
def test_every_seq_is_counted_once(came: list[Arrived], losses: list[Loss]) -> None:
    ledger = gap_ledger(came, losses, 0, SECONDS)
    by_lane: dict[Lane, set[int]] = {lane: set() for lane in Lane}
    seen: set[int] = set()
    for run in came:
        new = set(range(run.first_seq, run.last_seq + 1)) - seen
        by_lane[run.lane] |= new
        seen |= new
    declared = {seq for one in losses if one.first_seq for seq in range(one.first_seq, one.last_seq + 1)} - seen
    nameless = sum(one.count for one in losses if not one.first_seq)
    highest = max(seen | declared, default=0)
    assert ledger.live.sum() == len(by_lane[Lane.LIVE])
    assert ledger.backfilled.sum() == len(by_lane[Lane.BACKFILL])
    assert sum(int(counts.sum()) for counts in ledger.lost.values()) == len(declared) + nameless
    assert ledger.missing.sum() == highest - len(seen | declared)
    assert min(ledger.live.min(), ledger.backfilled.min(), ledger.missing.min()) >= 0
    assert ledger.is_uncounted == {}


@settings(max_examples=60, deadline=None)
@given(ARRIVED, LOSSES, st.integers(0, SECONDS - 1), st.integers(1, SECONDS))
def test_a_window_is_a_cut_of_the_whole(came: list[Arrived], losses: list[Loss], first: int, seconds: int) -> None:
    seconds = min(seconds, SECONDS - first)
    whole, part = gap_ledger(came, losses, 0, SECONDS), gap_ledger(came, losses, first, seconds)
    cut = slice(first, first + seconds)
    assert np.array_equal(part.live, whole.live[cut])
    assert np.array_equal(part.backfilled, whole.backfilled[cut])
    assert np.array_equal(part.missing, whole.missing[cut])
    assert {place: counts.tolist() for place, counts in part.lost.items()} == {
        place: counts[cut].tolist() for place, counts in whole.lost.items()
    }


def test_each_kind_stands_in_its_second() -> None:
    crash = Loss("fs", EPOCH, 2, LossPlace.CAR_CRASH, 255, -1, 4_500_000, 6_100_000)
    came = [arrived(1, 20, Lane.LIVE), arrived(61, 20, Lane.LIVE), arrived(21, 20, Lane.BACKFILL)]
    ledger = gap_ledger(came, [loss(75, 10, LossPlace.KERNEL, has_seqs=False), crash], 0, 8)
    assert ledger.live.tolist() == [20, 0, 0, 20, 0, 0, 0, 0]
    assert ledger.backfilled.tolist() == [0, 20, 0, 0, 0, 0, 0, 0]
    assert ledger.missing[2] >= 18
    assert ledger.missing.sum() == 20
    assert ledger.lost[LossPlace.KERNEL].tolist()[3:5] == [6, 4]
    assert np.flatnonzero(ledger.is_uncounted[LossPlace.CAR_CRASH]).tolist() == [4, 5, 6]
