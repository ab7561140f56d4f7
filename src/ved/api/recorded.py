"""A recorded session and its laps, as `ved.open(...).sessions()` gives them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from ved.analysis.decimate import Buckets, buckets, coarsen, merge
from ved.analysis.laps import LapSpan
from ved.analysis.maths.channelset import MathsRun, MathsSet, computed_channel
from ved.analysis.maths.program import compile_expression
from ved.analysis.naming import find_channels
from ved.analysis.resample import MOST_GAP_US, resample, time_grid
from ved.api.comparing import Difference, compare_parts
from ved.api.frame import ChannelSamples, Frame
from ved.api.laps import FoundLaps, distance_m, find_laps, map_channels
from ved.api.maths import MathsReader, maths_of
from ved.api.parts import Part, PartLoader, channels_of_parts, read_frames, read_samples
from ved.api.rolling import RolledSpan, names_asked, read_rolled
from ved.api.series import Samples
from ved.db.database import Database
from ved.db.laps import list_laps
from ved.db.notes import get_notes
from ved.db.tracks import list_tracks
from ved.errors import UserError
from ved.lake.lake import Lake
from ved.lake.rollups import ROLLUP_US
from ved.model.aliases import NO_ALIASES, Aliases
from ved.model.channel import Channel
from ved.model.frames import FrameColumns
from ved.model.session import Notes, Session
from ved.model.track import Track, TrackLine

_BUCKETS_AT_ONCE_US: Final = 600_000_000

Reading = Literal["recorded", "now"] | int
"""Which DBCs: those in force on the car, those in force now, or the registry as of an assignment."""

GeographicLine = tuple[tuple[float, float], tuple[float, float]]
"""Two points (latitude, longitude) in degrees."""


class RecordedSession:
    """A session in the lake. Reads what was stored when it was opened; times are UTC in µs since 1970."""

    def __init__(self, lake: Lake, db: Database, session: Session, parts: Sequence[Part]) -> None:
        self._lake, self._db = lake, db
        self._session = session
        self.id = session.id
        self.vehicle = session.vehicle
        self.is_open = session.is_open
        self.parts: tuple[Part, ...] = tuple(parts)
        self.utc_from_us = min((part.utc_from_us for part in self.parts), default=session.utc_from_us)
        self.utc_to_us = max((part.utc_to_us for part in self.parts), default=session.utc_to_us) + 1
        self._readers: dict[tuple[str, ...], MathsReader] = {}

    def __repr__(self) -> str:
        """Vehicle, start and length."""
        start = f"{self.start:%Y-%m-%d %H:%M:%S}"
        return f"<Session {self.id} of {self.vehicle}: {start} UTC, {self.duration_s:.1f} s>"

    @property
    def start(self) -> dt.datetime:
        """When it began, in UTC."""
        return dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=self.utc_from_us)

    @property
    def duration_s(self) -> float:
        """From its first frame to its last, in seconds."""
        return (self.utc_to_us - 1 - self.utc_from_us) / 1e6

    @cached_property
    def notes(self) -> Notes:
        """What people wrote of it: name, driver, track, set-up, notes, tags."""
        return get_notes(self._db, self.id)

    @property
    def name(self) -> str:
        """What people call it; empty where nobody gave a name."""
        return self.notes.name

    @property
    def driver(self) -> str:
        """Who drove."""
        return self.notes.driver

    @property
    def tags(self) -> tuple[str, ...]:
        """Words that people put on it."""
        return self.notes.tags

    @property
    def has_moved(self) -> bool:
        """True where the vehicle was seen to move."""
        return self._session.moved_us != (0, 0)

    @cached_property
    def track(self) -> Track | None:
        """The track that people named, or on which watch found laps."""
        rows = list_laps(self._db, self.vehicle)
        own = [row.track_id for row in rows if self.utc_from_us <= row.utc_from_us < self.utc_to_us and row.track_id]
        wanted = self.notes.track or next(iter(own), "")
        return next((one for one in list_tracks(self._db) if one.id == wanted), None)

    @cached_property
    def channels(self) -> list[Channel]:
        """All channels that DBCs, samples and people's maths define, with their units; some may have no samples."""
        return [*channels_of_parts(self.parts), *self.maths.channels]

    @cached_property
    def maths(self) -> MathsSet:
        """The vehicle's maths channels over the session's channels; `errors` says which could not be made."""
        return maths_of(self._db, self.vehicle, channels_of_parts(self.parts), self.aliases)

    @property
    def aliases(self) -> Aliases:
        """Former and present names of the channels."""
        return self.parts[0].aliases if self.parts else NO_ALIASES

    @property
    def buses(self) -> dict[int, str]:
        """Bus index -> name."""
        return {bus.index: bus.name for part in self.parts for bus in part.buses}

    @property
    def dbc_texts(self) -> dict[str, str]:
        """The DBCs in force for any part: file name -> text."""
        return {source.name: source.text for part in self.parts for source in part.sources}

    @cached_property
    def laps(self) -> list[Lap]:
        """The laps on a track that is known, else on one that is learned from the first closed lap."""
        return self._laps_of(self._found_laps)

    def under(self, dbc: Reading) -> RecordedSession:
        """The same frames under other DBCs; UserError for an assignment that there is not.

        `recorded`: those in force on the car. `now`: those in force now. A number of `ved dbc list`: the registry as it
        stood when that assignment was the newest (0: before there was any).
        """
        loader = PartLoader(self._db, self._lake, self.vehicle)
        if dbc == "recorded":
            parts = loader.load_recorded(self._session)
        elif dbc == "now":
            parts = loader.load(self._session)
        elif dbc == 0 or any(one.id == dbc for one in loader.registry.assignments):
            parts = loader.load_under(self._session, loader.registry.as_of(dbc))
        else:
            raise UserError(f"dbc {dbc!r}: give 'recorded', 'now' or the number of an assignment of {self.vehicle}")
        return RecordedSession(self._lake, self._db, self._session, parts)

    def compare(self, before: Reading = "recorded", after: Reading = "now") -> list[Difference]:
        """The channels that `before` reads differently than `after`, with examples."""
        return compare_parts(self._lake, self.under(before).parts, self.under(after).parts, self.utc_us)

    def frame(
        self,
        channels: Sequence[str],
        rate_hz: float,
        *,
        from_s: float = 0.0,
        to_s: float | None = None,
        gap_s: float | None = None,
        dbc: Reading | None = None,
    ) -> Frame:
        """Channels on one time base of `rate_hz`, from `from_s` to before `to_s` (None: the end) of the session.

        Names may be unique ends of channel names, or patterns with `*`. `gap_s`: the longest pause that is bridged
        (None: five usual intervals of the channel, at least 0.1 s, at most 60 s). How values come to be:
        `analysis/resample.py`. `dbc`: other DBCs than those in force now, as `under` says. UserError for a name that
        nobody knows and a rate that is none.
        """
        if dbc is not None:
            return self.under(dbc).frame(channels, rate_hz, from_s=from_s, to_s=to_s, gap_s=gap_s)
        until = self.utc_to_us if to_s is None else self.utc_from_us + round(to_s * 1e6)
        frame = self.read_frame(channels, rate_hz, (self.utc_from_us + round(from_s * 1e6), until), gap_s)
        return replace(frame, start_utc_us=self.utc_from_us)

    def read_frame(
        self, channels: Sequence[str], rate_hz: float, utc_us: tuple[int, int], gap_s: float | None = None
    ) -> Frame:
        """As `frame`, for utc_us[0] <= utc < utc_us[1]; `time_s` counts from utc_us[0]."""
        if isinstance(channels, str):
            raise UserError(f"channels: give a list of names, like [{channels!r}]")
        chosen = find_channels(self.channels, channels, self.aliases)
        from_us, to_us = max(utc_us[0], self.utc_from_us), min(utc_us[1], self.utc_to_us)
        try:
            grid = time_grid(from_us, to_us, rate_hz)
        except ValueError as error:
            raise UserError(str(error)) from None
        gap_us = None if gap_s is None else round(gap_s * 1e6)
        margin_us = MOST_GAP_US if gap_us is None else gap_us
        wanted = list(dict.fromkeys(channel.name for channel in chosen.values())) if len(grid) else []
        limits = (from_us - margin_us, to_us + margin_us)
        samples = self._read(wanted, limits)
        columns = {
            name: resample(*samples[one.name], grid, one.kind, rate_hz, gap_us) if len(grid) else np.empty(0)
            for name, one in chosen.items()
        }
        return Frame(utc_us[0], grid, columns, chosen)

    def samples(self, channel: str) -> ChannelSamples:
        """The samples of one channel as they came, in the order of time."""
        return self.read_channel(channel, self.utc_us)

    def compute(self, expression: str, unit: str = "") -> ChannelSamples:
        """The values of an expression over the session's channels (docs/spec/maths.md), in `unit`.

        As a maths channel of the vehicle gives them, without keeping it. ExpressionError, a UserError, says where the
        expression is wrong.
        """
        program = compile_expression(expression, self.channels, unit or None, self.aliases)
        laps = self._found_laps.start_series() if program.needs_laps else None
        read = self._read(program.inputs, self.utc_us)
        found = program.evaluate(
            {name: (one.utc_us, one.values) for name, one in read.items()}, program.start(), laps=laps
        )
        return ChannelSamples(self.utc_from_us, computed_channel(expression, program), found.t_us, found.values)

    def read_channel(self, channel: str, utc_us: tuple[int, int]) -> ChannelSamples:
        """As `samples`, for utc_us[0] <= utc < utc_us[1]; `time_s` counts from utc_us[0]."""
        found = next(iter(find_channels(self.channels, [channel], self.aliases).values()))
        read = self._read([found.name], utc_us)[found.name]
        return ChannelSamples(utc_us[0], found, read.utc_us, read.values)

    def read_channels(self, names: Sequence[str], utc_us: tuple[int, int]) -> dict[str, Samples]:
        """The samples of channels by full name with utc_us[0] <= utc < utc_us[1], read together."""
        return self._read(names, utc_us)

    def buckets(self, channels: Sequence[str], utc_us: tuple[int, int], bucket_us: int) -> dict[str, Buckets]:
        """Min, max and last of each bucket of UTC, for channels by full name; some minutes are read at a time.

        On a grid of whole ROLLUP_US, the stretches for which there are rollups are not read. The result is the same.
        """
        whole = max(utc_us[0], self.utc_from_us), min(utc_us[1], self.utc_to_us)
        rolled, stretches = self._rolled(channels, whole) if bucket_us % ROLLUP_US == 0 else ({}, [whole])
        step_us = max(1, _BUCKETS_AT_ONCE_US // bucket_us) * bucket_us
        out = {name: coarsen(rolled.get(name, Buckets.empty()), bucket_us) for name in channels}
        for from_us, to_us in stretches:
            for at_us in range(from_us // bucket_us * bucket_us, to_us, step_us):
                read = self._read(list(channels), (max(at_us, from_us), min(at_us + step_us, to_us)))
                for name, samples in read.items():
                    out[name] = merge(out[name], buckets(*samples, bucket_us), bucket_us)
        return out

    def _rolled(
        self, channels: Sequence[str], utc_us: tuple[int, int]
    ) -> tuple[dict[str, Buckets], list[tuple[int, int]]]:
        """What rollups tell of the channels, and the stretches of time of which they do not."""
        unrolled = {one.name for part in self.parts for one in part.samples} | set(self.maths.programs)
        if unrolled.intersection(channels):
            return {}, [utc_us]
        spans = [
            RolledSpan(part.epoch, part.decoding, part.clock, part.utc_from_us, part.utc_to_us + 1)
            for part in self.parts
            if part.decoding is not None
        ]
        return read_rolled(self._lake, self.vehicle, spans, names_asked(channels, self.aliases), utc_us)

    @property
    def utc_us(self) -> tuple[int, int]:
        """From its first frame to just after its last."""
        return self.utc_from_us, self.utc_to_us

    def raw_frames(self, utc_us: tuple[int, int] | None = None) -> Iterator[FrameColumns]:
        """The CAN frames as they came, in chunks; `t_us` counts from the session's start (or from utc_us[0])."""
        return read_frames(self._lake, self.parts, utc_us or self.utc_us)

    def decodable_frames(self, utc_us: tuple[int, int]) -> Iterator[tuple[Part, FrameColumns]]:
        """As `raw_frames`, each chunk with the part that it is of."""
        for part in self.parts:
            for frames in read_frames(self._lake, [part], utc_us):
                yield part, frames

    def sampled_channels(self, utc_us: tuple[int, int]) -> list[str]:
        """Names of the channels that have at least one sample in that time, in the order of `channels`."""
        found: set[str] = set()
        for part, frames in self.decodable_frames(utc_us):
            counts = np.diff(part.decoder.decode(frames).starts)
            found.update(part.decoder.channels[number].name for number in np.flatnonzero(counts).tolist())
        of_samples = sorted({one.name for part in self.parts for one in part.samples})
        read = read_samples(self._lake, [part for part in self.parts if part.samples], of_samples, utc_us)
        found.update(name for name, samples in read.items() if len(samples.utc_us))
        aliases = self.aliases
        return [
            channel.name
            for channel in self.channels
            if channel.name in found
            or any(one in found for one in aliases.others(channel.name))
            or (channel.name in self.maths.programs and found.issuperset(MathsRun(self.maths, [channel.name]).inputs))
        ]

    def find_laps(self, line: GeographicLine | None = None) -> list[Lap]:
        """The laps between crossings of `line`, two points (latitude, longitude); None: as `laps`.

        UserError where the vehicle has no channels that place it.
        """
        if line is None:
            return self.laps
        names = map_channels(self._db, self.vehicle, self.channels)
        if names is None:
            raise UserError(f"session {self.id}: no channels of latitude and longitude, so no laps")
        track = Track("", "", (TrackLine(*line),))
        return self._laps_of(find_laps(names, self._read_decoded, self.utc_us, [track], is_learning=False))

    @cached_property
    def _found_laps(self) -> FoundLaps:
        names = map_channels(self._db, self.vehicle, channels_of_parts(self.parts))
        tracks = list_tracks(self._db)
        chosen = [one for one in tracks if one.id == self.notes.track]
        return find_laps(names, self._read_decoded, self.utc_us, chosen or tracks, is_learning=not chosen)

    def _laps_of(self, found: FoundLaps) -> list[Lap]:
        return [Lap(self, span.number, span.t_from_us, span.t_to_us, span, found) for span in found.spans]

    def _read_decoded(self, names: Sequence[str], utc_us: tuple[int, int]) -> Mapping[str, Samples]:
        return read_samples(self._lake, self.parts, names, utc_us)

    def _read(self, names: Sequence[str], utc_us: tuple[int, int]) -> dict[str, Samples]:
        """Samples by full name, decoded or computed."""
        computed = tuple(name for name in names if name in self.maths.programs)
        out = dict(self._read_decoded([name for name in names if name not in computed], utc_us))
        if computed:
            if computed not in self._readers:
                self._readers[computed] = MathsReader(
                    self.maths,
                    computed,
                    self.utc_from_us,
                    self._read_decoded,
                    lambda _: self._found_laps.start_series(),
                )
            within = max(utc_us[0], self.utc_from_us), min(utc_us[1], self.utc_to_us)
            out.update(self._readers[computed].samples(within))
        return out


@dataclass(frozen=True, slots=True, eq=False)
class Lap:
    """A lap, from one crossing of the line to the next; numbers count from 1, `utc_to_us` is the next lap's start."""

    session: RecordedSession
    number: int
    utc_from_us: int
    utc_to_us: int
    _span: LapSpan
    _found: FoundLaps

    @property
    def length_m(self) -> float:
        """The way by GPS."""
        return self._span.length_m

    @property
    def is_whole(self) -> bool:
        """False where positions are missing, so a crossing may have been missed."""
        return self._span.is_whole

    @property
    def sectors_s(self) -> tuple[float, ...]:
        """Time in each sector; NaN where a line was not seen to be crossed; empty on a track without sectors."""
        return tuple(one / 1e6 if one >= 0 else float("nan") for one in self._span.sectors_us)

    @property
    def track(self) -> Track | None:
        """The track that the lap was found on."""
        return self._found.track

    def distance_m(self, utc_us: NDArray[np.int64]) -> NDArray[np.float64]:
        """How far along the track's reference line the car was at these times: f64[n]; NaN where nobody knows."""
        return distance_m(self._found, self._span, utc_us)

    def __repr__(self) -> str:
        """Number, time, length."""
        return f"<Lap {self.number}: {self.time_s:.3f} s, {self.length_m:.0f} m>"

    @property
    def time_s(self) -> float:
        """Lap time in seconds."""
        return (self.utc_to_us - self.utc_from_us) / 1e6

    def frame(self, channels: Sequence[str], rate_hz: float, *, gap_s: float | None = None) -> Frame:
        """As `Session.frame`, of this lap; `time_s` counts from its start."""
        return self.session.read_frame(channels, rate_hz, (self.utc_from_us, self.utc_to_us), gap_s)

    def samples(self, channel: str) -> ChannelSamples:
        """The samples of one channel in this lap as they came."""
        return self.session.read_channel(channel, (self.utc_from_us, self.utc_to_us))
