"""Where people cut and joined sessions."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from ved.db.database import Database
from ved.db.epochs import clock_pairs
from ved.db.tables import session_cuts, session_joins
from ved.model.clockmap import ClockMap
from ved.model.session import Cut


def list_cuts(db: Database) -> list[Cut]:
    """All cuts."""
    with db.engine.connect() as connection:
        rows = connection.execute(select(session_cuts)).all()
    return [Cut(row.session_id, row.vehicle, row.epoch, row.t_us) for row in rows]


def list_joins(db: Database) -> dict[str, str]:
    """Id of a session -> id of the one that it continues."""
    with db.engine.connect() as connection:
        return read_joins(connection)


def read_joins(connection: Connection) -> dict[str, str]:
    """As `list_joins`, in the transaction of `connection`."""
    return {row.session_id: row.into_id for row in connection.execute(select(session_joins))}


def epoch_offsets(db: Database) -> Callable[[str, bytes], int]:
    """From an epoch's time to UTC, by its best clock; looked up once each."""
    known: dict[tuple[str, bytes], int] = {}

    def offset_us(vehicle: str, epoch: bytes) -> int:
        key = vehicle, epoch
        if key not in known:
            known[key] = ClockMap.best(clock_pairs(db, vehicle, epoch)).offset_us
        return known[key]

    return offset_us


def write_cut(connection: Connection, cut: Cut) -> None:
    """Keep a cut."""
    connection.execute(delete(session_cuts).where(session_cuts.c.session_id == cut.session_id))
    row: dict[str, Any] = {"session_id": cut.session_id, "vehicle": cut.vehicle, "epoch": cut.epoch, "t_us": cut.t_us}
    connection.execute(insert(session_cuts).values(**row))


def write_join(connection: Connection, session_id: str, into_id: str | None) -> None:
    """`session_id` continues `into_id` (None: no other)."""
    connection.execute(delete(session_joins).where(session_joins.c.session_id == session_id))
    if into_id is not None:
        connection.execute(insert(session_joins).values(session_id=session_id, into_id=into_id))
