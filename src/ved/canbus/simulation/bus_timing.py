"""When frames are on the bus: each message asks in its own rhythm, and one frame at a time gets through."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

JITTER_US: Final = 45.0
MAX_JITTER_US: Final = 600.0
DRIFT_PPM: Final = 30.0


def frame_bits(length: int, is_extended: bool) -> int:
    """Bits of a classic data frame with the most stuff bits possible and the 3 bits between frames.

    Davis, Burns, Bril, Lukkien: "Controller Area Network (CAN) schedulability analysis", 2007, equation 3.
    """
    stuffed = (54 if is_extended else 34) + 8 * length
    return stuffed + (stuffed - 1) // 4 + 13


@dataclass(frozen=True, slots=True)
class Rhythm:
    """One message's sending times: number k asks at `phase_us` + k * `period_us`, plus jitter."""

    phase_us: float
    period_us: float

    @staticmethod
    def draw(cycle_us: int, random: np.random.Generator) -> "Rhythm":
        """Phase and clock error of a control unit that sends every `cycle_us`."""
        drift = float(random.normal(0, DRIFT_PPM)) * 1e-6
        return Rhythm(float(random.uniform(0, cycle_us)), cycle_us * (1 + drift))

    def numbers(self, from_us: int, to_us: int) -> NDArray[np.int64]:
        """The numbers of the sendings that fall in from_us <= time < to_us, before jitter."""
        first = max(0, int(np.ceil((from_us - self.phase_us) / self.period_us)))
        last = int(np.ceil((to_us - self.phase_us) / self.period_us))
        return np.arange(first, max(first, last), dtype=np.int64)

    def times_us(self, numbers: NDArray[np.int64]) -> NDArray[np.float64]:
        """When these sendings ask for the bus, before jitter."""
        return self.phase_us + numbers.astype(np.float64) * self.period_us


def draw_jitter(count: int, random: np.random.Generator) -> NDArray[np.float64]:
    """Delays of software and queues in µs: mostly short, now and then long."""
    return np.minimum(random.exponential(JITTER_US, count), MAX_JITTER_US)


def serialise(
    asked_us: NDArray[np.float64], duration_us: NDArray[np.float64], busy_until_us: float
) -> NDArray[np.float64]:
    """When each frame is over, for sorted times of asking on one bus that is busy until `busy_until_us`.

    First come, first served; a frame starts when it asks or when the one before it is over.
    """
    done = np.cumsum(duration_us)
    start = np.maximum(asked_us, busy_until_us) - (done - duration_us)
    out: NDArray[np.float64] = np.maximum.accumulate(start) + done
    return out
