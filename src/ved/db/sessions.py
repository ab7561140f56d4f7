"""Sessions: as watch found them (each row is replaced as its session grows), and as people cut and joined them."""

from collections.abc import Sequence

from sqlalchemy import Connection, delete, func, insert, select, update

from ved.analysis.sessions import arrange
from ved.db.arrangement import epoch_offsets, list_cuts, list_joins
from ved.db.database import Database
from ved.db.insert import insert_if_new
from ved.db.tables import session_parts, sessions
from ved.model.session import Session, SessionPart


def save_sessions(db: Database, rows: Sequence[Session]) -> None:
    """Write these sessions as they are now, all or none."""
    with db.engine.begin() as connection:
        write_sessions(connection, rows)


def write_sessions(connection: Connection, rows: Sequence[Session]) -> None:
    """As `save_sessions`, in the transaction of `connection`."""
    for row in rows:
        _save(connection, row)


def found_sessions(db: Database, vehicle: str | None = None) -> list[Session]:
    """Sessions as watch found them, by start, of one vehicle or of all."""
    wanted = select(sessions).order_by(sessions.c.utc_from_us, sessions.c.id)
    if vehicle is not None:
        wanted = wanted.where(sessions.c.vehicle == vehicle)
    with db.engine.connect() as connection:
        rows = connection.execute(wanted).all()
        parts: dict[str, list[SessionPart]] = {}
        for part in connection.execute(select(session_parts).order_by(session_parts.c.t_from_us)):
            parts.setdefault(part.session_id, []).append(SessionPart(part.epoch, part.t_from_us, part.t_to_us))
    return [
        Session(
            id=row.id,
            vehicle=row.vehicle,
            utc_from_us=row.utc_from_us,
            utc_to_us=row.utc_to_us,
            is_open=row.is_open,
            parts=tuple(parts.get(row.id, ())),
            moved_us=(row.moved_from_us, row.moved_to_us),
        )
        for row in rows
    ]


def list_sessions(db: Database, vehicle: str | None = None) -> list[Session]:
    """Sessions as people cut and joined them, by start, of one vehicle or of all."""
    return arrange(found_sessions(db, vehicle), list_cuts(db), list_joins(db), epoch_offsets(db))


def find_session(db: Database, name: str) -> Session | None:
    """The session of this id, as people cut and joined them, or the one that it is a part of by now."""
    known, joins, seen = {one.id: one for one in list_sessions(db)}, list_joins(db), set[str]()
    while name not in known and name in joins and name not in seen:
        seen.add(name)
        name = joins[name]
    return known.get(name)


def count_sessions(db: Database) -> int:
    """How many sessions there are."""
    with db.engine.connect() as connection:
        return int(connection.execute(select(func.count()).select_from(sessions)).scalar_one())


def _save(connection: Connection, row: Session) -> None:
    values = {
        "vehicle": row.vehicle,
        "utc_from_us": row.utc_from_us,
        "utc_to_us": row.utc_to_us,
        "is_open": row.is_open,
        "moved_from_us": row.moved_us[0],
        "moved_to_us": row.moved_us[1],
    }
    if not insert_if_new(connection, sessions, {"id": row.id, **values}):
        connection.execute(update(sessions).where(sessions.c.id == row.id).values(**values))
    connection.execute(delete(session_parts).where(session_parts.c.session_id == row.id))
    for part in row.parts:
        connection.execute(
            insert(session_parts).values(
                session_id=row.id, epoch=part.epoch, t_from_us=part.t_from_us, t_to_us=part.t_to_us
            )
        )
