"""DBC files by content, and which of them hold for the buses of a vehicle."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import delete, insert, select

from ved.db.database import Database
from ved.db.insert import insert_if_new
from ved.db.tables import dbc_assignments, dbc_files


@dataclass(frozen=True, slots=True)
class DbcRow:
    """A stored DBC file."""

    digest: str
    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Assignment:
    """The DBCs in force for one bus, in order."""

    bus_index: int
    bus_name: str
    digests: tuple[str, ...]


def put_dbc(db: Database, name: str, text: str) -> str:
    """Store a DBC text once; returns its SHA-256 (hex of the UTF-8 bytes)."""
    digest = hashlib.sha256(text.encode()).hexdigest()
    with db.engine.begin() as connection:
        insert_if_new(connection, dbc_files, {"digest": digest, "name": name, "text": text})
    return digest


def get_dbc(db: Database, digest: str) -> DbcRow:
    """The DBC with this digest; KeyError when it was never stored."""
    with db.engine.connect() as connection:
        row = connection.execute(select(dbc_files).where(dbc_files.c.digest == digest)).one_or_none()
    if row is None:
        raise KeyError(digest)
    return DbcRow(row.digest, row.name, row.text)


def assign_dbc(db: Database, vehicle: str, bus_index: int, bus_name: str, digests: Sequence[str]) -> None:
    """Put `digests` in force for a bus, in place of what was there."""
    with db.engine.begin() as connection:
        connection.execute(
            delete(dbc_assignments).where(
                dbc_assignments.c.vehicle == vehicle, dbc_assignments.c.bus_index == bus_index
            )
        )
        connection.execute(
            insert(dbc_assignments).values(
                vehicle=vehicle, bus_index=bus_index, bus_name=bus_name, digests=list(digests)
            )
        )


def assignments(db: Database, vehicle: str) -> list[Assignment]:
    """The DBCs in force for each bus of a vehicle, by bus index."""
    with db.engine.connect() as connection:
        rows = connection.execute(
            select(dbc_assignments).where(dbc_assignments.c.vehicle == vehicle).order_by(dbc_assignments.c.bus_index)
        ).all()
    return [Assignment(row.bus_index, row.bus_name, tuple(row.digests)) for row in rows]
