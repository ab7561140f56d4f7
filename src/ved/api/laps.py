"""The laps of a session over history: its positions through the same tracker that runs live."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ved.analysis.distance import to_plane
from ved.analysis.fixes import FixReader, GeoFixes
from ved.analysis.laps import LapSpan, LapStart
from ved.analysis.positions import find_map_channels
from ved.analysis.series import Series
from ved.analysis.tracks import LapFinder, origin_of, reference_of
from ved.api.maths import ReadSamples
from ved.api.registry import load_registry
from ved.db.database import Database
from ved.db.vehicles import get_vehicle
from ved.model.channel import Channel
from ved.model.track import Track
from ved.model.vehicle import MapChannels


@dataclass(frozen=True, slots=True, eq=False)
class FoundLaps:
    """The laps, where each began (that of the last, which has no end, too), the track, and the positions."""

    spans: tuple[LapSpan, ...]
    starts: tuple[LapStart, ...]
    track: Track | None
    fixes: GeoFixes

    def start_series(self) -> Series:
        """Begins of laps and their numbers, as maths channels take them."""
        times = np.array([one.t_us for one in self.starts], np.int64)
        return Series(times, np.array([one.number for one in self.starts], np.float64))


def map_channels(db: Database, vehicle: str, channels: Sequence[Channel]) -> MapChannels | None:
    """The channels that place the vehicle: as it says, or found by their names."""
    row = get_vehicle(db, vehicle)
    known, aliases = {channel.name for channel in channels}, load_registry(db, vehicle).aliases
    if row is not None and row.map is not None:
        places = [aliases.current(name, known) for name in (row.map.latitude, row.map.longitude)]
        if None not in places:
            return row.map
    return find_map_channels(channels)


def find_laps(
    names: MapChannels | None,
    read: ReadSamples,
    utc_us: tuple[int, int],
    tracks: Sequence[Track],
    *,
    is_learning: bool = True,
) -> FoundLaps:
    """The laps with utc_us[0] <= utc < utc_us[1]; none where nothing places the vehicle.

    `is_learning` False: on one of `tracks` or none.
    """
    if names is None:
        empty = np.empty(0)
        return FoundLaps((), (), None, GeoFixes(np.empty(0, np.int64), empty, empty))
    reader = FixReader(names)
    fixes = reader.step({name: (one.utc_us, one.values) for name, one in read(reader.inputs, utc_us).items()})
    finder = LapFinder(tracks, is_learning=is_learning)
    step = finder.step(fixes)
    return FoundLaps(step.laps, step.starts, finder.track, fixes)


def distance_m(found: FoundLaps, lap: LapSpan, utc_us: NDArray[np.int64]) -> NDArray[np.float64]:
    """How far along the track's reference line the vehicle was at these times of the lap: f64[n]; NaN without one."""
    reference = None if found.track is None else reference_of(found.track)
    fixes = found.fixes
    rows = slice(*np.searchsorted(fixes.t_us, [lap.t_from_us - 1_000_000, lap.t_to_us + 1_000_001]).tolist())
    if reference is None or found.track is None or rows.stop - rows.start < 2:
        return np.full(len(utc_us), np.nan)
    x_m, y_m = to_plane(fixes.latitude[rows], fixes.longitude[rows], origin_of(found.track))
    t_us = fixes.t_us[rows].astype(np.float64)
    way_m = np.append(0.0, np.cumsum(np.hypot(np.diff(x_m), np.diff(y_m))))
    begin_m, end_m = np.interp([lap.t_from_us, lap.t_to_us], t_us, way_m)
    about_m = (way_m - begin_m) * reference.length_m / max(float(end_m - begin_m), 1.0)
    places_m = reference.project(x_m, y_m, about_m)
    # Round the line the projection jumps from the end of the lap to its start: the way says on which side it is.
    places_m += np.rint((about_m - places_m) / reference.length_m) * reference.length_m
    inside = np.interp(utc_us.astype(np.float64), t_us, np.maximum.accumulate(places_m))
    out: NDArray[np.float64] = np.where((utc_us >= t_us[0]) & (utc_us <= t_us[-1]), inside, np.nan)
    return out
