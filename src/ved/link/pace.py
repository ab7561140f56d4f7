"""How fast records may go: what the uplink carries, how much may be on its way, and how fast the backlog follows.

Nothing here reads a clock: `now_s` is any monotonic time in seconds, the same one for all calls.
"""

from collections import deque
from typing import Final

from ved.link.trains import UplinkMeter

PEAK_S: Final = 5.0
SAMPLE_S: Final = 1.0
BASE_S: Final = 30.0
"""A round trip is compared with the shortest of the last 30 s: a car that drives into another cell has another one."""

FIRST_WINDOW_BYTES: Final = 16 << 10
LEAST_WINDOW_BYTES: Final = 8 << 10
MOST_WINDOW_BYTES: Final = 256 << 10
WINDOW_S: Final = 0.4

UPLINK_SHARE: Final = 0.6
"""Of what the uplink carries, for the backlog."""

TOTAL_SHARE: Final = 0.75
"""Of what the uplink carries, for both lanes together."""

BATCH_S: Final = 0.1
"""A live source has a record for the live lane about so often."""

BEHIND_LIVE_S: Final = 0.03
SILENT_S: Final = 0.15
"""A train begins less than `BEHIND_LIVE_S` after a live record, so that it is gone when the next one comes. When there
was none for `SILENT_S`, it begins at any time."""

TRAIN_S: Final = (0.04, 0.06)
"""How long a train may take to arrive, at least and at most; records are not cut, so one may take longer."""

FIRST_TRAIN_BYTES: Final = 4096
MOST_TRAIN_BYTES: Final = 32 << 10
LEAST_TRAIN_RECORDS: Final = 2
"""One record says nothing of the uplink."""

MEASURE_S: Final = (5.0, 15.0)
"""So often a train of `LEAST_TRAIN_RECORDS` is sent although one record is long enough; the second one is for records
so long that the live lane feels two of them."""

LEAST_RATE: Final = 1_000.0
RISE_S: Final = 0.05
RISE_SHARE: Final = 0.25
RISE_BYTES: Final = 4096
"""A small message may wait behind one such record without anything being wrong."""

RISE_SAMPLES: Final = 3
MOST_BEHIND_S: Final = 0.25
LONGER_S: Final = 5.0
"""A round trip that stays long although the backlog stopped is not its doing: the way has become longer."""

STOPPED_S: Final = 0.05
MOST_BACKFILL_BYTES: Final = 128 << 10
CAUTION: Final = 0.85
"""The backlog gets this much less each time that the round trip rises, and a little more with each good train."""

TRUST: Final = 1.02
LEAST_CAUTION: Final = 0.4
FIRST_CHECK_S: Final = 0.01
LATE_CHECK_S: Final = 0.2


MESSAGE_BYTES: Final = 30
"""What WebSocket and TLS add to a message."""

SEGMENT_BYTES: Final = 1220
HEADER_BYTES: Final = 52
"""IPv4 and TCP, of each segment."""

PING_BYTES: Final = 16


