import numpy as np
import pytest

from ved.api.decoding import decoding_of_sources
from ved.model.clockmap import ClockPair
from ved.model.frames import FrameBatch, FrameColumns
from ved.model.records import Clock, ClockSource, Lane, LinkState
from ved.web.vehicle import MAX_RECENT_BYTES, EpochFeed, VehicleFeed

E1, E2 = b"1" * 16, b"2" * 16


@pytest.fixture(scope="module")
def decoding():
    return decoding_of_sources()


def batch(t, epoch=E1, first_seq=1):
    n = len(t)
    frames = FrameColumns(
        np.array(t, np.int64),
        np.zeros(n, np.uint8),
        np.full(n, 5, np.uint32),
        np.zeros(n, np.uint8),
        np.full(n, 8, np.uint8),
        np.zeros((n, 8), np.uint8),
    )
    return FrameBatch("fs", epoch, first_seq, frames)


def epoch_feed(decoding, epoch, offset_us, source=ClockSource.HOST):
    return EpochFeed(epoch, decoding, {ClockPair(0, offset_us, source)})


def feed():
    return VehicleFeed("fs", started_us=1_000_000_000)


def clock(offset_us, source=ClockSource.HOST, number=1, error_us=0):
    return Clock("fs", E1, number, 0, offset_us, source, error_us)


def test_the_edge_is_the_newest_sample_of_the_current_epoch(decoding):
    one, epoch = feed(), epoch_feed(decoding, E1, 1000)
    assert not one.advance(epoch, [batch([5, 90]), batch([70, 80])], Lane.LIVE, 11)
    assert (one.current, one.edge_utc_us, one.age_ms(2011)) == (epoch, 1090, 2)
    assert not one.advance(epoch, [batch([20])], Lane.BACKFILL, 999_999)
    assert (one.edge_utc_us, one.age_ms(2011)) == (1090, 2)


def test_a_restarted_agent_goes_on_after_the_edge(decoding):
    one = feed()
    one.advance(epoch_feed(decoding, E1, 1000), [batch([90])], Lane.LIVE, 1)
    later = epoch_feed(decoding, E2, 2000)
    assert not one.advance(later, [batch([0], E2)], Lane.LIVE, 2)
    assert (one.current, one.edge_utc_us) == (later, 2000)


def test_the_rest_of_the_old_epoch_does_not_take_over_again(decoding):
    one, old, new = feed(), epoch_feed(decoding, E1, 1000), epoch_feed(decoding, E2, 2000)
    one.advance(old, [batch([90])], Lane.LIVE, 1)
    one.advance(new, [batch([0], E2)], Lane.LIVE, 2)
    for lane in Lane:
        assert not one.advance(old, [batch([9_999_999])], lane, 3)
    assert (one.current, one.edge_utc_us) == (new, 2000)


def test_an_older_epoch_that_was_never_seen_comes_by_backfill(decoding):
    one, new = feed(), epoch_feed(decoding, E2, 2000)
    one.advance(new, [batch([0], E2)], Lane.LIVE, 2)
    assert not one.advance(epoch_feed(decoding, E1, 1000), [batch([90])], Lane.BACKFILL, 3)
    assert one.current is new


def test_the_same_log_replayed_starts_anew(decoding):
    one, again = feed(), epoch_feed(decoding, E2, 1000)
    one.advance(epoch_feed(decoding, E1, 1000), [batch([0, 90])], Lane.LIVE, 1)
    assert one.advance(again, [batch([0], E2)], Lane.LIVE, 2)
    assert (one.current, one.edge_utc_us) == (again, 1000)


def test_a_clock_that_moved_little_is_not_worth_a_reset(decoding):
    one, epoch = feed(), epoch_feed(decoding, E1, 1_000_000)
    one.epochs[E1] = epoch
    one.advance(epoch, [batch([90])], Lane.LIVE, 1)
    epoch.take_clock(clock(1_001_000, ClockSource.GPS))
    assert not one.apply_clocks(also_moved=True)
    assert (epoch.offset_us, one.edge_utc_us) == (1_000_000, 1_000_090)
    epoch.take_clock(clock(1_005_000, ClockSource.GPS, 2))
    epoch.take_clock(clock(1_005_000, ClockSource.GPS, 3))
    assert one.apply_clocks(also_moved=True)
    assert (epoch.offset_us, one.edge_utc_us) == (1_005_000, 1_005_090)
    assert not one.apply_clocks(also_moved=True)


