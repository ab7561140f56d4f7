"""The maths channels of vehicles: seeded from the vehicle's folder, then edited by people."""

from collections.abc import Sequence
from dataclasses import asdict

from sqlalchemy import Connection, delete, insert, select

from ved.db.database import Database
from ved.db.edits import note_edit
from ved.db.people_tables import edits
from ved.db.tables import maths_channels
from ved.model.maths import MathsDef

SUBJECT = "maths"


def list_maths(db: Database, vehicle: str) -> list[MathsDef]:
    """The maths channels of a vehicle by name."""
    with db.engine.connect() as connection:
        return _list(connection, vehicle)


def seed_maths(db: Database, vehicle: str, definitions: Sequence[MathsDef]) -> None:
    """Give a vehicle the maths channels of its folder, unless it has any or people changed them."""
    with db.engine.begin() as connection:
        was_edited = connection.execute(
            select(edits.c.id).where(edits.c.subject == SUBJECT, edits.c.key.startswith(f"{vehicle}/")).limit(1)
        ).first()
        if was_edited is None and not _list(connection, vehicle):
            for one in definitions:
                connection.execute(insert(maths_channels).values(vehicle=vehicle, **asdict(one)))


def put_maths(db: Database, vehicle: str, definition: MathsDef, who: str, *, is_new: bool = False) -> bool:
    """Make or change a maths channel; False where it shall be a new one and there is one with this name."""
    with db.engine.begin() as connection:
        if is_new and any(one.name == definition.name for one in _list(connection, vehicle)):
            return False
        _replace(connection, vehicle, definition.name, definition, who)
        return True


def remove_maths(db: Database, vehicle: str, name: str, who: str) -> bool:
    """Take a maths channel away; False when there is none."""
    with db.engine.begin() as connection:
        return _replace(connection, vehicle, name, None, who)


def _list(connection: Connection, vehicle: str) -> list[MathsDef]:
    wanted = select(maths_channels).where(maths_channels.c.vehicle == vehicle).order_by(maths_channels.c.name)
    return [MathsDef(row.name, row.expression, row.unit, row.comment) for row in connection.execute(wanted)]


def _replace(connection: Connection, vehicle: str, name: str, new: MathsDef | None, who: str) -> bool:
    old = next((one for one in _list(connection, vehicle) if one.name == name), None)
    if old == new:
        return old is not None
    here = (maths_channels.c.vehicle == vehicle) & (maths_channels.c.name == name)
    connection.execute(delete(maths_channels).where(here))
    if new is not None:
        connection.execute(insert(maths_channels).values(vehicle=vehicle, **asdict(new)))
    before, after = (None if one is None else asdict(one) for one in (old, new))
    note_edit(connection, who, SUBJECT, f"{vehicle}/{name}", before, after)
    return True
