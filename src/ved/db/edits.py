"""The list of what people changed."""

import time
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert, select

from ved.db.database import Database
from ved.db.people_tables import edits


@dataclass(frozen=True, slots=True)
class Edit:
    """One change: who, of what (subject and key), and how it was before and after; None: not there."""

    utc_us: int
    who: str
    subject: str
    key: str
    before: Any
    after: Any


def note_edit(connection: Connection, who: str, subject: str, key: str, before: Any, after: Any) -> None:
    """Keep a change, in the transaction that makes it."""
    row = {
        "utc_us": time.time_ns() // 1000,
        "who": who,
        "subject": subject,
        "key": key,
        "before": before,
        "after": after,
    }
    connection.execute(insert(edits).values(**row))


def list_edits(db: Database, subject: str, key: str) -> list[Edit]:
    """The changes of one thing, oldest first."""
    wanted = select(edits).where(edits.c.subject == subject, edits.c.key == key).order_by(edits.c.id)
    with db.engine.connect() as connection:
        rows = connection.execute(wanted).all()
    return [Edit(row.utc_us, row.who, row.subject, row.key, row.before, row.after) for row in rows]


def newest_edits(db: Database, most: int) -> list[Edit]:
    """The newest changes of everything, newest first."""
    with db.engine.connect() as connection:
        rows = connection.execute(select(edits).order_by(edits.c.id.desc()).limit(most)).all()
    return [Edit(row.utc_us, row.who, row.subject, row.key, row.before, row.after) for row in rows]