def test_frames_that_waited_for_their_clock_are_shown(decoding):
    one, epoch = feed(), EpochFeed(E1, decoding)
    one.epochs[E1] = epoch
    epoch.take_clock(clock(1000))
    assert not one.apply_clocks(also_moved=False)
    one.epochs[E2] = other = EpochFeed(E2, decoding)
    one.take_batch(0, batch([5], E2), Lane.LIVE, 7)
    other.take_clock(clock(2000))
    assert one.apply_clocks(also_moved=False)
    assert (one.current, one.edge_utc_us) == (other, 2005)


def test_a_moved_clock_may_wait(decoding):
    one, epoch = feed(), epoch_feed(decoding, E1, 1_000_000)
    one.epochs[E1] = epoch
    epoch.take_clock(clock(9_000_000, ClockSource.GPS))
    assert not one.apply_clocks(also_moved=False)
    assert epoch.offset_us == 1_000_000
    assert one.apply_clocks(also_moved=True)


def test_the_first_clock_counts(decoding):
    epoch = EpochFeed(E1, decoding)
    assert epoch.offset_us is None
    assert not epoch.is_clock_moved
    epoch.take_clock(clock(0))
    assert epoch.is_clock_moved
    assert epoch.apply_clock() == 0
    assert epoch.offset_us == 0


def test_link_words():
    def link(is_up, lane=Lane.LIVE, heard_us=1_000_000_001):
        one.take_link(LinkState("fs", E1, is_up, lane, "p", 30_000), heard_us)
        return one.link

    one = feed()
    assert one.link == "unknown"
    assert link(True, Lane.BACKFILL) == "unknown"
    assert one.rtt_us == 30_000
    assert link(True) == "up"
    assert link(False, Lane.BACKFILL) == "up"
    assert link(False) == "down"


def test_an_old_up_of_a_server_that_is_gone_is_not_believed():
    one = feed()
    one.take_link(LinkState("fs", E1, True, Lane.LIVE, "p", -1), 1_000_000_000 - 60_000_000)
    assert one.link == "unknown"
    one.take_batch(0, batch([1]), Lane.LIVE, 1_000_000_000)
    assert one.link == "up"


def test_recent_batches_go_when_the_lake_has_them():
    one = feed()
    for k in range(5):
        one.take_batch(k, batch([k]), Lane.LIVE, k)
    one.forget_recent(3)
    assert [kept.position for kept in one.recent] == [3, 4]
    one.forget_recent(99)
    assert (len(one.recent), one.recent_bytes) == (0, 0)


def test_recent_batches_are_bounded():
    one, big = feed(), batch(range(60_000))
    for k in range(100):
        one.take_batch(k, big, Lane.LIVE, k)
    assert one.recent_bytes <= MAX_RECENT_BYTES
    assert one.recent_dropped == 100 - len(one.recent) > 0
    assert one.recent[-1].position == 99


def test_frames_per_s_counts_two_seconds():
    one = feed()
    for k in range(50):
        one.take_batch(k, batch([1, 2]), Lane.LIVE, k * 100_000)
    assert one.frames_per_s(4_900_000) == pytest.approx(21, abs=1)
    assert one.frames_per_s(60_000_000) == 0


def test_channel_numbers_stay():
    one = feed()
    assert [one.number_of(name) for name in ("a", "b", "a", "c")] == [0, 1, 0, 2]


def test_of_very_many_epochs_the_oldest_go_that_nothing_needs(decoding, monkeypatch):
    monkeypatch.setattr("ved.web.vehicle.MOST_EPOCHS", 4)
    one = feed()
    names = [bytes([number]) * 16 for number in range(10)]
    for number, name in enumerate(names):
        known = one.note(epoch_feed(decoding, name, 1000))
        assert one.note(epoch_feed(decoding, name, 5000)) is known
        if number == 0:
            one.advance(known, [batch([5], name)], Lane.LIVE, 1)
        if number == 1:
            one.take_batch(7, batch([5], name), Lane.BACKFILL, 1)
    assert list(one.epochs) == [names[0], names[1], *names[-4:]]
    one.forget_recent(8)
    one.note(epoch_feed(decoding, b"x" * 16, 1000))
    assert list(one.epochs) == [names[0], *names[-3:], b"x" * 16]
