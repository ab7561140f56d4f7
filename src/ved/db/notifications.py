"""Notifications on their way to people: what waits, what was sent, what failed and why."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from ved.db.database import Database
from ved.db.tables import notification_targets, notification_tests, notifications

KEPT: Final = 500
State = Literal["waiting", "sent", "failed"]


@dataclass(frozen=True, slots=True)
class Notification:
    """One message to one target. `error` is what went wrong the last time, without secrets."""

    id: int
    utc_us: int
    target: str
    title: str
    text: str
    alarms: tuple[dict[str, Any], ...]
    state: State
    attempts: int
    next_utc_us: int
    done_utc_us: int
    error: str


@dataclass(frozen=True, slots=True)
class Draft:
    """A message for one target, to be sent as soon as possible."""

    utc_us: int
    target: str
    title: str
    text: str
    alarms: tuple[dict[str, Any], ...] = ()


def add_notifications(connection: Connection, drafts: Sequence[Draft]) -> None:
    """Have these sent; the oldest that are done make room."""
    for one in drafts:
        connection.execute(
            insert(notifications).values(
                utc_us=one.utc_us,
                target=one.target,
                title=one.title,
                text=one.text,
                alarms=list(one.alarms),
                state="waiting",
                attempts=0,
                next_utc_us=one.utc_us,
                done_utc_us=0,
                error="",
            )
        )
    newest = connection.execute(select(func.max(notifications.c.id))).scalar() or 0
    connection.execute(
        delete(notifications).where(notifications.c.id <= newest - KEPT, notifications.c.state != "waiting")
    )


def waiting_notifications(db: Database, now_us: int, limit: int = 20) -> list[Notification]:
    """Those whose time has come, oldest first."""
    wanted = (
        select(notifications)
        .where(notifications.c.state == "waiting", notifications.c.next_utc_us <= now_us)
        .order_by(notifications.c.id)
        .limit(limit)
    )
    with db.engine.connect() as connection:
        return [_notification(row) for row in connection.execute(wanted)]


def claim(db: Database, one: Notification, until_utc_us: int) -> bool:
    """Keep others (and the next look) from sending it until then; False when somebody else was faster."""
    here = (
        notifications.c.id == one.id,
        notifications.c.state == "waiting",
        notifications.c.next_utc_us == one.next_utc_us,
    )
    with db.engine.begin() as connection:
        claimed = connection.execute(update(notifications).where(*here).values(next_utc_us=until_utc_us))
    return claimed.rowcount == 1


def newest_notifications(db: Database, limit: int = 50) -> list[Notification]:
    """The newest first."""
    wanted = select(notifications).order_by(notifications.c.id.desc()).limit(limit)
    with db.engine.connect() as connection:
        return [_notification(row) for row in connection.execute(wanted)]


def note_sent(db: Database, number: int, utc_us: int) -> None:
    """It was delivered."""
    values = {"state": "sent", "done_utc_us": utc_us, "error": "", "attempts": notifications.c.attempts + 1}
    with db.engine.begin() as connection:
        connection.execute(update(notifications).where(notifications.c.id == number).values(**values))


def note_failure(db: Database, number: int, error: str, *, again_utc_us: int | None, utc_us: int) -> None:
    """It was not taken; try again then, or never."""
    values: dict[str, Any] = {"error": error, "attempts": notifications.c.attempts + 1}
    if again_utc_us is None:
        values |= {"state": "failed", "done_utc_us": utc_us}
    else:
        values |= {"next_utc_us": again_utc_us}
    with db.engine.begin() as connection:
        connection.execute(update(notifications).where(notifications.c.id == number).values(**values))


def write_targets(db: Database, names: Sequence[str]) -> None:
    """Replace the names of the targets."""
    with db.engine.begin() as connection:
        connection.execute(delete(notification_targets))
        for name in dict.fromkeys(names):
            connection.execute(insert(notification_targets).values(name=name))


def list_targets(db: Database) -> list[str]:
    """The names of the targets that are set; none where notifications are off."""
    with db.engine.connect() as connection:
        return list(
            connection.execute(select(notification_targets.c.name).order_by(notification_targets.c.name)).scalars()
        )


def ask_test(db: Database, who: str, utc_us: int) -> None:
    """Tell watch to send a test to every target."""
    with db.engine.begin() as connection:
        connection.execute(insert(notification_tests).values(who=who, utc_us=utc_us))


def take_tests(connection: Connection) -> list[str]:
    """Who asked for a test; they count as taken when the transaction is committed."""
    rows = connection.execute(select(notification_tests).order_by(notification_tests.c.number)).all()
    if rows:
        connection.execute(delete(notification_tests).where(notification_tests.c.number <= rows[-1].number))
    return [row.who for row in rows]


def _notification(row: Row[Any]) -> Notification:
    return Notification(
        row.id,
        row.utc_us,
        row.target,
        row.title,
        row.text,
        tuple(row.alarms),
        row.state,
        row.attempts,
        row.next_utc_us,
        row.done_utc_us,
        row.error,
    )
