"""Which sessions somebody asks for."""

from collections.abc import Sequence
from dataclasses import dataclass

from ved.db.database import Database
from ved.db.laps import LapRow, list_laps
from ved.db.notes import NO_NOTES, list_notes
from ved.db.tracks import list_tracks
from ved.model.session import Session


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a session must be like; None: anything. Texts are compared without regard to case."""

    track: str | None = None
    tag: str | None = None
    driver: str | None = None
    name: str | None = None
    moved: bool | None = None


def choose_sessions(db: Database, sessions: Sequence[Session], wanted: Wanted) -> list[Session]:
    """Those of `sessions` that are as `wanted`: parts of names, whole tags, a track's id or a part of its name."""
    if wanted == Wanted():
        return list(sessions)
    notes = list_notes(db)
    tracks = track_ids(db, sessions) if wanted.track is not None else {}
    names = {one.id: one.name for one in list_tracks(db)} if wanted.track is not None else {}
    out = []
    for session in sessions:
        about = notes.get(session.id, NO_NOTES)
        track = tracks.get(session.id, "")
        is_it = (
            (wanted.tag is None or wanted.tag.lower() in [tag.lower() for tag in about.tags])
            and _has(about.driver, wanted.driver)
            and _has(about.name, wanted.name)
            and (
                wanted.track is None
                or (bool(track) and (track == wanted.track or _has(names.get(track, ""), wanted.track)))
            )
            and (wanted.moved is None or wanted.moved == (session.moved_us != (0, 0)))
        )
        if is_it:
            out.append(session)
    return out


def track_ids(db: Database, sessions: Sequence[Session]) -> dict[str, str]:
    """Session id -> id of its track: what people say, else where watch found laps. Those without are left out."""
    notes = list_notes(db)
    laps = laps_of(list_laps(db), sessions)
    out = {}
    for session in sessions:
        driven = next((lap.track_id for lap in laps.get(session.id, ()) if lap.track_id), "")
        track = notes.get(session.id, NO_NOTES).track or driven
        if track:
            out[session.id] = track
    return out


def laps_of(laps: Sequence[LapRow], sessions: Sequence[Session]) -> dict[str, list[LapRow]]:
    """Session id -> the laps that watch saw in its time."""
    out: dict[str, list[LapRow]] = {}
    for session in sessions:
        own = [
            lap
            for lap in laps
            if lap.vehicle == session.vehicle and session.utc_from_us <= lap.utc_from_us <= session.utc_to_us
        ]
        if own:
            out[session.id] = own
    return out


def _has(text: str, part: str | None) -> bool:
    return part is None or part.lower() in text.lower()
