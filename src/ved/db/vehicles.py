"""Vehicles: seeded once from their folders, then edited by people."""

from dataclasses import asdict, dataclass
from typing import Any, Final

from sqlalchemy import Row, select

from ved.db.alarmrules import seed_rules
from ved.db.database import Database
from ved.db.dbcs import AssignmentDraft, DbcFile, add_aliases, assign_dbc, put_dbc
from ved.db.insert import insert_if_new
from ved.db.maths import seed_maths
from ved.db.tables import buses, vehicles
from ved.db.texts import seed_texts
from ved.model.vehicle import ChartPanel, MapChannels, Vehicle

SEEDED_BY: Final = "ved"


@dataclass(frozen=True, slots=True)
class VehicleRow:
    """A vehicle as the page shows it."""

    name: str
    title_en: str
    title_fr: str
    map: MapChannels | None
    charts: tuple[ChartPanel, ...]


def ensure_vehicle(db: Database, vehicle: Vehicle) -> None:
    """Make the vehicle with its DBCs and layout, unless one of that name is there already."""
    with db.engine.begin() as connection:
        is_new = insert_if_new(
            connection,
            vehicles,
            {
                "name": vehicle.name,
                "title_en": vehicle.title_en,
                "title_fr": vehicle.title_fr,
                "map": None if vehicle.map is None else asdict(vehicle.map),
                "charts": [asdict(panel) for panel in vehicle.charts],
            },
        )
        for bus in vehicle.buses:  # also those of a vehicle that an earlier version made known
            key = {"vehicle": vehicle.name, "bus_index": bus.index}
            insert_if_new(connection, buses, {**key, "name": bus.name, "bitrate_hz": bus.bitrate_hz})
    if is_new:
        for bus in vehicle.buses:
            named = zip(bus.dbc_names, bus.dbc_texts, strict=True)
            files = tuple(DbcFile(put_dbc(db, name, text), name) for name, text in named)
            note = "from the vehicle's folder"
            assign_dbc(db, AssignmentDraft(vehicle.name, bus.index, bus.name, files, SEEDED_BY, note))
        add_aliases(db, vehicle.name, vehicle.aliases, SEEDED_BY)
    seed_maths(db, vehicle.name, vehicle.maths)
    seed_rules(db, vehicle.name, vehicle.rules)
    seed_texts(db, vehicle.name, vehicle.texts)


def ensure_vehicle_name(db: Database, name: str) -> None:
    """Make a bare vehicle of this name, unless it is there already."""
    ensure_vehicle(db, Vehicle(name=name, title_en=name, title_fr=name, buses=()))


def list_vehicles(db: Database) -> list[VehicleRow]:
    """All vehicles by name."""
    with db.engine.connect() as connection:
        return [_row(row) for row in connection.execute(select(vehicles).order_by(vehicles.c.name))]


def get_vehicle(db: Database, name: str) -> VehicleRow | None:
    """One vehicle, or None."""
    with db.engine.connect() as connection:
        row = connection.execute(select(vehicles).where(vehicles.c.name == name)).one_or_none()
    return None if row is None else _row(row)


def _row(row: Row[Any]) -> VehicleRow:
    charts = tuple(ChartPanel(chart["title_en"], chart["title_fr"], tuple(chart["channels"])) for chart in row.charts)
    return VehicleRow(row.name, row.title_en, row.title_fr, None if row.map is None else MapChannels(**row.map), charts)
