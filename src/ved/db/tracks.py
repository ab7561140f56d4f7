"""Tracks: those that people drew or changed, and those that watch learned."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Row, Table, delete, insert, select

from ved.db.database import Database
from ved.db.edits import note_edit
from ved.db.insert import insert_if_new
from ved.db.tables import learned_tracks, tracks
from ved.model.track import Track, TrackLine

SUBJECT = "track"


def list_tracks(db: Database) -> list[Track]:
    """All tracks by name; what people made of a learned one stands in its place, or takes it away."""
    with db.engine.connect() as connection:
        drawn = connection.execute(select(tracks)).all()
        learned = connection.execute(select(learned_tracks)).all()
    edited = {row.id for row in drawn}
    rows = [row for row in drawn if not row.is_removed] + [row for row in learned if row.id not in edited]
    return sorted((_track(row) for row in rows), key=lambda one: (one.name, one.id))


def has_drawn_tracks(db: Database) -> bool:
    """True when people drew, changed or removed any."""
    with db.engine.connect() as connection:
        return connection.execute(select(tracks.c.id).limit(1)).first() is not None


def put_track(db: Database, track: Track, who: str) -> None:
    """Make or change a track."""
    before = next((one for one in list_tracks(db) if one.id == track.id), None)
    if before != track:
        _write(db, before, track, {**_values(track), "is_removed": False}, who)


def remove_track(db: Database, track_id: str, who: str) -> bool:
    """Take a track away, also from what watch learns; False when there is none."""
    before = next((one for one in list_tracks(db) if one.id == track_id), None)
    if before is None:
        return False
    _write(db, before, None, {**_values(before), "is_removed": True}, who)
    return True


def write_learned(connection: Connection, track: Track) -> None:
    """Keep a track that watch learned; one that is there already stays."""
    insert_if_new(connection, learned_tracks, _values(track))


def _write(db: Database, before: Track | None, after: Track | None, values: Mapping[str, Any], who: str) -> None:
    with db.engine.begin() as connection:
        _replace(connection, tracks, values)
        shown = [None if one is None else {"name": one.name, "lines": _lines(one)} for one in (before, after)]
        note_edit(connection, who, SUBJECT, str(values["id"]), *shown)


def _replace(connection: Connection, table: Table, values: Mapping[str, Any]) -> None:
    connection.execute(delete(table).where(table.c.id == values["id"]))
    connection.execute(insert(table).values(**values))


def _values(track: Track) -> dict[str, Any]:
    return {
        "id": track.id,
        "name": track.name,
        "lines": _lines(track),
        "reference": [list(place) for place in track.reference],
    }


def _lines(track: Track) -> list[dict[str, Any]]:
    return [{"start": list(line.start), "end": list(line.end), "is_one_way": line.is_one_way} for line in track.lines]


def _track(row: Row[Any]) -> Track:
    lines = tuple(TrackLine((*line["start"],), (*line["end"],), line["is_one_way"]) for line in row.lines)
    return Track(row.id, row.name, lines, tuple((north, east) for north, east in row.reference))
