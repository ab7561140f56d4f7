"""What the uplink carries, measured by trains: records sent at once arrive as far apart as the uplink is slow.

One train says little (an acknowledgement may wait for a busy processor), so the median of the last ones counts.
Nothing here reads a clock.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final

TRAINS: Final = 12
VALID_S: Final = 20.0
"""So long a train counts."""

SHORT_S: Final = 0.02
"""A train that arrives faster than this says only that the uplink is fast."""


@dataclass(slots=True)
class _Train:
    """Bytes from..to of all that was sent; `live_bytes` and `first_s` are of the moment when the first record came."""

    from_bytes: int
    to_bytes: int = 0
    first_bytes: int = 0
    first_s: float = 0.0
    live_bytes: int = 0
    is_ended: bool = False


class UplinkMeter:
    """Told of everything that is sent and received over both lanes, in order."""

    def __init__(self) -> None:
        self._sent = 0
        self._acked = 0
        self._live_bytes = 0
        self._trains: deque[_Train] = deque()
        self._samples: deque[tuple[float, int, float]] = deque(maxlen=TRAINS)  # when, bytes, seconds
        self._measured_s = -VALID_S
        self.last_rate = 0.0

    @property
    def is_on_way(self) -> bool:
        """True while something of the backlog was sent and not received."""
        return self._acked < self._sent

    def rate(self, now_s: float) -> float | None:
        """Bytes per second; None when no train came in the last `VALID_S`."""
        while self._samples and self._samples[0][0] < now_s - VALID_S:
            self._samples.popleft()
        if not self._samples:
            return None
        rates = sorted(size_bytes / took_s for _, size_bytes, took_s in self._samples)
        return rates[len(rates) // 2]

    def age_s(self, now_s: float) -> float:
        """Since when no train was measured."""
        return now_s - self._measured_s

    def begin_train(self) -> None:
        """The next record that is sent begins a train."""
        self._trains.append(_Train(self._sent))

    def note_sent(self, size_bytes: int) -> None:
        """A record of the train was put on its way."""
        self._sent += size_bytes

    def end_train(self) -> None:
        """The last record sent ends the train."""
        if self._trains:
            self._trains[-1].to_bytes = self._sent
            self._trains[-1].is_ended = True

    def note_live(self, size_bytes: int) -> None:
        """So much was received over the live lane: it took its share of the way meanwhile."""
        self._live_bytes += size_bytes

    def note_backfill(self, size_bytes: int, now_s: float) -> bool:
        """So much was received over the backfill lane. True when that completes a train."""
        self._acked += size_bytes
        is_complete = False
        while self._trains and self._trains[0].is_ended and self._acked >= self._trains[0].to_bytes:
            train = self._trains.popleft()
            if train.first_bytes and train.to_bytes - train.from_bytes > train.first_bytes:
                self._measure(train, now_s)
            is_complete = True
        if self._trains and not self._trains[0].first_bytes and self._acked > self._trains[0].from_bytes:
            train = self._trains[0]
            train.first_bytes = self._acked - train.from_bytes
            train.first_s, train.live_bytes = now_s, self._live_bytes
        return is_complete

    def forget_way(self) -> None:
        """The connection ended."""
        self._trains.clear()
        self._acked = self._sent

    def _measure(self, train: _Train, now_s: float) -> None:
        took_s = now_s - train.first_s
        size_bytes = train.to_bytes - train.from_bytes - train.first_bytes + self._live_bytes - train.live_bytes
        self._samples.append((now_s, size_bytes, max(took_s, SHORT_S)))
        self._measured_s = now_s
        self.last_rate = self.rate(now_s) or 0.0
