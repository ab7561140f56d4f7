"""Workbooks (the sheets of panels that a person made) and preferences (units, favourites): plain JSON of the page."""

import secrets
import time
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, delete, func, insert, or_, select, update

from ved.db.database import Database
from ved.db.insert import insert_if_new
from ved.db.people_tables import preferences, users, workbooks


@dataclass(frozen=True, slots=True)
class WorkbookLine:
    """A workbook without its content; times are UTC in µs."""

    id: str
    vehicle: str
    name: str
    owner_id: int
    owner_name: str
    is_shared: bool
    changed_utc_us: int


@dataclass(frozen=True, slots=True)
class WorkbookDraft:
    """What a person saves."""

    vehicle: str
    name: str
    is_shared: bool
    content: dict[str, Any]


def list_workbooks(db: Database, user_id: int, vehicle: str) -> list[WorkbookLine]:
    """The person's own and the shared ones of a vehicle, by name."""
    wanted = (
        _lines()
        .where(workbooks.c.vehicle == vehicle, or_(workbooks.c.owner_id == user_id, workbooks.c.is_shared))
        .order_by(workbooks.c.name, workbooks.c.id)
    )
    with db.engine.connect() as connection:
        return [_line(row) for row in connection.execute(wanted)]


def read_workbook(db: Database, user_id: int, workbook_id: str) -> tuple[WorkbookLine, dict[str, Any]] | None:
    """One that the person may see, with its content; None when there is none."""
    wanted = (
        _lines()
        .add_columns(workbooks.c.content)
        .where(workbooks.c.id == workbook_id, or_(workbooks.c.owner_id == user_id, workbooks.c.is_shared))
    )
    with db.engine.connect() as connection:
        row = connection.execute(wanted).one_or_none()
    return None if row is None else (_line(row), row.content)


def create_workbook(db: Database, user_id: int, draft: WorkbookDraft, most: int) -> tuple[str, int] | None:
    """The id of the new workbook and its `changed_utc_us`; None when the person has `most` already."""
    workbook_id = secrets.token_hex(16)
    changed_utc_us = _now_us()
    with db.engine.begin() as connection:
        count = connection.execute(
            select(func.count()).select_from(workbooks).where(workbooks.c.owner_id == user_id)
        ).scalar_one()
        if count >= most:
            return None
        connection.execute(insert(workbooks).values(id=workbook_id, owner_id=user_id, **_values(draft, changed_utc_us)))
    return workbook_id, changed_utc_us


def save_workbook(
    db: Database, user_id: int, workbook_id: str, draft: WorkbookDraft, replaces_utc_us: int | None = None
) -> int | None:
    """Replace one of the person's own; its new `changed_utc_us`.

    None when there is none, or (with `replaces_utc_us`) when it was changed at another time than that.
    """
    mine = (workbooks.c.id == workbook_id, workbooks.c.owner_id == user_id)
    with db.engine.begin() as connection:
        before = connection.execute(select(workbooks.c.changed_utc_us).where(*mine)).scalar_one_or_none()
        if before is None or replaces_utc_us not in (None, before):
            return None
        # Two changes never have one time, whatever the clock does.
        changed_utc_us = max(_now_us(), before + 1)
        change = update(workbooks).where(*mine, workbooks.c.changed_utc_us == before)
        is_done = connection.execute(change.values(**_values(draft, changed_utc_us))).rowcount == 1
    return changed_utc_us if is_done else None


def delete_workbook(db: Database, user_id: int, workbook_id: str) -> bool:
    """Delete one of the person's own; False when there is none."""
    with db.engine.begin() as connection:
        return (
            connection.execute(
                delete(workbooks).where(workbooks.c.id == workbook_id, workbooks.c.owner_id == user_id)
            ).rowcount
            == 1
        )


def read_preferences(db: Database, user_id: int) -> dict[str, Any]:
    """What the person prefers; empty before the first change."""
    with db.engine.connect() as connection:
        found = connection.execute(
            select(preferences.c.content).where(preferences.c.user_id == user_id)
        ).scalar_one_or_none()
    return {} if found is None else dict(found)


def save_preferences(db: Database, user_id: int, content: dict[str, Any]) -> None:
    """Replace the person's preferences."""
    with db.engine.begin() as connection:
        if not insert_if_new(connection, preferences, {"user_id": user_id, "content": content}):
            connection.execute(update(preferences).where(preferences.c.user_id == user_id).values(content=content))


def _lines() -> Any:
    return select(
        workbooks.c.id,
        workbooks.c.vehicle,
        workbooks.c.name,
        workbooks.c.owner_id,
        func.coalesce(users.c.name, "").label("owner_name"),
        workbooks.c.is_shared,
        workbooks.c.changed_utc_us,
    ).select_from(workbooks.outerjoin(users, users.c.id == workbooks.c.owner_id))


def _line(row: Row[Any]) -> WorkbookLine:
    return WorkbookLine(row.id, row.vehicle, row.name, row.owner_id, row.owner_name, row.is_shared, row.changed_utc_us)


def _now_us() -> int:
    return time.time_ns() // 1000


def _values(draft: WorkbookDraft, changed_utc_us: int) -> dict[str, Any]:
    return {
        "vehicle": draft.vehicle,
        "name": draft.name,
        "is_shared": draft.is_shared,
        "content": draft.content,
        "changed_utc_us": changed_utc_us,
    }
