"""From a far sender's own times to this agent's: the spacing is the sender's, the offset the least delay seen."""

import numpy as np
from numpy.typing import NDArray

_MAX_DRIFT = 100e-6
"""How much faster than the other one clock may run: crystals do better."""

_BACK_US = 1_000_000
_LATE_US = 60_000_000
_NONE_US = 1 << 62
_MAX_STAMP_US = 1 << 52
"""Stamps are microseconds: a sender whose clock says more (the year 2112) has none."""


class RemoteClock:
    """Of one stream of stamps. A stamp's delay on the way is never negative, so the least one seen tells the offset.

    The sender's clock jumped when a stamp lies 1 s before the one before it, or comes out 60 s in the past: then the
    offset is taken anew. Times never run backwards and never lie after their arrival.
    """

    def __init__(self) -> None:
        self._offset_us = float(_NONE_US)
        self._sampled_us = 0
        self._stamp_us = -_NONE_US
        self._last_us = -_NONE_US

    def to_local(self, stamps_us: NDArray[np.int64], arrived_us: int) -> NDArray[np.int64]:
        """Times in this epoch of stamps in order of arrival, which all came by `arrived_us`. At least one stamp."""
        stamps_us = np.clip(stamps_us, -_MAX_STAMP_US, _MAX_STAMP_US)
        starts = np.flatnonzero(np.diff(stamps_us, prepend=self._stamp_us) < -_BACK_US)
        parts = np.split(stamps_us, starts)
        out: list[NDArray[np.int64]] = []
        for number, part in enumerate(parts):
            if number:
                self._offset_us = float(_NONE_US)
            if len(part):
                out.append(self._placed(part, arrived_us))
        self._stamp_us = int(stamps_us[-1])
        local_us = np.maximum.accumulate(np.maximum(np.concatenate(out), self._last_us))
        self._last_us = int(local_us[-1])
        return local_us

    def _placed(self, stamps_us: NDArray[np.int64], arrived_us: int) -> NDArray[np.int64]:
        newest_us = int(stamps_us.max())
        least_us = float(arrived_us - newest_us)
        crept_us = self._offset_us + (arrived_us - self._sampled_us) * _MAX_DRIFT
        self._offset_us = min(least_us, crept_us)
        if arrived_us - (newest_us + self._offset_us) > _LATE_US:
            self._offset_us = least_us
        self._sampled_us = arrived_us
        return np.minimum(stamps_us + int(self._offset_us), arrived_us)
