"""The track that a vehicle drives on, and its laps there: a known one whose line it crosses, or one that is learned."""

import hashlib
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ved.analysis.crossings import Fixes, Line
from ved.analysis.distance import ReferenceLine, thin_path, to_globe, to_plane
from ved.analysis.fixes import GeoFixes
from ved.analysis.laps import LapSpan, LapStart, LapStep, LapTracker, LineLearner, line_across
from ved.model.track import Place, Track, TrackLine

NEAR_M: Final = 5_000.0
"""A known track is looked for where its line is this near to the first position."""

SECTORS: Final = 3
REFERENCE_STEP_M: Final = 5.0
_SECTOR_AHEAD_M: Final = 4.0
_MOST_FIXES: Final = 300_000
"""Kept until a track is learned; after that many without a closed lap none is."""


def plane_lines(track: Track, origin_deg: Place) -> list[Line]:
    """The lines of a track on the flat map around `origin_deg`."""
    out = []
    for line in track.lines:
        latitudes, longitudes = np.array([line.start, line.end], np.float64).T
        x_m, y_m = to_plane(latitudes, longitudes, origin_deg)
        out.append(Line(float(x_m[0]), float(y_m[0]), float(x_m[1]), float(y_m[1]), line.is_one_way))
    return out


def origin_of(track: Track) -> Place:
    """Middle of the start/finish line."""
    (latitude, longitude), (latitude_2, longitude_2) = track.lines[0].start, track.lines[0].end
    return (latitude + latitude_2) / 2, (longitude + longitude_2) / 2


def reference_of(track: Track) -> ReferenceLine | None:
    """The reference line on the flat map around `origin_of(track)`, or None where none is known."""
    if len(track.reference) < 3:
        return None
    latitudes, longitudes = np.array(track.reference, np.float64).T
    return ReferenceLine(*to_plane(latitudes, longitudes, origin_of(track)))


class LapFinder:
    """The laps of one session, from its positions in any cuts.

    `track` is the one in force, or None. Of `tracks`, those near the first position are looked for; the first whose
    line is crossed holds. Where the vehicle closes a lap before that, its line is learned; with the first whole lap it
    becomes a track with a reference line and three sectors, in `learned`.
    """

    def __init__(self, tracks: Sequence[Track], *, is_learning: bool = True) -> None:
        self.track: Track | None = None
        self.learned: Track | None = None
        self._tracks = tracks
        self._candidates: list[_Candidate] | None = None
        self._locked: _Candidate | None = None
        self._learning = _Learning() if is_learning else None

    def step(self, fixes: GeoFixes) -> LapStep:
        """The laps that ended and began up to the last of these positions, all later than those before."""
        if not len(fixes.t_us):
            return LapStep()
        if self._locked is not None:
            return self._locked.step(fixes)
        if self._candidates is None:
            place = float(fixes.latitude[0]), float(fixes.longitude[0])
            self._candidates = [_Candidate(track) for track in self._tracks if _away_m(track, place) <= NEAR_M]
        learning = self._learning
        found = [(one.step(fixes), one) for one in self._candidates] if learning is None or not learning.is_line else []
        crossed = min(((step.starts[0].t_us, at) for at, (step, _) in enumerate(found) if step.starts), default=None)
        if crossed is not None:
            known_us = None if learning is None else learning.would_know_us(fixes)
            if known_us is None or crossed[0] <= known_us:
                step, self._locked = found[crossed[1]]
                self.track, self._learning = self._locked.track, None
                return step
        return self._learn(fixes)

    def state(self) -> dict[str, Any] | None:
        """What `resume` takes, in numbers that JSON can say; None while no track is known."""
        tracker = None if self._locked is None else self._locked.tracker.state()
        return None if tracker is None or self.track is None else {"track": self.track.id, "tracker": tracker}

    def resume(self, state: dict[str, Any]) -> None:
        """Go on where another stood, if its track is there still."""
        track = next((one for one in self._tracks if one.id == state["track"]), None)
        if track is not None:
            self.track, self._locked, self._learning = track, _Candidate(track), None
            self._locked.tracker.restore(state["tracker"])

    def _learn(self, fixes: GeoFixes) -> LapStep:
        if self._learning is None:
            return LapStep()
        step = self._learning.step(fixes)
        if self._learning.track is not None:
            self.track = self.learned = self._learning.track
            self._locked, self._learning = self._learning.candidate, None
        elif self._learning.is_given_up:
            self._learning = None
        return step


class _Candidate:
    """A known track: positions on its map, its lines."""

    def __init__(self, track: Track) -> None:
        self.track = track
        self._origin_deg = origin_of(track)
        self.tracker = LapTracker(plane_lines(track, self._origin_deg))

    def step(self, fixes: GeoFixes) -> LapStep:
        return self.tracker.step(Fixes(fixes.t_us, *to_plane(fixes.latitude, fixes.longitude, self._origin_deg)))


