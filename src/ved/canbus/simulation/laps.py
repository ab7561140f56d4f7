"""What a car counts anew on every lap."""

import numpy as np

from ved.canbus.simulation.signals import Floats


class LapMeter:
    """Turns a total that only goes on into what came since the lap began."""

    def __init__(self) -> None:
        self._lap, self._at_begin = -1.0, 0.0

    def run(self, lap: Floats, total: Floats) -> Floats:
        """The part of `total` since each step's lap began; both are columns (n,)."""
        out = np.empty(len(lap))
        changes = np.flatnonzero(np.diff(lap, prepend=self._lap)).tolist()
        starts = changes if changes[:1] == [0] else [0, *changes]
        for start, end in zip(starts, [*starts[1:], len(out)], strict=True):
            if start in changes:
                self._at_begin = float(total[start])
            out[start:end] = total[start:end] - self._at_begin
        self._lap = float(lap[-1])
        return out

    def restart(self) -> None:
        """The total begins again."""
        self._lap = -1.0
