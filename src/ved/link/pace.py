"""How fast records may go: what the uplink carries, how much may be on its way, and how fast the backlog follows.

Nothing here reads a clock: `now_s` is any monotonic time in seconds, the same one for all calls.
"""

from collections import deque
from typing import Final

PEAK_S: Final = 5.0
SAMPLE_S: Final = 1.0
BASE_S: Final = 30.0
"""A round trip is compared with the shortest of the last 30 s: a car that drives into another cell has another one."""

FIRST_WINDOW_BYTES: Final = 16 << 10
LEAST_WINDOW_BYTES: Final = 8 << 10
MOST_WINDOW_BYTES: Final = 256 << 10
WINDOW_S: Final = 0.4

UPLINK_SHARE: Final = 0.6
FIRST_RATE: Final = 32_000.0
LEAST_RATE: Final = 1_000.0
FIRST_GROWTH: Final = 1.15
GROWTH: Final = 1.07
"""Of the backfill's rate, per round trip that was measured (about eight per second); the first time it hurries."""

VALID_S: Final = 20.0
"""So long a measured uplink holds; then it is measured anew."""

RISE_S: Final = 0.05
RISE_SHARE: Final = 0.25
RISE_BYTES: Final = 4096
"""A small message may wait behind one such record without anything being wrong."""

RISE_SAMPLES: Final = 3
MOST_BEHIND_S: Final = 0.25
LONGER_S: Final = 5.0
"""A round trip that stays long although the backlog stopped is not its doing: the way has become longer."""

STOPPED_S: Final = 0.05
BURST_S: Final = 0.1
MOST_BACKFILL_BYTES: Final = 128 << 10
_LEAST_BACKFILL_BYTES: Final = 1


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

    The uplink is measured when it is full: the rate grows until the round trip rises, and what arrived in that second
    is what the uplink carries.
    """

    def __init__(self) -> None:
        self._delivered = DeliveryRate()
        self._base = ShortestTrip()
        self._latest: deque[float] = deque(maxlen=RISE_SAMPLES)
        self._measured: float | None = None
        self._measured_s = -VALID_S
        self._rate = FIRST_RATE
        self._free_at_s = 0.0
        self._risen_s = 0.0
        self.is_risen = False
        self.is_following = False
        """True while there is a backlog: otherwise the rate would grow for nothing."""

    @property
    def rate(self) -> float:
        """Bytes per second of the backlog."""
        return self._rate

    def uplink(self, now_s: float) -> float | None:
        """Bytes per second that the uplink carries; None while it is to be measured."""
        return self._measured if now_s - self._measured_s < VALID_S else None

    def note_delivered(self, size_bytes: int, now_s: float) -> None:
        """The server received so much, over either lane."""
        self._delivered.note(size_bytes, now_s)

    def note_trip(self, rtt_s: float, now_s: float) -> None:
        """A small message of the live lane took so long."""
        self._base.note(rtt_s, now_s)
        if not self.is_following:
            return
        self._latest.append(rtt_s)
        was_risen, self.is_risen = self.is_risen, self._has_risen(now_s)
        if self.is_risen and not was_risen:
            self._risen_s = now_s
        if self.is_risen and now_s - self._risen_s > LONGER_S:
            self._base = ShortestTrip()
            self._base.note(min(self._latest), now_s)
            self.is_risen = False
        elif self.is_risen:
            self._measure(now_s, self._measured or 0.0 if was_risen else 0.0)
        elif self._rate < 2 * max(FIRST_RATE, self._delivered.latest(now_s)):
            self._rate *= FIRST_GROWTH if self._measured is None else GROWTH
        uplink = self.uplink(now_s)
        if uplink is not None:
            self._rate = min(self._rate, UPLINK_SHARE * uplink)

    def note_full(self, now_s: float) -> None:
        """The live lane alone fills the uplink."""
        self._measure(now_s, 0.0)
        self._rate = min(self._rate, UPLINK_SHARE * (self._measured or 0.0))

    def _measure(self, now_s: float, known: float) -> None:
        self._measured = max(self._delivered.latest(now_s), known, LEAST_RATE / UPLINK_SHARE)
        self._measured_s = now_s

    def _has_risen(self, now_s: float) -> bool:
        base_s, uplink = self._base.rtt_s, self.uplink(now_s)
        if base_s is None or len(self._latest) < RISE_SAMPLES:
            return False
        behind_s = min(RISE_BYTES / uplink, MOST_BEHIND_S) if uplink is not None else 0.0
        return min(self._latest) > base_s + max(RISE_S, RISE_SHARE * base_s) + behind_s

    def note_sent(self, size_bytes: int, now_s: float) -> None:
        """A record of the backlog was put on its way."""
        self._free_at_s = max(now_s, self._free_at_s) + size_bytes / self._rate

    def wait_s(self, now_s: float) -> float:
        """How long the next record has to wait at least; 0 when it may go."""
        return STOPPED_S if self.is_risen else max(0.0, self._free_at_s - now_s)

    def window_bytes(self) -> int:
        """How much of the backlog may be on its way."""
        base_s = self._base.rtt_s or 0.0
        return int(min(max(self._rate * (base_s + BURST_S), _LEAST_BACKFILL_BYTES), MOST_BACKFILL_BYTES))
