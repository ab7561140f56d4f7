"""Maths channels of a vehicle over all of its time: each session by itself, as far as it is there."""

import bisect
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ved.analysis.maths.channelset import MathsSet
from ved.analysis.maths.liverun import LiveRun
from ved.analysis.series import Series
from ved.api.laps import find_laps, map_channels
from ved.api.maths import MathsReader, maths_of
from ved.api.registry import load_registry
from ved.api.series import Samples, join
from ved.db.database import Database
from ved.db.sessions import list_sessions
from ved.db.tracks import list_tracks
from ved.model.channel import Channel
from ved.model.frames import FrameBatch
from ved.model.samples import SampleBatch

Recent = Sequence[FrameBatch | SampleBatch]
ReadVehicle = Callable[[str, Sequence[str], tuple[int, int], Recent], Mapping[str, Samples]]

_Key = tuple[str, tuple[str, ...], int]
"""Vehicle, names, start of the session."""

_FRESH_S: Final = 1.0
_KEPT_S: Final = 30.0
"""After this, what was computed is computed again: late frames may have come."""

_MOST_READERS: Final = 6
_WARM_US: Final = 600_000_000
_LOOK_BACK_US: Final = 86_400_000_000
"""Without a session nothing says where memory begins: a day before."""


@dataclass(slots=True)
class _Known:
    at_s: float
    maths: MathsSet
    starts: list[int]


class MathsHistory:
    """Several threads may ask. Reads are under a lock; nobody waits for a read who asks for the definitions alone."""

    def __init__(self, db: Database, read: ReadVehicle, channels: Callable[[str], list[Channel]]) -> None:
        self._db, self._read, self._channels = db, read, channels
        self._known: dict[str, _Known] = {}
        self._readers: OrderedDict[tuple[str, tuple[str, ...], int], tuple[float, MathsSet, MathsReader]] = (
            OrderedDict()
        )
        self._mark = object()
        self._lock = threading.RLock()
        self._looking = threading.Lock()

    def of(self, vehicle: str) -> MathsSet:
        """The maths channels of a vehicle."""
        return self._look(vehicle).maths

    def forget(self, vehicle: str) -> None:
        """Look again at the definitions of a vehicle. Waits for nothing."""
        self._mark = object()
        self._known.pop(vehicle, None)

    def read(self, vehicle: str, names: Sequence[str], utc_us: tuple[int, int], recent: Recent) -> dict[str, Samples]:
        """The values with utc_us[0] <= utc < utc_us[1], by full name; none of a name that nobody knows."""
        with self._lock:
            known = self._look(vehicle)
            wanted = tuple(name for name in names if name in known.maths.programs)
            parts: dict[str, list[Samples]] = {name: [] for name in names}
            for origin_us, from_us, to_us in _segments(known.starts, utc_us):
                reader = self._reader(vehicle, known, wanted, origin_us, recent)
                for name, samples in reader.samples((from_us, to_us)).items():
                    parts[name].append(samples)
            return {name: join(found) for name, found in parts.items()}

    def live_run(self, vehicle: str, name: str, until_us: int | None, recent: Recent) -> LiveRun | None:
        """A channel run over its session up to `until_us` (None: over nothing); None: there is none of that name."""
        known = self._look(vehicle)
        if name not in known.maths.programs:
            return None
        places = map_channels(self._db, vehicle, self._channels(vehicle))
        run = LiveRun(known.maths, [name], places, list_tracks(self._db))
        if until_us is None:
            return run
        origin_us = next(iter(_segments(known.starts, (until_us, until_us + 1))))[0]
        at_us = origin_us if run.memory_us is None else max(origin_us, until_us - run.memory_us)
        while at_us < until_us:
            end_us = min(at_us + _WARM_US, until_us)
            read = self._read(vehicle, run.inputs, (at_us, end_us), recent)
            run.step({one: Series(*samples) for one, samples in read.items()}, end_us)
            at_us = end_us
        return run

    def _look(self, vehicle: str) -> _Known:
        with self._looking:
            while True:
                known, now_s, mark = self._known.get(vehicle), time.monotonic(), self._mark
                if known is not None and now_s - known.at_s <= _FRESH_S:
                    return known
                aliases = load_registry(self._db, vehicle).aliases
                maths = maths_of(self._db, vehicle, self._channels(vehicle), aliases)
                starts = sorted(one.utc_from_us for one in list_sessions(self._db, vehicle))
                known = self._known[vehicle] = _Known(now_s, maths, starts)
                if mark is self._mark:
                    return known
                self._known.pop(vehicle, None)  # it was forgotten meanwhile, perhaps before it was put there

    def _reader(
        self, vehicle: str, known: _Known, names: tuple[str, ...], origin_us: int, recent: Recent
    ) -> MathsReader:
        key, now_s = (vehicle, names, origin_us), time.monotonic()
        made_s, maths, reader = self._readers.pop(key, (0.0, known.maths, None))

        def read(inputs: Sequence[str], utc_us: tuple[int, int]) -> Mapping[str, Samples]:
            return self._read(vehicle, inputs, utc_us, recent)

        def laps(to_us: int) -> Series:
            places = map_channels(self._db, vehicle, self._channels(vehicle))
            return find_laps(places, read, (origin_us, to_us), list_tracks(self._db)).start_series()

        if reader is None or maths is not known.maths or now_s - made_s > _KEPT_S:
            made_s, reader = now_s, MathsReader(known.maths, names, origin_us, read, laps)
        reader.read_with(read, laps)
        self._readers[key] = made_s, known.maths, reader
        while len(self._readers) > _MOST_READERS:
            self._readers.popitem(last=False)
        return reader


def _segments(starts: Sequence[int], utc_us: tuple[int, int]) -> list[tuple[int, int, int]]:
    """The pieces of a time that lie in one session each: (start of the session, from, to)."""
    at = bisect.bisect_right(starts, utc_us[0])
    edges = [start for start in starts[at:] if start < utc_us[1]]
    origins = [starts[at - 1] if at else utc_us[0] - _LOOK_BACK_US, *edges]
    return [
        (origin, from_us, to_us)
        for origin, from_us, to_us in zip(origins, [utc_us[0], *edges], [*edges, utc_us[1]], strict=True)
    ]
