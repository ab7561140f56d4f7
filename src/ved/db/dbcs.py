"""The registry: DBC texts by content, and which of them hold for the buses of a vehicle, from when to when.

Assignments are a history: rows are added, never changed or taken away. Of those of a bus that cover a time, the newest
holds. Times are UTC in µs since 1970, from <= t < to; None is an open end.
"""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, insert, select

from ved.db.database import Database
from ved.db.insert import insert_if_new
from ved.db.tables import channel_aliases, dbc_assignments, dbc_files


@dataclass(frozen=True, slots=True)
class DbcRow:
    """A stored DBC file."""

    digest: str
    name: str
    text: str


@dataclass(frozen=True, slots=True)
class DbcFile:
    """A stored DBC text under the name that it had when it was assigned."""

    digest: str
    name: str


@dataclass(frozen=True, slots=True)
class AssignmentDraft:
    """`files` shall hold for a bus, in this order (none: each epoch's own DBCs do), and who says so, and why."""

    vehicle: str
    bus_index: int
    bus_name: str
    files: tuple[DbcFile, ...]
    author: str
    note: str = ""
    valid_from_us: int | None = None
    valid_to_us: int | None = None


@dataclass(frozen=True, slots=True)
class Assignment:
    """An entry of the registry's history."""

    id: int
    vehicle: str
    bus_index: int
    bus_name: str
    files: tuple[DbcFile, ...]
    author: str
    note: str
    valid_from_us: int | None
    valid_to_us: int | None
    created_utc_us: int

    def covers(self, utc_us: int) -> bool:
        """True when it is said of this time."""
        return (self.valid_from_us is None or self.valid_from_us <= utc_us) and (
            self.valid_to_us is None or utc_us < self.valid_to_us
        )


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


def find_dbcs(db: Database, start: str) -> list[DbcFile]:
    """The stored DBCs whose digest begins with `start`."""
    with db.engine.connect() as connection:
        rows = connection.execute(
            select(dbc_files.c.digest, dbc_files.c.name).where(dbc_files.c.digest.startswith(start, autoescape=True))
        ).all()
    return [DbcFile(row.digest, row.name) for row in rows]


def assign_dbc(db: Database, draft: AssignmentDraft) -> int:
    """Add an entry to the history; returns its number."""
    values = {
        "vehicle": draft.vehicle,
        "bus_index": draft.bus_index,
        "bus_name": draft.bus_name,
        "files": [[file.digest, file.name] for file in draft.files],
        "valid_from_us": draft.valid_from_us,
        "valid_to_us": draft.valid_to_us,
        "created_utc_us": time.time_ns() // 1000,
        "author": draft.author,
        "note": draft.note,
    }
    with db.engine.begin() as connection:
        made = connection.execute(insert(dbc_assignments).values(**values)).inserted_primary_key
    assert made is not None
    return int(made[0])


def assignments(db: Database, vehicle: str) -> list[Assignment]:
    """The whole history of a vehicle, oldest first."""
    with db.engine.connect() as connection:
        rows = connection.execute(
            select(dbc_assignments).where(dbc_assignments.c.vehicle == vehicle).order_by(dbc_assignments.c.id)
        ).all()
    return [
        Assignment(
            id=row.id,
            vehicle=row.vehicle,
            bus_index=row.bus_index,
            bus_name=row.bus_name,
            files=tuple(DbcFile(digest, name) for digest, name in row.files),
            author=row.author,
            note=row.note,
            valid_from_us=row.valid_from_us,
            valid_to_us=row.valid_to_us,
            created_utc_us=row.created_utc_us,
        )
        for row in rows
    ]


def registry_revision(db: Database, vehicle: str) -> tuple[int, int]:
    """Grows when an assignment or an alias is added: numbers of the newest of each (0: none)."""
    with db.engine.connect() as connection:
        return (
            connection.execute(
                select(func.coalesce(func.max(dbc_assignments.c.id), 0)).where(dbc_assignments.c.vehicle == vehicle)
            ).scalar_one(),
            connection.execute(
                select(func.coalesce(func.max(channel_aliases.c.id), 0)).where(channel_aliases.c.vehicle == vehicle)
            ).scalar_one(),
        )


def registries_mark(db: Database) -> tuple[int, int]:
    """As `registry_revision`, of all vehicles together: while it stays the same, no vehicle's has changed."""
    with db.engine.connect() as connection:
        newest = select(
            select(func.coalesce(func.max(dbc_assignments.c.id), 0)).scalar_subquery(),
            select(func.coalesce(func.max(channel_aliases.c.id), 0)).scalar_subquery(),
        )
        assigned, aliases = connection.execute(newest).one()
        return int(assigned), int(aliases)


def add_aliases(db: Database, vehicle: str, renames: Sequence[tuple[str, str]], author: str) -> None:
    """From now on each first name stands for the channel of the second."""
    now_us = time.time_ns() // 1000
    values = [
        {"vehicle": vehicle, "name": name, "target": target, "created_utc_us": now_us, "author": author}
        for name, target in renames
        if name != target
    ]
    if values:
        with db.engine.begin() as connection:
            connection.execute(insert(channel_aliases), values)


def list_aliases(db: Database, vehicle: str) -> list[tuple[str, str]]:
    """All (name, target) of a vehicle, oldest first."""
    with db.engine.connect() as connection:
        rows = connection.execute(
            select(channel_aliases.c.name, channel_aliases.c.target)
            .where(channel_aliases.c.vehicle == vehicle)
            .order_by(channel_aliases.c.id)
        ).all()
    return [(row.name, row.target) for row in rows]