def wire_bytes(message_bytes: int) -> int:
    """About what a message takes of the uplink: for small ones what is added to it matters."""
    inside = message_bytes + MESSAGE_BYTES
    return inside + HEADER_BYTES * -(-inside // SEGMENT_BYTES)


class DeliveryRate:
    """Bytes per second that arrived: the best second of the last five."""

    def __init__(self) -> None:
        self._arrived: deque[tuple[float, int]] = deque()
        self._bytes = 0
        self._peaks: deque[tuple[float, float]] = deque()  # falling rates: the first is the greatest

    def note(self, size_bytes: int, now_s: float) -> None:
        """`size_bytes` were acknowledged."""
        self._arrived.append((now_s, size_bytes))
        self._bytes += size_bytes
        rate = self.latest(now_s)
        while self._peaks and self._peaks[-1][1] <= rate:
            self._peaks.pop()
        self._peaks.append((now_s, rate))

    def latest(self, now_s: float) -> float:
        """Of the last second."""
        while self._arrived and self._arrived[0][0] <= now_s - SAMPLE_S:
            self._bytes -= self._arrived.popleft()[1]
        return self._bytes / SAMPLE_S

    def peak(self, now_s: float) -> float | None:
        """The best one; None when nothing arrived for five seconds."""
        while self._peaks and self._peaks[0][0] <= now_s - PEAK_S:
            self._peaks.popleft()
        return self._peaks[0][1] if self._peaks else None


class ShortestTrip:
    """The shortest round trip of the last 30 s."""

    def __init__(self) -> None:
        self._trips: deque[tuple[float, float]] = deque()  # rising: the first is the shortest

    def note(self, rtt_s: float, now_s: float) -> None:
        """A round trip was measured."""
        while self._trips and self._trips[-1][1] >= rtt_s:
            self._trips.pop()
        self._trips.append((now_s, rtt_s))
        while self._trips[0][0] <= now_s - BASE_S:
            self._trips.popleft()

    @property
    def rtt_s(self) -> float | None:
        """None before the first one."""
        return self._trips[0][1] if self._trips else None


def live_window_bytes(rate: float | None, base_rtt_s: float | None) -> int:
    """How much may be on its way over the live lane: what arrives in half a second and the way itself.

    `rate` is the peak of what arrived (bytes per second), None when it is not known yet.
    """
    if rate is None or base_rtt_s is None:
        return FIRST_WINDOW_BYTES
    return int(min(max(rate * (base_rtt_s + WINDOW_S), LEAST_WINDOW_BYTES), MOST_WINDOW_BYTES))


class BackfillPacer:
    """Lets the backlog follow at 60 % of the uplink at most, and not at all while the live lane's round trip rises.

    It goes in trains: some records at once, then nothing. How fast a train arrives says what the uplink carries; how
    often one is sent makes the rate. Each goes close behind a live record, and is so short that the next one does not
    wait for it.
    """

    def __init__(self) -> None:
        self._meter = UplinkMeter()
        self._live = DeliveryRate()
        self._base = ShortestTrip()
        self._latest: deque[float] = deque(maxlen=RISE_SAMPLES)
        self._caution = 1.0
        self._last_train = (0.0, 0)  # when it began by the pace, and its bytes
        self._train_s = 0.0
        self._live_s = -SILENT_S
        self._train_bytes = 0
        self._train_records = 0
        self._risen_s = 0.0
        self.is_risen = False
        self.is_following = False
        """True while there is a backlog: only then a rise is its doing."""

    def uplink(self, now_s: float) -> float | None:
        """Bytes per second that the uplink carries; None while it is not known."""
        return self._meter.rate(now_s)

    def rate(self, now_s: float) -> float | None:
        """Bytes per second of the backlog; None while the uplink is not known: then one train goes at a time."""
        uplink = self.uplink(now_s)
        if uplink is None:
            return None
        left = TOTAL_SHARE * uplink - self._live.latest(now_s)
        return max(LEAST_RATE, min(UPLINK_SHARE * uplink, left) * self._caution)

    def note_delivered(self, size_bytes: int, now_s: float, *, is_backfill: bool) -> None:
        """The server received so much over one of the lanes."""
        if is_backfill:
            if self._meter.note_backfill(size_bytes, now_s):
                self._caution = min(1.0, self._caution * TRUST)
        else:
            self._live.note(size_bytes, now_s)
            self._meter.note_live(size_bytes)

    def note_trip(self, rtt_s: float, now_s: float) -> None:
        """A ping of the live lane took so long."""
        self.note_delivered(wire_bytes(PING_BYTES), now_s, is_backfill=False)
        self._base.note(rtt_s, now_s)
        if not self.is_following:
            self._latest.clear()
            self.is_risen = False
            return
        self._latest.append(rtt_s)
        was_risen, self.is_risen = self.is_risen, self._has_risen(now_s)
        if self.is_risen and not was_risen:
            self._risen_s = now_s
            self._caution = max(LEAST_CAUTION, self._caution * CAUTION)
        elif self.is_risen and now_s - self._risen_s > LONGER_S:
            self._base = ShortestTrip()
            self._base.note(min(self._latest), now_s)
            self.is_risen = False

    def note_new_way(self) -> None:
        """The live lane has a new connection: round trips are not those of the one before."""
        self._base = ShortestTrip()
        self._latest.clear()
        self.is_risen = False

    def note_lost(self) -> None:
        """The backfill lane's connection ended: what was on its way will not be acknowledged."""
        self._meter.forget_way()
        self._train_bytes = self._train_records = 0
        self._last_train = (0.0, 0)

    def _has_risen(self, now_s: float) -> bool:
        base_s, uplink = self._base.rtt_s, self.uplink(now_s)
        if base_s is None or len(self._latest) < RISE_SAMPLES:
            return False
        behind_s = min(RISE_BYTES / uplink, MOST_BEHIND_S) if uplink is not None else 0.0
        return min(self._latest) > base_s + max(RISE_S, RISE_SHARE * base_s) + behind_s

    def note_live_sent(self, now_s: float) -> None:
        """A record of the live lane was put on its way."""
        self._live_s = now_s

    def note_sent(self, size_bytes: int, now_s: float) -> None:
        """A record of the backlog was put on its way."""
        if not self._train_records:
            # What the wait for a live record cost is made up for by the next train.
            self._train_s = max(min(self._due_s(now_s), now_s), now_s - BATCH_S)
            self._meter.begin_train()
        self._train_bytes += size_bytes
        self._train_records += 1
        self._meter.note_sent(size_bytes)
        is_long = self._train_bytes + size_bytes // 2 >= self.train_bytes(now_s)
        if is_long and (self._train_records >= LEAST_TRAIN_RECORDS or self._is_measured(size_bytes, now_s)):
            self._end_train()

    def _is_measured(self, size_bytes: int, now_s: float) -> bool:
        """True when a train of one record of this size will do: what the uplink carries was measured a while ago."""
        usual_s, rare_s = MEASURE_S
        is_huge = size_bytes > self._meter.last_rate * BATCH_S
        return self._meter.age_s(now_s) < (rare_s if is_huge else usual_s)

    def note_empty(self) -> None:
        """The backlog has nothing more at the moment."""
        if self._train_records:
            self._end_train()

    def _end_train(self) -> None:
        self._meter.end_train()
        self._last_train = (self._train_s, self._train_bytes)
        self._train_bytes = self._train_records = 0

    def _due_s(self, now_s: float) -> float:
        """When the next train may begin by the pace."""
        began_s, size_bytes = self._last_train
        rate = self.rate(now_s)
        return began_s + size_bytes / rate if rate is not None else now_s

    def train_bytes(self, now_s: float) -> int:
        """How long a train may be: one behind each live record brings the backlog's share."""
        uplink, rate = self.uplink(now_s), self.rate(now_s)
        if uplink is None or rate is None:
            return FIRST_TRAIN_BYTES
        least_s, most_s = TRAIN_S
        return int(min(max(rate * BATCH_S, least_s * uplink), most_s * uplink, MOST_TRAIN_BYTES))

    def wait_s(self, now_s: float) -> float:
        """How long the next record has to wait, if no live record is sent meanwhile; 0 when it may go."""
        if self._train_records:
            return 0.0
        if self.is_risen:
            return STOPPED_S
        if self.uplink(now_s) is None and self._meter.is_on_way:
            return FIRST_CHECK_S
        early_s = self._due_s(now_s) - now_s
        if early_s > 0:
            return min(early_s, LATE_CHECK_S)
        since_live_s = now_s - self._live_s
        return 0.0 if since_live_s < BEHIND_LIVE_S else max(0.0, SILENT_S - since_live_s)

    def window_bytes(self, now_s: float) -> int:
        """How much of the backlog may be on its way: two trains, and what the way itself holds."""
        if self._train_records:
            return MOST_BACKFILL_BYTES  # a train that began goes on
        base_s = self._base.rtt_s or 0.0
        way = self._meter.last_rate * UPLINK_SHARE * base_s
        return int(min(2 * self.train_bytes(now_s) + way, MOST_BACKFILL_BYTES))
