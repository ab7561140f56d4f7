"""Where values come from that never were CAN frames: one contract for all, and several of them as one source."""

import select
import time
from collections.abc import Sequence
from typing import Final, Protocol

from ved.canbus.hostclock import host_pair
from ved.canbus.reader import SensorReader
from ved.canbus.source import BusState, SourceLoss
from ved.canbus.watchedbus import WatchedBus
from ved.model.clockmap import ClockPair
from ved.model.samples import SampleRows

PACE_S: Final = 0.05
"""Values wait this long, so that many come with one look."""

NO_ROWS: Final = SampleRows.concatenate([])


class SampleSource(Protocol):
    """A stream of samples in order of arrival; as `canbus.source.Source` and `LossySource` are one of frames."""

    @property
    def is_realtime(self) -> bool:
        """True: the world does not wait."""

    def open(self, origin_mono_ns: int) -> None:
        """Begin. `t_us` counts from this `time.monotonic_ns()`. UserError when it never can be opened."""

    def read(self, timeout_s: float) -> SampleRows | None:
        """Samples that have come, waiting at most `timeout_s` for the first; may be empty. None: the end."""

    def clock(self, now_mono_ns: int) -> ClockPair | None:
        """The best pair (t_us, UTC) known now; None while there is none."""

    def close(self) -> None:
        """Give back what `open` took; may be called twice."""


class MergedSensors:
    """Several sensor sources. One that is away, or flooded, holds up no other."""

    is_realtime = True

    def __init__(self, readers: Sequence[SensorReader]) -> None:
        self._sensors = [WatchedBus(reader, NO_ROWS) for reader in readers]
        self._origin_ns = 0
        self._next_s = 0.0

    def open(self, origin_mono_ns: int) -> None:
        """Open all; those that are not there are tried again later."""
        self._origin_ns = origin_mono_ns
        for sensor in self._sensors:
            sensor.open(origin_mono_ns)

    def read(self, timeout_s: float) -> SampleRows:
        """What came from all; never ends."""
        poll = select.poll()
        for sensor in self._sensors:
            fd = sensor.fileno()
            if fd is not None:
                poll.register(fd, select.POLLIN)
        if poll.poll(timeout_s * 1000):
            time.sleep(max(0.0, min(self._next_s - time.monotonic(), PACE_S)))
        self._next_s = time.monotonic() + PACE_S
        return SampleRows.concatenate([sensor.read() for sensor in self._sensors])

    def clock(self, now_mono_ns: int) -> ClockPair | None:  # noqa: ARG002  (both clocks are read side by side)
        """This machine's clock, if it was ever set."""
        return host_pair(self._origin_ns)

    def losses(self) -> list[SourceLoss]:
        """What was lost anywhere; everything that is left once closed."""
        return [loss for sensor in self._sensors for loss in sensor.losses()]

    def bus_states(self) -> tuple[BusState, ...]:
        """How each source does; their `frames` are samples."""
        return tuple(sensor.state for sensor in self._sensors)

    def close(self) -> None:
        """Close all."""
        for sensor in self._sensors:
            sensor.close()
