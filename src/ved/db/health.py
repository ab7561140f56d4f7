"""How each role is: its newest figures, written by itself about once per second."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, select, update

from ved.db.database import Database
from ved.db.insert import insert_if_new
from ved.db.tables import buses, role_health


@dataclass(frozen=True, slots=True)
class RoleRow:
    """Figures by name as a role wrote them at `utc_us`; names that end in `_total` are counters."""

    role: str
    utc_us: int
    figures: Mapping[str, float]


def write_health(db: Database, row: RoleRow) -> None:
    """Replace the role's figures."""
    values = {"utc_us": row.utc_us, "figures": dict(row.figures)}
    with db.engine.begin() as connection:
        if not insert_if_new(connection, role_health, {"role": row.role, **values}):
            connection.execute(update(role_health).where(role_health.c.role == row.role).values(**values))


def read_health(connection: Connection) -> list[RoleRow]:
    """The figures of all roles, by name."""
    rows = connection.execute(select(role_health).order_by(role_health.c.role))
    return [RoleRow(row.role, row.utc_us, row.figures) for row in rows]


def bus_bitrates(connection: Connection, vehicle: str) -> dict[int, tuple[str, int]]:
    """Name and nominal bit rate (bit/s) of each bus that the vehicle's folder tells, by index."""
    rows = connection.execute(select(buses).where(buses.c.vehicle == vehicle))
    return {row.bus_index: (row.name, row.bitrate_hz) for row in rows}
