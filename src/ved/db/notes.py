"""What people do with sessions: notes, splitting, merging. Every change stands in the list of edits."""

from dataclasses import asdict, replace
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select

from ved.analysis.sessions import arrange, session_id
from ved.db.arrangement import epoch_offsets, list_cuts, list_joins, write_cut, write_join
from ved.db.database import Database
from ved.db.edits import note_edit
from ved.db.invitations import move_guests
from ved.db.sessions import find_session, found_sessions, list_sessions
from ved.db.tables import session_notes
from ved.errors import UserError
from ved.model.session import Cut, Notes, Session

SUBJECT = "session"
NO_NOTES = Notes()


def list_notes(db: Database) -> dict[str, Notes]:
    """Notes by session id."""
    with db.engine.connect() as connection:
        return read_notes(connection)


def read_notes(connection: Connection) -> dict[str, Notes]:
    """As `list_notes`, in the transaction of `connection`."""
    return {row.session_id: _notes(row) for row in connection.execute(select(session_notes))}


def get_notes(db: Database, session: str) -> Notes:
    """The notes of a session, empty where nobody wrote any."""
    return list_notes(db).get(session, NO_NOTES)


def put_notes(db: Database, session: str, notes: Notes, who: str) -> None:
    """Write the notes of a session."""
    before = get_notes(db, session)
    if before == notes:
        return
    with db.engine.begin() as connection:
        write_notes(connection, session, notes)
        note_edit(connection, who, SUBJECT, session, _shown(before), _shown(notes))


def split_session(db: Database, session: str, utc_us: int, who: str) -> str:
    """From this time on it is another session; returns that one's id. UserError when the time does not lie inside."""
    whole = _find(db, session)
    session = whole.id
    offset_us = epoch_offsets(db)
    begins = [part.t_from_us + offset_us(whole.vehicle, part.epoch) for part in whole.parts]
    ends = [part.t_to_us + offset_us(whole.vehicle, part.epoch) for part in whole.parts]
    after = [at for at, end in enumerate(ends) if end >= utc_us]
    if not after or utc_us <= min(begins):
        raise UserError(f"session {session}: the time of the cut must lie inside it")
    at = min(after, key=lambda one: begins[one])
    part = whole.parts[at]
    cut = Cut("", whole.vehicle, part.epoch, max(part.t_from_us, utc_us - offset_us(whole.vehicle, part.epoch)))
    cut = replace(cut, session_id=session_id(cut.vehicle, cut.epoch, cut.t_us))
    joins, edge_us = list_joins(db), max(begins[at], utc_us)
    # What was joined to the session after the cut goes with the new one; where it begins there, that one is new itself.
    followers = [one for one in _members(db, session, joins) if one.id != session and one.utc_from_us >= edge_us]
    own = next((one.id for one in followers if one.utc_from_us == edge_us), None)
    with db.engine.begin() as connection:
        if own is None:
            write_cut(connection, cut)
        new_id = own or cut.session_id
        for one in followers:
            write_join(connection, one.id, None if one.id == new_id else new_id)
        note_edit(connection, who, SUBJECT, session, None, {"split": new_id, "utc_us": utc_us})
    return new_id


def merge_sessions(db: Database, first: str, second: str, who: str) -> str:
    """Make one of two sessions that follow each other; returns its id, that of the earlier. UserError."""
    one, other = sorted((_find(db, first), _find(db, second)), key=lambda session: session.utc_from_us)
    if one.id == other.id:
        raise UserError(f"session {first}: cannot be merged with itself")
    if one.vehicle != other.vehicle:
        raise UserError(f"session {other.id}: is of {other.vehicle}, and {one.id} of {one.vehicle}; not to be merged")
    between = [
        session.id
        for session in list_sessions(db, one.vehicle)
        if one.utc_from_us < session.utc_from_us < other.utc_from_us
    ]
    if between:
        raise UserError(f"session {between[0]}: lies between {one.id} and {other.id}; merge them one after the other")
    notes = list_notes(db)
    kept, gone = notes.get(one.id, NO_NOTES), notes.get(other.id, NO_NOTES)
    with db.engine.begin() as connection:
        write_join(connection, other.id, one.id)
        move_guests(connection, other.id, one.id)
        write_notes(connection, one.id, joined_notes(kept, gone))
        note_edit(connection, who, SUBJECT, one.id, None, {"merged": other.id})
    return one.id


def _find(db: Database, session: str) -> Session:
    found = find_session(db, session)
    if found is None:
        raise UserError(f"session '{session}': there is none")
    return found


def _members(db: Database, session: str, joins: dict[str, str]) -> list[Session]:
    """The sessions, cut but not joined, that make up this one."""
    pieces = arrange(found_sessions(db), list_cuts(db), {}, epoch_offsets(db))
    return [one for one in pieces if _follows(one.id, session, joins)]


def _follows(one: str, session: str, joins: dict[str, str]) -> bool:
    seen: set[str] = set()
    while one != session and one in joins and one not in seen:
        seen.add(one)
        one = joins[one]
    return one == session


def joined_notes(kept: Notes, gone: Notes) -> Notes:
    """What is said of two sessions that are one now; where both have a name, a driver…, that of `kept` holds."""
    texts = {name: getattr(kept, name) or getattr(gone, name) for name in ("name", "driver", "track", "setup")}
    notes = "\n".join(text for text in (kept.notes, gone.notes) if text)
    return Notes(**texts, notes=notes, tags=tuple(dict.fromkeys((*kept.tags, *gone.tags))))


def write_notes(connection: Connection, session: str, notes: Notes) -> None:
    """Replace the notes of a session, in the transaction of `connection`."""
    connection.execute(delete(session_notes).where(session_notes.c.session_id == session))
    if notes != NO_NOTES:
        connection.execute(insert(session_notes).values(session_id=session, **_shown(notes)))


def _shown(notes: Notes) -> dict[str, Any]:
    return {**asdict(notes), "tags": list(notes.tags)}


def _notes(row: Row[Any]) -> Notes:
    return Notes(row.name, row.driver, row.track, row.setup, row.notes, tuple(row.tags))
