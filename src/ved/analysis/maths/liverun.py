"""Maths channels of one session as its frames come. Laps are followed beside them; what needs laps waits for them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np

from ved.analysis.fixes import FixReader
from ved.analysis.maths.channelset import MathsRun, MathsSet
from ved.analysis.series import NEVER_US, Series
from ved.analysis.tracks import LapFinder
from ved.model.track import Track
from ved.model.vehicle import MapChannels

FIX_WAIT_US: Final = 2_000_000
"""Values that depend on laps wait for the next position, but no longer than this."""


class LiveRun:
    """Some maths channels over the samples of one session, given in any cuts. `inputs`: what it must be given."""

    def __init__(
        self, maths: MathsSet, names: Iterable[str], places: MapChannels | None, tracks: Sequence[Track]
    ) -> None:
        self._given = maths, tuple(names), places, tracks
        self._run = MathsRun(maths, self._given[1])
        self._fixes = FixReader(places) if places is not None and self._run.needs_laps else None
        self._laps = LapFinder(tracks)
        self._fix_us = NEVER_US
        positions = () if self._fixes is None else self._fixes.inputs
        self.inputs = tuple(dict.fromkeys((*self._run.inputs, *positions)))
        self.memory_us = self._run.memory_us

    def again(self) -> "LiveRun":
        """The same, at the start of another session."""
        return LiveRun(*self._given)

    def step(self, columns: Mapping[str, Series], until_us: int) -> dict[str, Series]:
        """The values that are known now that all samples before `until_us` are there, by full name."""
        if self._fixes is None:
            return self._run.step(columns, until_us)
        fixes = self._fixes.step(columns, until_us)
        if len(fixes.t_us):
            self._fix_us = int(fixes.t_us[-1])
        starts = self._laps.step(fixes).starts
        times = np.array([one.t_us for one in starts], np.int64)
        laps = Series(times, np.array([one.number for one in starts], np.float64))
        return self._run.step(columns, min(until_us, max(self._fix_us, until_us - FIX_WAIT_US)), laps)
