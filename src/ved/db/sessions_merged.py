"""Two sessions that watch found turn out to be one: what points at the id that goes, points at the other."""

from typing import Final

from sqlalchemy import Connection, delete, select

from ved.analysis.sessions import arrange
from ved.db.arrangement import epoch_offsets, list_cuts, read_joins, write_join
from ved.db.database import Database
from ved.db.edits import note_edit
from ved.db.invitations import move_guests
from ved.db.laps import move_laps
from ved.db.notes import NO_NOTES, SUBJECT, joined_notes, read_notes, write_notes
from ved.db.tables import session_parts, sessions
from ved.model.session import Session

WHO: Final = "watch"


def absorb_session(db: Database, connection: Connection, gone: str, into: Session) -> None:
    """`gone` is a part of `into` from now on, in the transaction of `connection`; one that was never saved is nothing.

    Its laps go to the session; its notes, guest links to it and what was joined to it go there too, or to the piece
    that people cut of it in whose time `gone` began. A join stays, so that the id still leads there.
    """
    began_us = connection.execute(select(sessions.c.utc_from_us).where(sessions.c.id == gone)).scalar_one_or_none()
    if began_us is None:
        return
    pieces = arrange([into], list_cuts(db), {}, epoch_offsets(db))
    target = next((one for one in reversed(pieces) if one.utc_from_us <= began_us), pieces[0]).id
    connection.execute(delete(session_parts).where(session_parts.c.session_id == gone))
    connection.execute(delete(sessions).where(sessions.c.id == gone))
    move_laps(connection, gone, into.id)
    move_guests(connection, gone, target)
    notes = read_notes(connection)
    if gone in notes:
        write_notes(connection, gone, NO_NOTES)
        write_notes(connection, target, joined_notes(notes.get(target, NO_NOTES), notes[gone]))
    _join(connection, gone, target)
    note_edit(connection, WHO, SUBJECT, target, None, {"merged": gone})


def _join(connection: Connection, gone: str, target: str) -> None:
    """What continued `gone` continues `target`, and so does its id; a ring that this would make is cut open."""
    joins = read_joins(connection)
    joined = {name: target if into == gone else into for name, into in joins.items()} | {gone: target}
    at, seen = joined.get(target), set[str]()
    while at is not None and at != target and at not in seen:
        seen.add(at)
        at = joined.get(at)
    if at == target:
        del joined[target]
    for name in {*joins, *joined}:
        if joins.get(name) != joined.get(name):
            write_join(connection, name, joined.get(name))
