"""Laps as they are driven: positions of every vehicle through the same tracker that runs over history."""

import functools
from dataclasses import dataclass, field, replace
from typing import Any, Final

from sqlalchemy import Connection

from ved.analysis.fixes import FixReader
from ved.analysis.laps import LapStep
from ved.analysis.tracks import LapFinder
from ved.api.decoding import MAX_DECODERS
from ved.api.laps import map_channels
from ved.codec.records import encode_record
from ved.db.database import Database
from ved.db.laps import LapRow, last_lap, read_lap_states, write_lap_state, write_laps
from ved.db.tracks import list_tracks, write_learned
from ved.dbc.decode import Decoder
from ved.model.frames import FrameBatch
from ved.model.records import Arrival, Lane, LapEvent
from ved.model.session import Session
from ved.model.track import Track
from ved.model.vehicle import MapChannels
from ved.watch.parts import Append, Now, Taken
from ved.watch.sessions import SessionWatcher

LATE_US: Final = 20_000
"""Frames of several buses may pass each other by so much."""


@dataclass(slots=True)
class _Driving:
    """One vehicle in one session."""

    session: str
    places: MapChannels
    fixes: FixReader
    finder: LapFinder
    laps_before: int = 0
    """Laps that the session had when what this follows became a part of it."""
    is_changed: bool = True


@dataclass(slots=True)
class _News:
    """What is not saved or published yet."""

    rows: list[LapRow] = field(default_factory=list)
    tracks: list[Track] = field(default_factory=list)
    events: list[LapEvent] = field(default_factory=list)


