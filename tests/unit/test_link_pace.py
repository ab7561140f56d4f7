"""The backfill's pace and the live window, on a simulated uplink: no clock, no network."""

import random
from collections import deque

import pytest

from ved.link.pace import (
    FIRST_WINDOW_BYTES,
    LEAST_WINDOW_BYTES,
    PING_BYTES,
    TOTAL_SHARE,
    BackfillPacer,
    DeliveryRate,
    ShortestTrip,
    live_window_bytes,
    wire_bytes,
)

WAY_S = 0.05
STEP_S = 0.005


class SlowLink:
    """An uplink of `rate` bytes/s with one queue for both lanes; live records and pings come at their own pace.

    `noise_s`: acknowledgements and pings are late by up to that, at random, as on a busy machine.
    """

    def __init__(self, rate: float, live_rate: float, noise_s: float = 0.0, record_bytes: int = 800) -> None:
        self.rate, self.live_rate, self.noise_s, self.record_bytes = rate, live_rate, noise_s, record_bytes
        self.random = random.Random(4)
        self.pacer = BackfillPacer()
        self.pacer.is_following = True
        self.now_s = 0.0
        self.busy_until_s = 0.0
        self.last_s = 0.0
        self.events: deque[tuple[float, str, int, float]] = deque()
        self.backfilled = 0
        self.used = 0
        self.on_way = 0
        self.queue_s: list[float] = []
        self.live_waits_s: list[float] = []
        self.first_s: dict[int, float] = {}

    def put(self, kind: str, size: int) -> None:
        self.busy_until_s = max(self.now_s, self.busy_until_s) + size / self.rate
        self.used += size
        self.last_s = max(self.last_s, self.busy_until_s + WAY_S + self.random.uniform(0, self.noise_s))
        self.events.append((self.last_s, kind, size, self.now_s))

    def run(self, seconds: float) -> None:
        end_s = self.now_s + seconds
        next_live_s = next_ping_s = self.now_s
        while self.now_s < end_s:
            self.now_s += STEP_S
            while self.events and self.events[0][0] <= self.now_s:
                _, kind, size, sent_s = self.events.popleft()
                if kind == "ping":
                    self.pacer.note_trip(self.now_s - sent_s, self.now_s)
                else:
                    self.pacer.note_delivered(size, self.now_s, is_backfill=kind == "backfill")
                    self.on_way -= size if kind == "backfill" else 0
                    self.backfilled += size if kind == "backfill" else 0
            if self.now_s >= next_live_s:
                next_live_s += 0.1
                self.live_waits_s.append(max(0.0, self.busy_until_s - self.now_s))
                self.put("live", int(self.live_rate / 10))
                self.pacer.note_live_sent(self.now_s)
            if self.now_s >= next_ping_s:
                next_ping_s += 0.13
                self.put("ping", wire_bytes(PING_BYTES))
            while self.on_way < self.pacer.window_bytes(self.now_s) and not self.pacer.wait_s(self.now_s):
                self.pacer.note_sent(self.record_bytes, self.now_s)
                self.on_way += self.record_bytes
                self.put("backfill", self.record_bytes)
            self.queue_s.append(max(0.0, self.busy_until_s - self.now_s))


