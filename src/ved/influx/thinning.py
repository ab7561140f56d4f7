"""Which samples of a message are kept when it comes more often than it is to be written."""

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ved.analysis.resample import THINNING

_MOST_STREAMS: Final = 20_000


@dataclass(slots=True)
class _Last:
    t_us: int
    cell: int


class Thinner:
    """Keeps at most about `rate_hz` samples per second of each stream (a message on a bus with the same signals).

    A stream that is clearly faster (median interval below 0.75 of the step) keeps the first sample of each cell of the
    step, cells counted from the start of its epoch; any other is kept whole, so that jitter costs nothing. What is kept
    keeps its own time and value: nothing is averaged, and the same frames give the same points.
    """

    def __init__(self, rate_hz: float) -> None:
        """`rate_hz` 0: all are kept."""
        self._step_us = round(1e6 / rate_hz) if rate_hz else 0
        self._last: OrderedDict[Hashable, _Last] = OrderedDict()

    def keep(self, stream: Hashable, t_us: NDArray[np.int64]) -> NDArray[np.bool_] | None:
        """True for the samples to keep, or None for all. `t_us` does not decrease, i64[n], n > 0."""
        if not self._step_us:
            return None
        last = self._last.get(stream)
        if last is not None and last.t_us >= int(t_us[0]):
            last = None  # late data of another time, or the same once more
        times = t_us if last is None else np.concatenate((np.array([last.t_us]), t_us))
        cells = times // self._step_us
        is_fast = len(times) > 1 and float(np.median(np.diff(times))) < THINNING * self._step_us
        is_new = cells[1:] != cells[:-1]
        kept = np.concatenate((np.array([True]), is_new)) if last is None else is_new
        self._last[stream] = _Last(int(t_us[-1]), int(cells[-1]))
        self._last.move_to_end(stream)
        while len(self._last) > _MOST_STREAMS:
            self._last.popitem(last=False)
        return kept if is_fast else None
