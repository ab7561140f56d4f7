"""How each role is: its newest figures, written by itself about once per second."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, select, update

from ved.db.database import Database
from ved.db.insert import insert_if_new
from ved.db.tables import buses, role_health, vehicle_health


@dataclass(frozen=True, slots=True)
class RoleRow:
    """Figures by name as a role wrote them at `utc_us`; names that end in `_total` are counters."""

    role: str
    utc_us: int
    figures: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class VehicleRow:
    """Figures of a vehicle's link and buses by channel, as watch made them at `utc_us`; its newest live frame came at
    `heard_utc_us`.
    """

    vehicle: str
    utc_us: int
    heard_utc_us: int
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


def write_vehicle_health(connection: Connection, row: VehicleRow) -> None:
    """Replace the vehicle's figures."""
    values = {"utc_us": row.utc_us, "heard_utc_us": row.heard_utc_us, "figures": dict(row.figures)}
    if not insert_if_new(connection, vehicle_health, {"vehicle": row.vehicle, **values}):
        connection.execute(update(vehicle_health).where(vehicle_health.c.vehicle == row.vehicle).values(**values))


def read_vehicle_health(connection: Connection) -> list[VehicleRow]:
    """The figures of all vehicles, by name."""
    rows = connection.execute(select(vehicle_health).order_by(vehicle_health.c.vehicle))
    return [VehicleRow(row.vehicle, row.utc_us, row.heard_utc_us, row.figures) for row in rows]


def bus_bitrates(connection: Connection, vehicle: str) -> dict[int, tuple[str, int]]:
    """Name and nominal bit rate (bit/s) of each bus that the vehicle's folder tells, by index."""
    rows = connection.execute(select(buses).where(buses.c.vehicle == vehicle))
    return {row.bus_index: (row.name, row.bitrate_hz) for row in rows}