class _Learning:
    """No track is known: the line comes from the first closed lap, the rest of the track from the first whole one."""

    def __init__(self) -> None:
        self.track: Track | None = None
        self.candidate: _Candidate | None = None
        self.is_given_up = False
        self._origin_deg: Place | None = None
        self._learner = LineLearner()
        self._looked: tuple[GeoFixes, tuple[Line, int] | None] | None = None
        self._line: Line | None = None
        self._tracker: LapTracker | None = None
        self._kept: list[Fixes] = []
        self._given = _Given()

    @property
    def is_line(self) -> bool:
        """True once a line is learned: no other track is looked for."""
        return self._line is not None

    def would_know_us(self, fixes: GeoFixes) -> int | None:
        """When the line is learned within these positions, else None; `step` must follow with the same."""
        found = self._learner.step(self._plane(fixes)) if self._line is None else None
        self._looked = fixes, found
        return None if found is None else found[1]

    def step(self, fixes: GeoFixes) -> LapStep:
        plane = self._plane(fixes)
        self._kept.append(plane)
        if self._tracker is not None:
            return self._follow(self._tracker.step(plane))
        if self._looked is None or self._looked[0] is not fixes:
            self.would_know_us(fixes)
        assert self._looked is not None
        found, self._looked = self._looked[1], None
        if found is None:
            self.is_given_up = sum(len(one.t_us) for one in self._kept) > _MOST_FIXES
            return LapStep()
        self._line = found[0]
        self._tracker = LapTracker([self._line])
        return self._follow(self._tracker.step(Fixes.join(self._kept)))

    def _follow(self, step: LapStep) -> LapStep:
        """Give on what the line alone says; from the first whole lap on, which makes the track, what the track says."""
        whole = next((lap for lap in step.laps if lap.is_whole), None)
        if whole is None or self._line is None or self._origin_deg is None:
            return self._given.only_new(step)
        kept = Fixes.join(self._kept)
        is_in = (kept.t_us >= whole.t_from_us) & (kept.t_us < whole.t_to_us)
        self.track = _make_track(self._line, kept.x_m[is_in], kept.y_m[is_in], self._origin_deg)
        self.candidate = _Candidate(self.track)
        again = self.candidate.step(GeoFixes(kept.t_us, *to_globe(kept.x_m, kept.y_m, self._origin_deg)))
        before = [lap for lap in step.laps if lap.number < whole.number]
        laps = (*before, *(lap for lap in again.laps if lap.number >= whole.number))
        return self._given.only_new(LapStep(laps, again.starts))

    def _plane(self, fixes: GeoFixes) -> Fixes:
        if self._origin_deg is None:
            self._origin_deg = float(fixes.latitude[0]), float(fixes.longitude[0])
        return Fixes(fixes.t_us, *to_plane(fixes.latitude, fixes.longitude, self._origin_deg))


class _Given:
    """What was given out while the line alone was known."""

    def __init__(self) -> None:
        self._laps = 0
        self._start: LapStart | None = None

    def only_new(self, step: LapStep) -> LapStep:
        laps: list[LapSpan] = [lap for lap in step.laps if lap.number > self._laps]
        last = self._start
        starts = [one for one in step.starts if last is None or one.t_us > last.t_us + 1]
        self._laps = max(self._laps, max((lap.number for lap in laps), default=0))
        self._start = starts[-1] if starts else last
        return LapStep(tuple(laps), tuple(starts))


def _make_track(line: Line, x_m: NDArray[np.float64], y_m: NDArray[np.float64], origin_deg: Place) -> Track:
    """The track of a lap whose positions are given: its line, its way as reference, sector lines at equal distances."""
    rows = thin_path(x_m, y_m, REFERENCE_STEP_M)
    reference = ReferenceLine(x_m[rows], y_m[rows])
    lines = [line]
    for sector in range(1, SECTORS):
        at_m = reference.length_m * sector / SECTORS
        lines.append(line_across(reference.place_at(at_m), reference.place_at(at_m + _SECTOR_AHEAD_M)))
    globe = [_on_globe(one, origin_deg) for one in lines]
    places = zip(*(axis.tolist() for axis in to_globe(x_m[rows], y_m[rows], origin_deg)), strict=True)
    latitude, longitude = origin_of(Track("", "", (globe[0],)))
    name = f"{latitude:.4f}, {longitude:.4f}"
    return Track(
        hashlib.sha256(name.encode()).hexdigest()[:16],
        name,
        tuple(globe),
        tuple((round(north, 8), round(east, 8)) for north, east in places),
    )


def _on_globe(line: Line, origin_deg: Place) -> TrackLine:
    x_m, y_m = np.array([line.from_x_m, line.to_x_m]), np.array([line.from_y_m, line.to_y_m])
    latitudes, longitudes = (axis.tolist() for axis in to_globe(x_m, y_m, origin_deg))
    start, end = ((latitudes[at], longitudes[at]) for at in (0, 1))
    return TrackLine(start, end, line.is_one_way)


def _away_m(track: Track, place: Place) -> float:
    x_m, y_m = to_plane(np.array([place[0]]), np.array([place[1]]), origin_of(track))
    return float(np.hypot(x_m[0], y_m[0]))
