"""Values as they come from outside: a channel, a number, and a time in UTC where the sender gave one; then as samples.

Parsers fill a `ValueList`; the `Placer` of a source puts the values into the epoch's time and refuses what cannot be.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ved.model.channel import ChannelKind
from ved.model.samples import SampleChannel, SampleColumns, SampleRows

NO_TIME: Final = -(1 << 63)
MAX_CHANNELS: Final = 4096
"""Names that one source may bring: who sends ever new ones is refused, the known ones go on."""

REMEMBERED: Final = 50_000
"""Of so many values with times of their own it is known that they came."""

PAST_US: Final = 86_400_000_000
FUTURE_US: Final = 1_000_000
"""A time further ahead would move the live edge past what the others send."""


@dataclass(frozen=True, slots=True, eq=False)
class Values:
    """n values in order of arrival: numbers of `channels`, UTC in µs (NO_TIME: when it came), float64.

    `age_us`: how long before the others are placed each one came.
    """

    channels: tuple[SampleChannel, ...]
    channel: NDArray[np.int64]
    utc_us: NDArray[np.int64]
    age_us: NDArray[np.int64]
    value: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.value)


class ValueList:
    """Collects values one by one."""

    def __init__(self) -> None:
        self._table: dict[str, SampleChannel] = {}
        self._numbers: dict[str, int] = {}
        self._channel: list[int] = []
        self._utc_us: list[int] = []
        self._age_us: list[int] = []
        self._value: list[float] = []
        self.age_us = 0
        """Of the values that are added from now on."""

    def __len__(self) -> int:
        return len(self._value)

    def add(self, channel: SampleChannel, value: float, utc_us: int = NO_TIME) -> None:
        """Add a value."""
        self._table[channel.name] = channel
        self._channel.append(self._numbers.setdefault(channel.name, len(self._numbers)))
        self._utc_us.append(utc_us)
        self._age_us.append(self.age_us)
        self._value.append(value)

    def values(self) -> Values:
        """All of them."""
        return Values(
            tuple(self._table.values()),
            np.array(self._channel, np.int64),
            np.array(self._utc_us, np.int64),
            np.array(self._age_us, np.int64),
            np.array(self._value, np.float64),
        )


def channel_of(name: str, unit: str, kind: ChannelKind) -> SampleChannel:
    """A channel with a name that people can read. ValueError for control characters, or one that is too long."""
    if not (name + unit).isprintable():
        raise ValueError("a name or unit with characters that cannot be shown")
    return SampleChannel(name, unit, kind)


def finite(value: float) -> float:
    """ValueError for what is no number, or too large for one."""
    if not math.isfinite(value):
        raise ValueError("a value that is no number")
    return float(value)


class Placer:
    """From values to samples of the epoch. One for each source; it outlives the source's connections."""

    def __init__(self) -> None:
        self._channels: dict[str, None] = {}
        self._seen: dict[tuple[str, int], None] = {}

    def place(self, values: Values, now_t_us: int, now_utc_us: int) -> tuple[SampleRows, int]:
        """The samples, and how many values were refused: more than a day old, more than a second ahead, of one channel
        too many, or a value of this channel and time that came before.
        """
        is_timed = values.utc_us != NO_TIME
        after_us = np.where(is_timed, values.utc_us - np.int64(now_utc_us), -values.age_us)
        is_kept = ~is_timed | ((after_us <= FUTURE_US) & (after_us >= -PAST_US))
        is_known = np.array([self._knows(one.name) for one in values.channels], np.bool_)
        is_kept &= is_known[values.channel] if len(values) else True
        names = [one.name for one in values.channels]
        for row in np.flatnonzero(is_kept & is_timed).tolist():
            is_kept[row] = self._is_new(names[values.channel[row]], int(values.utc_us[row]))
        columns = SampleColumns(now_t_us + after_us, values.channel.astype(np.uint16), values.value).take(is_kept)
        return SampleRows(values.channels, columns), int(len(values) - np.count_nonzero(is_kept))

    def _knows(self, name: str) -> bool:
        if name in self._channels:
            return True
        if len(self._channels) >= MAX_CHANNELS:
            return False
        self._channels[name] = None
        return True

    def _is_new(self, name: str, utc_us: int) -> bool:
        key = (name, utc_us)
        if key in self._seen:
            return False
        self._seen[key] = None
        if len(self._seen) > REMEMBERED:
            del self._seen[next(iter(self._seen))]
        return True
