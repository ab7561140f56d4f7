"""A simulated car as a source of frames: in real time like a bus, or as fast as the reader takes them."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import numpy as np

from ved.canbus.faults import Fault
from ved.canbus.simulation.frames import FrameMaker
from ved.canbus.simulation.models import make_model
from ved.errors import UserError
from ved.model.clockmap import ClockPair
from ved.model.frames import FrameColumns
from ved.model.records import ClockSource
from ved.model.vehicle import Vehicle

START_UTC_US: Final = 1_780_308_000_000_000
"""When a simulation that is not in real time says that it began: 2026-06-01 10:00:00 UTC."""

_PACE_S: Final = 0.01
_NEVER_US: Final = 1 << 62
_HOST_ERROR_US: Final = 1_000


def simulate_columns(
    vehicle: Vehicle, seconds: float, seed: int = 1, faults: Sequence[Fault] = ()
) -> Iterator[FrameColumns]:
    """The frames of the first `seconds` of a simulated day, in chunks of about two seconds, `t_us` from 0.

    The same seed and faults give the same frames. UserError when the vehicle cannot be simulated.
    """
    portions = _until(_maker(vehicle, seed, faults), round(seconds * 1e6))
    return (chunk for chunk in portions if chunk is not None)


def _maker(vehicle: Vehicle, seed: int, faults: Sequence[Fault]) -> FrameMaker:
    if seed < 0:
        raise UserError(f"seed {seed} is not possible; give 0 or more")
    return FrameMaker(vehicle, make_model(vehicle, seed, faults), seed, faults)


def _until(maker: FrameMaker, end_us: int) -> Iterator[FrameColumns | None]:
    """The maker's work up to a time; None where a portion of work is done but no chunk."""
    if end_us <= 0:
        return
    for chunk in maker.work():
        if chunk is None:
            yield None
            continue
        due = int(np.searchsorted(chunk.t_us, end_us))
        yield chunk.take(slice(0, due))
        if due < len(chunk):
            return


class SimulatorSource:
    """The simulated car as a `Source`. `speed` is a factor on real time, 0: as fast as the reader goes.

    At speed 1 the clock is the host's; at any other the day begins at START_UTC_US. UserError for a vehicle without
    a physical model, or a fault that cannot be.
    """

    def __init__(
        self,
        vehicle: Vehicle,
        *,
        seed: int = 1,
        faults: Sequence[Fault] = (),
        speed: float = 1.0,
        duration_s: float | None = None,
    ) -> None:
        if not 0 <= speed < float("inf"):
            raise UserError(f"simulator: speed {speed} is not possible; give a positive factor or max")
        self._speed = speed
        end_us = _NEVER_US if duration_s is None else round(duration_s * 1e6)
        self._work = _until(_maker(vehicle, seed, faults), end_us)
        self._held, self._next = FrameColumns.empty(), FrameColumns.empty()
        self._origin_mono_ns = 0
        self._sleep: Callable[[float], None] = time.sleep
        self._mono_ns: Callable[[], int] = time.monotonic_ns
        self._utc_ns: Callable[[], int] = time.time_ns

    @property
    def is_realtime(self) -> bool:
        """True at speed 1: the car does not wait for its reader."""
        return self._speed == 1.0

    def open(self, origin_mono_ns: int) -> None:
        """Begin: the car is switched on at `origin_mono_ns`."""
        self._origin_mono_ns = origin_mono_ns

    def read(self, timeout_s: float) -> FrameColumns | None:
        """The frames whose time has come, about every 10 ms; at speed 0 the next chunk. None at the end."""
        if len(self._held) == 0:
            self._held, self._next = self._next, FrameColumns.empty()
            while len(self._held) == 0:
                try:
                    self._held = next(self._work) or FrameColumns.empty()
                except StopIteration:
                    return None
        if self._speed == 0:
            out, self._held = self._held, FrameColumns.empty()
            return out
        if len(self._next) == 0:  # a little ahead at each call, so that no call takes long
            self._next = next(self._work, None) or FrameColumns.empty()
        wait_s = (int(self._held.t_us[0]) - self._now_us()) / (self._speed * 1e6) + _PACE_S
        if wait_s > 0:
            self._sleep(min(timeout_s, wait_s))
        due = int(np.searchsorted(self._held.t_us, self._now_us(), side="right"))
        out, self._held = self._held.take(slice(0, due)), self._held.take(slice(due, None))
        return out

    def clock(self, now_mono_ns: int) -> ClockPair | None:
        """At speed 1 the host's clock now, else the fixed beginning of the simulated day."""
        if not self.is_realtime:
            return ClockPair(0, START_UTC_US, ClockSource.RECORDED)
        late_ns = self._mono_ns() - now_mono_ns
        t_us = (now_mono_ns - self._origin_mono_ns) // 1000
        return ClockPair(t_us, (self._utc_ns() - late_ns) // 1000, ClockSource.HOST, _HOST_ERROR_US)

    def close(self) -> None:
        """Stop the car."""
        self._work = iter(())
        self._held, self._next = FrameColumns.empty(), FrameColumns.empty()

    def _now_us(self) -> int:
        """Simulated time that is due now."""
        return int((self._mono_ns() - self._origin_mono_ns) * self._speed / 1000)
