"""Maths channels over history: the definitions of a vehicle, and their values computed when they are read."""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import numpy as np

from ved.analysis.maths.channelset import MathsRun, MathsSet
from ved.analysis.series import Series
from ved.api.series import Samples, join
from ved.db.database import Database
from ved.db.maths import list_maths
from ved.model.aliases import Aliases
from ved.model.channel import Channel
from ved.model.maths import MATHS_MESSAGE, MathsDef

ReadSamples = Callable[[Sequence[str], tuple[int, int]], Mapping[str, Samples]]
"""The samples of channels (full names) with utc_us[0] <= utc < utc_us[1]."""

_WINDOW_US: Final = 600_000_000
_MAX_KEPT_SAMPLES: Final = 4_000_000
_MAX_SETS: Final = 64

_sets: dict[tuple[str, str], tuple[tuple[MathsDef, ...], tuple[Channel, ...], Aliases, MathsSet]] = {}
_lock = threading.Lock()


def is_maths(name: str) -> bool:
    """True for the full name of a maths channel."""
    return name.startswith(f"{MATHS_MESSAGE}.")


def maths_of(db: Database, vehicle: str, channels: Sequence[Channel], aliases: Aliases) -> MathsSet:
    """The maths channels of a vehicle over `channels`; compiled again only when something changed."""
    definitions, given = tuple(list_maths(db, vehicle)), tuple(channels)
    key = (db.url, vehicle)
    with _lock:
        known = _sets.get(key)
    if known is not None and known[0] == definitions and known[1] == given and known[2] is aliases:
        return known[3]
    made = MathsSet.build(definitions, given, aliases)
    with _lock:
        if len(_sets) >= _MAX_SETS:
            _sets.clear()
        _sets[key] = (definitions, given, aliases, made)
    return made


class MathsReader:
    """Values of some maths channels of one session. Samples are read some minutes at a time, and each only once.

    `laps` gives the begins of laps up to a time, and their numbers.
    """

    def __init__(
        self,
        maths: MathsSet,
        names: Iterable[str],
        origin_us: int,
        read: ReadSamples,
        laps: Callable[[int], Series],
    ) -> None:
        self._maths, self._names = maths, tuple(names)
        self._origin_us, self._read, self._laps = origin_us, read, laps
        self._run = MathsRun(maths, self._names)
        self._from_us = self._until_us = origin_us
        self._parts: dict[str, list[Samples]] = {name: [] for name in self._names}

    def samples(self, utc_us: tuple[int, int]) -> dict[str, Samples]:
        """The values with utc_us[0] <= utc < utc_us[1], by full name."""
        memory_us, from_us = self._run.memory_us, max(utc_us[0], self._origin_us)
        if memory_us is not None and not self._from_us <= from_us <= self._until_us:
            self._start(max(self._origin_us, from_us - memory_us))
            self._from_us = from_us
        elif from_us < self._from_us:
            self._start(self._origin_us)
        self._extend(utc_us[1])
        out = {}
        for name in self._names:
            found = join(self._parts[name])
            rows = slice(*np.searchsorted(found.utc_us, np.array(utc_us, np.int64)).tolist())
            self._parts[name] = [found]
            out[name] = Samples(found.utc_us[rows], found.values[rows])
        self._trim(utc_us[0])
        return out

    def read_with(self, read: ReadSamples, laps: Callable[[int], Series]) -> None:
        """From now on, samples and laps come from there."""
        self._read, self._laps = read, laps

    def _start(self, from_us: int) -> None:
        self._run = MathsRun(self._maths, self._names)
        self._from_us = self._until_us = from_us
        self._parts = {name: [] for name in self._names}

    def _extend(self, to_us: int) -> None:
        if self._until_us >= to_us:
            return
        laps = self._laps(to_us) if self._run.needs_laps else None
        while self._until_us < to_us:
            end_us = min(self._until_us + _WINDOW_US, to_us)
            read = self._read(self._run.inputs, (self._until_us, end_us))
            columns = {name: Series(*samples) for name, samples in read.items()}
            for name, series in self._run.step(columns, end_us, laps).items():
                if name in self._parts and len(series.t_us):
                    self._parts[name].append(Samples(*series))
            self._until_us, laps = end_us, None

    def _trim(self, from_us: int) -> None:
        """Let go of what lies far before what is asked for, when it has become much."""
        if sum(len(part.utc_us) for parts in self._parts.values() for part in parts) <= _MAX_KEPT_SAMPLES:
            return
        self._from_us = max(self._from_us, from_us)
        for name, parts in self._parts.items():
            found = join(parts)
            rows = slice(int(np.searchsorted(found.utc_us, self._from_us)), None)
            self._parts[name] = [Samples(found.utc_us[rows].copy(), found.values[rows].copy())]