class LapWatcher:
    """A part of watch; see `WatchPart`. What it needs to go on after a restart is saved once a track is known.

    It follows one session of a vehicle. What is backfilled of an older one while that goes on is left to history.
    """

    def __init__(self, db: Database, sessions: SessionWatcher) -> None:
        self._db, self._sessions = db, sessions
        self._driving: dict[str, _Driving] = {}
        self._saved: dict[str, tuple[str, dict[str, Any]]] = read_lap_states(db)
        self._moved: set[str] = set()
        self._news = _News()

    def take(self, taken: Taken) -> None:
        """Follow the positions of a batch. Those older than what was followed are left out; history has them."""
        batch = taken.record
        if not isinstance(batch, FrameBatch) or not batch.count or taken.decoder is None or taken.clock.source is None:
            return
        places = self._places(batch.vehicle, taken.decoder)
        session = self._sessions.of(batch.vehicle, batch.epoch, int(batch.frames.t_us.max()))
        if places is None or session is None or self._is_past(session, taken.arrival.lane):
            return
        self._follow_merged()
        driving = self._of(batch.vehicle, session.id, places)
        offset_us = taken.clock.offset_us
        numbers = taken.decoder.dbc_set.numbers
        columns = {}
        for name in driving.fixes.inputs:
            number = taken.aliases.index(numbers, name)
            if number is not None:
                t_us, values = taken.decoded.column(number)
                columns[name] = t_us + offset_us, values
        fixes = driving.fixes.step(columns, int(batch.frames.t_us.max()) + offset_us - LATE_US)
        if len(fixes.t_us):
            driving.is_changed = True
            self._note(batch, driving, driving.finder.step(fixes))

    def tick(self, now: Now) -> None:
        """Nothing depends on the clock."""

    def publish(self, append: Append, now: Now) -> None:
        """See WatchPart."""
        events, self._news.events = self._news.events, []
        arrival = Arrival(now.mono_us, now.utc_us, Lane.LIVE)
        for one in events:
            append(arrival, encode_record(one))

    def save(self, connection: Connection) -> None:
        """See WatchPart."""
        self._follow_merged()
        write_laps(connection, self._news.rows)
        for track in self._news.tracks:
            write_learned(connection, track)
        self._news.rows, self._news.tracks = [], []
        for vehicle in self._moved:
            write_lap_state(connection, vehicle, *self._saved[vehicle])
        self._moved.clear()
        for vehicle, driving in self._driving.items():
            finder = driving.finder.state() if driving.is_changed else None
            if finder is not None:
                state = {"finder": finder, "fixes": driving.fixes.state(), "before": driving.laps_before}
                write_lap_state(connection, vehicle, driving.session, state)
            driving.is_changed = False

    def _of(self, vehicle: str, session: str, places: MapChannels) -> _Driving:
        known = self._driving.get(vehicle)
        if known is None or known.session != session or known.places != places:
            known = _Driving(session, places, FixReader(places), LapFinder(list_tracks(self._db)))
            saved = self._saved.pop(vehicle, None)
            self._moved.discard(vehicle)
            if saved is not None and saved[0] == session:
                known.finder.resume(saved[1]["finder"])
                known.fixes.restore(saved[1]["fixes"])
                known.laps_before = saved[1].get("before", 0)
            self._driving[vehicle] = known
        return known

    def _is_past(self, session: Session, lane: Lane) -> bool:
        """True for what is backfilled of a session that began before the one that is followed and goes on."""
        vehicle = session.vehicle
        followed = self._driving[vehicle].session if vehicle in self._driving else self._saved.get(vehicle, ("",))[0]
        if lane != Lane.BACKFILL or not followed:
            return False
        other = self._sessions.get(self._sessions.id_now(followed))
        return (
            other is not None and other.id != session.id and other.is_open and session.utc_from_us < other.utc_from_us
        )

    def _follow_merged(self) -> None:
        """What is followed may be a part of an older session by now: its numbers go on after the laps of that one."""
        for driving in self._driving.values():
            was, now = driving.session, self._sessions.id_now(driving.session)
            if now != was:
                before = self._laps_of(now)
                self._news.rows = [
                    replace(row, session_id=now, number=row.number + before) if row.session_id == was else row
                    for row in self._news.rows
                ]
                driving.session, driving.laps_before = now, driving.laps_before + before
                driving.is_changed = True
        for vehicle, (was, state) in self._saved.items():
            now = self._sessions.id_now(was)
            if now != was:
                self._saved[vehicle] = now, {**state, "before": state.get("before", 0) + self._laps_of(now)}
                self._moved.add(vehicle)

    def _laps_of(self, session: str) -> int:
        with self._db.engine.connect() as connection:
            return last_lap(connection, session)

    def _note(self, batch: FrameBatch, driving: _Driving, step: LapStep) -> None:
        finder = driving.finder
        if finder.learned is not None and finder.learned not in self._news.tracks and step.laps:
            self._news.tracks.append(finder.learned)
        track = "" if finder.track is None else finder.track.id
        about = {"vehicle": batch.vehicle, "session_id": driving.session, "track_id": track}
        for lap in step.laps:
            row = LapRow(
                **about,
                utc_from_us=lap.t_from_us,
                utc_to_us=lap.t_to_us,
                number=lap.number + driving.laps_before,
                length_m=lap.length_m,
                is_whole=lap.is_whole,
                sectors_us=lap.sectors_us,
            )
            self._news.rows.append(row)
            self._news.events.append(_event(row, batch.epoch))
        for start in step.starts:
            row = LapRow(
                **about,
                utc_from_us=start.t_us,
                utc_to_us=0,
                number=start.number + driving.laps_before,
                length_m=0.0,
                is_whole=True,
                sectors_us=(),
            )
            if not any(lap.number >= start.number for lap in step.laps):
                self._news.events.append(_event(row, batch.epoch))

    def _places(self, vehicle: str, decoder: Decoder) -> MapChannels | None:
        return _places_of(self._db, vehicle, decoder)


@functools.lru_cache(maxsize=MAX_DECODERS)
def _places_of(db: Database, vehicle: str, decoder: Decoder) -> MapChannels | None:
    """The channels that place the vehicle, if these DBCs have them."""
    return map_channels(db, vehicle, decoder.channels)


def _event(row: LapRow, epoch: bytes) -> LapEvent:
    return LapEvent(
        vehicle=row.vehicle,
        epoch=epoch,
        session_id=row.session_id,
        track_id=row.track_id,
        lap=row.number,
        utc_from_us=row.utc_from_us,
        utc_to_us=row.utc_to_us,
        length_m=row.length_m,
        is_whole=row.is_whole,
        sectors_us=row.sectors_us,
    )
