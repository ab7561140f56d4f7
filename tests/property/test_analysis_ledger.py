"""The gap ledger against a model that keeps every seq by itself: whatever came, was declared, and came twice."""

from dataclasses import dataclass, field

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ved.analysis.ledger import BLOCK_SECONDS, MISSING, SECOND_US, EpochLedger, Head, Span
from ved.analysis.strip import EpochPart, LedgerStrip, lay_arrived, lay_spans
from ved.model.records import Lane, Loss, LossPlace

EPOCH = bytes(16)
US_PER_SEQ = 50_000


@dataclass
class Came:
    first: int
    count: int
    lane: Lane


def loss(first: int, count: int, place: LossPlace, number: int, *, has_seqs: bool) -> Loss:
    last = first + count - 1
    seqs = (first, last) if has_seqs else (0, 0)
    return Loss("fs", EPOCH, number, place, 0, count, time_of(first), time_of(last), *seqs)


def time_of(seq: int) -> int:
    return (seq - 1) * US_PER_SEQ


@dataclass
class Model:
    """Each seq is what it is; nothing is clever."""

    came: dict[int, Lane] = field(default_factory=dict)
    lost: dict[int, LossPlace] = field(default_factory=dict)
    nameless: set[Loss] = field(default_factory=set)

    def take(self, event: Came | Loss) -> None:
        if isinstance(event, Came):
            for seq in range(event.first, event.first + event.count):
                self.came.setdefault(seq, event.lane)
                self.lost.pop(seq, None)
        elif not event.first_seq:
            self.nameless.add(event)
        else:
            for seq in range(event.first_seq, event.last_seq + 1):
                if seq not in self.came:
                    self.lost.setdefault(seq, event.place)

    @property
    def missing(self) -> set[int]:
        highest = max([*self.came, *self.lost], default=0)
        return set(range(1, highest + 1)) - set(self.came) - set(self.lost)

    def per_second(self, lane: Lane) -> dict[int, int]:
        seconds = [time_of(seq) // SECOND_US for seq, by in self.came.items() if by == lane]
        return {second: seconds.count(second) for second in set(seconds)}


SEQ, COUNT = st.integers(1, 300), st.integers(1, 40)
CAME = st.builds(Came, SEQ, COUNT, st.sampled_from(Lane))
LOSS = st.builds(loss, SEQ, COUNT, st.sampled_from(LossPlace), st.integers(1, 4), has_seqs=st.booleans())
EVENTS = st.lists(CAME | LOSS, max_size=20)


def take(ledger: EpochLedger, event: Came | Loss) -> None:
    if isinstance(event, Came):
        ledger.arrive(
            event.first, time_of(1) + np.arange(event.first - 1, event.first - 1 + event.count) * US_PER_SEQ, event.lane
        )
    else:
        ledger.lose(event)


class Stored:
    """What a database would hold."""

    def __init__(self) -> None:
        self.head = Head()
        self.spans: set[Span] = set()
        self.blocks: dict[int, np.ndarray] = {}

    def apply(self, ledger: EpochLedger) -> None:
        change = ledger.take_change()
        assert set(change.gone) <= self.spans
        assert not set(change.new) & self.spans
        self.head = change.head
        self.spans = (self.spans - set(change.gone)) | set(change.new)
        for block, counts in change.arrived.items():
            self.blocks[block] = self.blocks.get(block, 0) + counts


def stored_after(events: list[Came | Loss], restarts: set[int]) -> Stored:
    stored, ledger = Stored(), EpochLedger()
    for at, event in enumerate(events):
        take(ledger, event)
        if at in restarts:
            stored.apply(ledger)
            ledger = EpochLedger(stored.head, sorted(stored.spans))
    stored.apply(ledger)
    return stored


def seqs_at(stored: Stored, place: int) -> list[int]:
    named = [one for one in stored.spans if one.place == place and one.first_seq]
    return sorted(seq for one in named for seq in range(one.first_seq, one.last_seq + 1))


@settings(max_examples=150, deadline=None)
@given(EVENTS, st.sets(st.integers(0, 19)))
def test_the_ledger_says_what_became_of_every_seq(events: list[Came | Loss], restarts: set[int]) -> None:
    model = Model()
    for event in events:
        model.take(event)
    stored = stored_after(events, restarts)
    for row, lane in enumerate((Lane.LIVE, Lane.BACKFILL)):
        counted = {
            block * BLOCK_SECONDS + int(second): int(counts[row, second])
            for block, counts in stored.blocks.items()
            for second in np.flatnonzero(counts[row])
        }
        assert counted == model.per_second(lane)
    assert seqs_at(stored, MISSING) == sorted(model.missing)
    for place in LossPlace:
        assert seqs_at(stored, place) == sorted(seq for seq, where in model.lost.items() if where == place)
    nameless = sum(one.frames for one in stored.spans if not one.first_seq)
    assert nameless == sum(one.count for one in model.nameless)


@settings(max_examples=60, deadline=None)
@given(EVENTS, st.integers(0, 19))
def test_reading_the_stream_again_changes_nothing(events: list[Came | Loss], since: int) -> None:
    once, again = stored_after(events, set()), stored_after(events + events[since:], {len(events) - 1})
    for block, counts in once.blocks.items():
        assert np.array_equal(again.blocks[block], counts)
    assert seqs_at(once, MISSING) == seqs_at(again, MISSING)
    assert all(seqs_at(once, place) == seqs_at(again, place) for place in LossPlace)
    assert again.head.highest_seq == once.head.highest_seq


@settings(max_examples=60, deadline=None)
@given(EVENTS)
def test_missing_frames_lie_between_their_neighbours(events: list[Came | Loss]) -> None:
    for span in stored_after([one for one in events if isinstance(one, Came)], set()).spans:
        assert span.t_from_us == max(0, time_of(span.first_seq - 1))
        assert span.t_to_us == time_of(span.last_seq + 1)


@settings(max_examples=60, deadline=None)
@given(EVENTS, st.integers(1, 40), st.integers(-5, 5))
def test_a_strip_holds_each_frame_once(events: list[Came | Loss], buckets: int, offset_s: int) -> None:
    stored = stored_after(events, set())
    part = EpochPart(offset_s * SECOND_US + 300_000)
    strip = LedgerStrip.over(-10 * SECOND_US, 40 * SECOND_US, buckets)
    lay_arrived(strip, part, stored.blocks)
    lay_spans(strip, part, sorted(stored.spans))
    assert strip.live.sum() == sum(int(counts[0].sum()) for counts in stored.blocks.values())
    assert strip.backfilled.sum() == sum(int(counts[1].sum()) for counts in stored.blocks.values())
    assert strip.missing.sum() == len(seqs_at(stored, MISSING))
    lost = sum(one.frames for one in stored.spans if one.place != MISSING)
    assert sum(int(counts.sum()) for counts in strip.lost.values()) == lost
    halves = [LedgerStrip.over(-10 * SECOND_US, 40 * SECOND_US, buckets) for _ in range(2)]
    cut_us = 7 * SECOND_US
    for half, seen in zip(
        halves, (EpochPart(part.offset_us, seen_to_us=cut_us), EpochPart(part.offset_us, cut_us)), strict=True
    ):
        lay_arrived(half, seen, stored.blocks)
        lay_spans(half, seen, sorted(stored.spans))
    assert np.array_equal(halves[0].live + halves[1].live, strip.live)
    assert np.abs(halves[0].missing + halves[1].missing - strip.missing).max() <= len(stored.spans)


def test_each_kind_stands_in_its_second() -> None:
    crash = Loss("fs", EPOCH, 2, LossPlace.CAR_CRASH, 255, -1, 4_500_000, 6_100_000)
    events = [Came(1, 20, Lane.LIVE), Came(61, 20, Lane.LIVE), Came(21, 20, Lane.BACKFILL)]
    stored = stored_after([*events, loss(75, 10, LossPlace.KERNEL, 1, has_seqs=False), crash], set())
    strip = LedgerStrip.over(0, 8 * SECOND_US, 8)
    lay_arrived(strip, EpochPart(0), stored.blocks)
    lay_spans(strip, EpochPart(0), sorted(stored.spans))
    assert strip.bucket_us == SECOND_US
    assert strip.live.tolist() == [20, 0, 0, 20, 0, 0, 0, 0]
    assert strip.backfilled.tolist() == [0, 20, 0, 0, 0, 0, 0, 0]
    assert strip.missing[2] >= 18
    assert strip.missing.sum() == 20
    assert strip.lost[LossPlace.KERNEL].tolist()[3:5] == [6, 4]
    assert np.flatnonzero(strip.uncounted[LossPlace.CAR_CRASH]).tolist() == [4, 5, 6]
