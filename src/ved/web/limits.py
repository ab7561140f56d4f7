"""How much one page may ask for (docs/spec/live.md)."""

import math
from typing import Final

from ved.lake.rollups import ROLLUP_US

MAX_TEXT_BYTES: Final = 128 << 10
MAX_SUBSCRIPTIONS: Final = 16
MAX_CHANNELS: Final = 200
MAX_NAME_CHARS: Final = 512
MAX_BUCKETS_PER_CHANNEL: Final = 12_000
MAX_BUCKETS: Final = 1_000_000
HISTORY_MESSAGE_BYTES: Final = 16 << 10
"""A page sees a message only when all of it is there: at 100 kbit/s this one takes 1.3 s, well before it gives up."""
LONG_WINDOW_S: Final = 3600
OVERVIEW_WINDOW_S: Final = 3 * 3600
_MS_US: Final = 1000


def bucket_for(rate_hz: float, window_s: float, channels: int) -> int:
    """Width of a bucket (µs): as asked, or coarser so that the window does not hold too many.

    Where it is coarser, and in windows of more than an hour, it is a whole number of milliseconds, so that times fit
    in a message in ticks of 1 ms. In windows of more than three hours it is one of the grid of rollups.
    """
    asked_us = round(1e6 / rate_hz)
    most = min(MAX_BUCKETS_PER_CHANNEL, MAX_BUCKETS // max(channels, 1))
    least_us = math.ceil(window_s * 1e6 / most)
    if window_s > OVERVIEW_WINDOW_S:
        return math.ceil(max(asked_us, least_us) / ROLLUP_US) * ROLLUP_US
    if least_us > asked_us or window_s > LONG_WINDOW_S:
        return math.ceil(max(asked_us, least_us) / _MS_US) * _MS_US
    return asked_us
