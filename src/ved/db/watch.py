"""How far watch has read the stream `frames`: moved in the transaction that saves what it found there."""

from sqlalchemy import Connection, delete, select, update

from ved.db.database import Database
from ved.db.insert import insert_if_new
from ved.db.tables import watch_positions


def read_position(db: Database, name: str) -> int | None:
    """The position that reader `name` reads next, None when it never saved one."""
    with db.engine.connect() as connection:
        found = connection.execute(select(watch_positions.c.position).where(watch_positions.c.name == name)).scalar()
    return None if found is None else int(found)


def forget_position(db: Database, name: str) -> None:
    """As if it had never been saved."""
    with db.engine.begin() as connection:
        connection.execute(delete(watch_positions).where(watch_positions.c.name == name))


def write_position(connection: Connection, name: str, position: int) -> None:
    """Move it."""
    if not insert_if_new(connection, watch_positions, {"name": name, "position": position}):
        connection.execute(update(watch_positions).where(watch_positions.c.name == name).values(position=position))
