"""From the kernel's real-time stamps to the monotonic clock, also across a jump of the real-time clock."""

import time
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

_LATE_NS: Final = 50_000_000
"""A frame may have been stamped this long before it reached its socket."""

_EARLY_NS: Final = 1_000_000


class StampClock:
    """The offset between the two clocks, sampled beside each batch. One for each stream of stamps.

    A sample says between which two values the offset lies; the offset moves no further than that, so a disturbed
    sample does no harm. A stamp must lie between this sample and the last one before it at which nothing was left
    waiting: where it does not, the clock jumped in between, and the offset of that earlier sample is taken, or at last
    the nearer end. So after a jump a time is wrong by at most the time between these two samples.
    """

    def __init__(
        self, mono_ns: Callable[[], int] = time.monotonic_ns, real_ns: Callable[[], int] = time.time_ns
    ) -> None:
        self._mono_ns, self._real_ns = mono_ns, real_ns
        self._offset_ns = real_ns() - mono_ns()
        self._last_offset_ns = self._offset_ns
        self.now_ns = mono_ns()
        self._since_ns = self.now_ns
        self._is_drained = True

    def sample(self, *, is_drained: bool = True) -> int:
        """Look at both clocks, just after a batch was taken; returns the real-time ns.

        `is_drained`: the batch was all that waited. If not, what is left may be as old as this batch.
        """
        if self._is_drained:
            self._since_ns, self._last_offset_ns = self.now_ns, self._offset_ns
        self._is_drained = is_drained
        before_ns = self._mono_ns()
        real_ns = self._real_ns()
        after_ns = self._mono_ns()
        self._offset_ns = min(max(self._offset_ns, real_ns - after_ns), real_ns - before_ns)
        self.now_ns = after_ns
        return real_ns

    def to_mono_ns(
        self, stamps_ns: NDArray[np.int64], received_ns: NDArray[np.int64] | None = None
    ) -> NDArray[np.int64]:
        """Monotonic ns of the stamps of the batch taken last, in arrival order, never backwards.

        A stamp that fits neither offset is of another clock: then `received_ns` counts, if it is given.
        """
        earliest, latest = self._since_ns - _LATE_NS, self.now_ns + _EARLY_NS
        mono_ns = stamps_ns - self._offset_ns
        if mono_ns.min() < earliest or mono_ns.max() > latest:
            earlier_ns = stamps_ns - self._last_offset_ns
            is_odd = (mono_ns < earliest) | (mono_ns > latest)
            is_earlier = (earlier_ns >= earliest) & (earlier_ns <= latest)
            otherwise_ns = mono_ns if received_ns is None else received_ns
            mono_ns = np.where(is_odd, np.where(is_earlier, earlier_ns, otherwise_ns), mono_ns)
            mono_ns = np.maximum(mono_ns, earliest)
        return np.maximum.accumulate(np.minimum(mono_ns, self.now_ns))
