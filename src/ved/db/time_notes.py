"""Notes on the time line of a vehicle: what somebody saw, at that time, for all."""

import time
from dataclasses import dataclass

from sqlalchemy import delete, insert, select

from ved.db.database import Database
from ved.db.people_tables import time_notes


@dataclass(frozen=True, slots=True)
class TimeNote:
    """Times are UTC in µs."""

    id: int
    utc_us: int
    text: str
    author_id: int
    author: str


def list_time_notes(db: Database, vehicle: str, from_us: int, to_us: int, most: int) -> list[TimeNote]:
    """Notes from `from_us` to `to_us`, the newest `most` of them, by time."""
    wanted = (
        select(time_notes)
        .where(time_notes.c.vehicle == vehicle, time_notes.c.utc_us >= from_us, time_notes.c.utc_us <= to_us)
        .order_by(time_notes.c.utc_us.desc(), time_notes.c.id.desc())
        .limit(most)
    )
    with db.engine.connect() as connection:
        rows = connection.execute(wanted).all()
    return [TimeNote(row.id, row.utc_us, row.text, row.author_id, row.author) for row in reversed(rows)]


def add_time_note(db: Database, vehicle: str, utc_us: int, text: str, author: tuple[int, str]) -> int:
    """The id of the new note; `author` is a user's id and name."""
    with db.engine.begin() as connection:
        made = connection.execute(
            insert(time_notes).values(
                vehicle=vehicle,
                utc_us=utc_us,
                text=text,
                author_id=author[0],
                author=author[1],
                created_utc_us=time.time_ns() // 1000,
            )
        ).inserted_primary_key
    assert made is not None
    return int(made[0])


def delete_time_note(db: Database, note_id: int, author_id: int | None) -> bool:
    """Delete a note, of this author unless None; False when there is no such one."""
    gone = delete(time_notes).where(time_notes.c.id == note_id)
    if author_id is not None:
        gone = gone.where(time_notes.c.author_id == author_id)
    with db.engine.begin() as connection:
        return connection.execute(gone).rowcount == 1
