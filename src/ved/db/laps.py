"""Laps as they were driven past watch."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from ved.db.database import Database
from ved.db.tables import lap_states, laps


@dataclass(frozen=True, slots=True)
class LapRow:
    """One lap of a vehicle: times in UTC, the session (as watch found it) and the track; `track_id` may be empty."""

    vehicle: str
    utc_from_us: int
    utc_to_us: int
    session_id: str
    track_id: str
    number: int
    length_m: float
    is_whole: bool
    sectors_us: tuple[int, ...]


def list_laps(db: Database, vehicle: str | None = None) -> list[LapRow]:
    """The laps by time, of one vehicle or of all."""
    wanted = select(laps).order_by(laps.c.utc_from_us)
    if vehicle is not None:
        wanted = wanted.where(laps.c.vehicle == vehicle)
    with db.engine.connect() as connection:
        rows = connection.execute(wanted).mappings().all()
    return [LapRow(**{**row, "sectors_us": tuple(row["sectors_us"])}) for row in rows]


def last_lap(connection: Connection, session: str) -> int:
    """The greatest number of a lap of a session (as watch found it); 0: it has none."""
    wanted = select(func.max(laps.c.number)).where(laps.c.session_id == session)
    return connection.execute(wanted).scalar_one() or 0


def move_laps(connection: Connection, session: str, into: str) -> None:
    """The laps of a session are those of another one that began before it: their numbers go on there."""
    change = update(laps).where(laps.c.session_id == session)
    connection.execute(change.values(session_id=into, number=laps.c.number + last_lap(connection, into)))


def write_laps(connection: Connection, rows: Sequence[LapRow]) -> None:
    """Keep laps; one of the same vehicle and begin is replaced."""
    for row in rows:
        here = (laps.c.vehicle == row.vehicle) & (laps.c.utc_from_us == row.utc_from_us)
        connection.execute(delete(laps).where(here))
        connection.execute(insert(laps).values(**{**asdict(row), "sectors_us": list(row.sectors_us)}))


def read_lap_states(db: Database) -> dict[str, tuple[str, dict[str, Any]]]:
    """Vehicle -> (session, what watch needs to go on with its laps)."""
    with db.engine.connect() as connection:
        return {row.vehicle: (row.session_id, row.state) for row in connection.execute(select(lap_states))}


def write_lap_state(connection: Connection, vehicle: str, session: str, state: dict[str, Any]) -> None:
    """Keep what watch needs to go on."""
    connection.execute(delete(lap_states).where(lap_states.c.vehicle == vehicle))
    connection.execute(insert(lap_states).values(vehicle=vehicle, session_id=session, state=state))