@pytest.mark.parametrize("noise_s", [0.0, 0.03])
@pytest.mark.parametrize(
    ("rate", "live_rate"), [(250_000.0, 5_000.0), (125_000.0, 30_000.0), (60_000.0, 10_000.0), (37_500.0, 5_000.0)]
)
def test_backlog_follows_near_its_share_and_does_not_fill_the_uplink(rate: float, live_rate: float, noise_s: float):
    link = SlowLink(rate, live_rate, noise_s)
    link.run(1)
    assert link.backfilled > 0.2 * rate, "the first second brings nothing"
    link.run(9)
    link.backfilled, link.queue_s = 0, []
    link.run(60)
    assert 0.48 * rate < link.backfilled / 60 < 0.65 * rate
    ordered = sorted(link.queue_s)
    assert ordered[len(ordered) // 2] < 0.05
    assert ordered[int(len(ordered) * 0.99)] < 0.15


@pytest.mark.parametrize("rate", [37_500.0, 18_750.0])
def test_both_lanes_and_the_pings_keep_their_share_together(rate: float) -> None:
    """Small records: what TLS, TCP and IP add is a seventh of them."""
    link = SlowLink(rate, 10 * wire_bytes(550), 0.03, wire_bytes(550))
    link.run(15)
    link.used, link.queue_s = 0, []
    link.run(60)
    assert 0.6 * rate < link.used / 60 < (TOTAL_SHARE + 0.02) * rate
    assert sorted(link.queue_s)[int(len(link.queue_s) * 0.99)] < 0.2


@pytest.mark.parametrize(("noise_s", "share"), [(0.0, 0.99), (0.03, 0.95)])
@pytest.mark.parametrize(
    ("rate", "live_bytes"), [(125_000.0, 1100), (37_500.0, 450), (37_500.0, 1100), (18_750.0, 632)]
)
def test_a_live_record_does_not_wait_for_the_backlog(
    rate: float, live_bytes: int, noise_s: float, share: float
) -> None:
    """Trains go behind live records and are gone when the next one comes; those that begin at any time cost 80 ms."""
    link = SlowLink(rate, 10 * live_bytes, noise_s, live_bytes)
    link.run(5)
    link.backfilled, link.live_waits_s = 0, []
    link.run(30)
    assert link.backfilled / 30 > 0.29 * rate
    ordered = sorted(link.live_waits_s)
    assert ordered[int(len(ordered) * share)] < 0.035


def test_a_backlog_follows_a_live_lane_that_is_silent() -> None:
    """A quiet bus: there is nothing to go behind."""
    link = SlowLink(125_000.0, 0.0)
    link.pacer.note_live_sent = lambda now_s: None  # type: ignore[method-assign]
    link.run(20)
    assert 0.5 * link.rate < link.backfilled / 20 < 0.65 * link.rate


def test_what_a_message_takes() -> None:
    assert wire_bytes(16) == 98
    assert wire_bytes(1190) == 1190 + 30 + 52
    assert wire_bytes(1191) == 1191 + 30 + 104


@pytest.mark.parametrize(("rate", "record_bytes"), [(125_000.0, 9000), (37_500.0, 4000)])
def test_large_records_go_one_at_a_time_and_now_and_then_two(rate: float, record_bytes: int) -> None:
    link = SlowLink(rate, 5_000.0, 0.0, record_bytes)
    link.run(60)
    assert 0.35 * rate < link.backfilled / 60 < 0.63 * rate
    alone_s = record_bytes / rate
    ordered = sorted(link.queue_s)
    assert ordered[int(len(ordered) * 0.95)] < 1.5 * alone_s
    assert max(link.queue_s[1000:]) < 3 * alone_s


def test_rises_that_the_backlog_did_not_cause_cost_little() -> None:
    """Every two seconds all answers are late by 0.3 s: what the uplink carries is not taken for less."""
    link = SlowLink(125_000.0, 5_000.0)
    for _ in range(30):
        link.run(2)
        link.busy_until_s += 0.3
    assert link.backfilled / 60 > 0.2 * link.rate
    uplink = link.pacer.uplink(link.now_s)
    assert uplink is not None
    assert uplink > 0.6 * link.rate


def test_an_uplink_that_becomes_slow_is_noticed() -> None:
    link = SlowLink(125_000.0, 5_000.0)
    link.run(10)
    link.rate = 30_000.0
    link.run(6)
    link.backfilled, link.queue_s = 0, []
    link.run(20)
    assert 0.4 * link.rate < link.backfilled / 20 < 0.65 * link.rate
    assert sorted(link.queue_s)[int(len(link.queue_s) * 0.9)] < 0.15


def test_backlog_stops_when_the_live_lane_alone_fills_the_uplink() -> None:
    link = SlowLink(40_000.0, 10_000.0)
    link.run(20)
    link.live_rate = 60_000.0
    link.run(2)
    before = link.backfilled
    link.run(10)
    assert link.backfilled - before <= 40_000
    link.live_rate, link.busy_until_s, link.last_s = 10_000.0, link.now_s, link.now_s
    link.events.clear()
    link.on_way = 0
    link.pacer.note_lost()
    link.run(10)
    assert link.backfilled - before > 80_000


def test_a_way_that_became_longer_does_not_stop_the_backlog_for_good() -> None:
    pacer = BackfillPacer()
    pacer.is_following = True
    for tick in range(20):
        pacer.note_trip(0.03, tick / 8)
    assert not pacer.is_risen
    for tick in range(20, 40):
        pacer.note_trip(0.5, tick / 8)
    assert pacer.is_risen
    assert pacer.wait_s(5.0) > 0
    for tick in range(40, 80):
        pacer.note_trip(0.5, tick / 8)
    assert not pacer.is_risen


def test_another_connection_begins_anew() -> None:
    pacer = BackfillPacer()
    pacer.is_following = True
    for tick in range(20):
        pacer.note_trip(0.03, tick / 8)
    pacer.note_new_way()
    for tick in range(20, 30):
        pacer.note_trip(0.5, tick / 8)
    assert not pacer.is_risen


def test_window_holds_some_tenths_and_the_way() -> None:
    assert live_window_bytes(None, None) == FIRST_WINDOW_BYTES
    assert live_window_bytes(20_000.0, 0.1) == 10_000
    assert live_window_bytes(100.0, 0.1) == LEAST_WINDOW_BYTES
    assert live_window_bytes(100_000.0, 0.1) == 50_000


def test_delivery_rate_is_the_best_second_of_five() -> None:
    rate = DeliveryRate()
    assert rate.peak(0.0) is None
    for tick in range(10):
        rate.note(1000, tick / 10)
    for tick in range(10, 60):
        rate.note(200, tick / 10)
    assert rate.latest(5.9) == pytest.approx(2000)
    assert rate.peak(5.0) == pytest.approx(10_000)
    assert rate.peak(7.0) == pytest.approx(2000, abs=1000)
    assert rate.peak(20.0) is None


def test_shortest_trip_forgets_another_cell() -> None:
    trip = ShortestTrip()
    assert trip.rtt_s is None
    trip.note(0.03, 0.0)
    trip.note(0.2, 1.0)
    assert trip.rtt_s == 0.03
    trip.note(0.3, 30.5)
    assert trip.rtt_s == 0.2
