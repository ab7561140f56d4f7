"""Alarms as watch sees them, and what people say about them: acknowledgements and shelves."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from math import isnan
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Row, delete, insert, or_, select, update

from ved.db.database import Database
from ved.db.insert import insert_if_new
from ved.db.tables import alarm_acks, alarm_samples, alarm_shelves, alarm_states, alarms
from ved.model.alarm import Alarm

_FIELDS: Final = tuple(field.name for field in fields(Alarm))
MAX_LISTED: Final = 1000

Kept = tuple[NDArray[np.int64], NDArray[np.float64]]
"""Samples kept around an alarm: times of the epoch in µs, values."""


@dataclass(frozen=True, slots=True)
class Ack:
    """Somebody has seen an alarm."""

    number: int
    alarm: str
    utc_us: int
    who: str


@dataclass(frozen=True, slots=True)
class Shelf:
    """Nobody wants to hear of a rule's alarms until `until_utc_us` (a time that is over: they do again)."""

    number: int
    vehicle: str
    rule: str
    until_utc_us: int
    utc_us: int
    who: str


def write_alarms(connection: Connection, rows: Iterable[Alarm]) -> None:
    """Make or replace alarms."""
    written = [{name: getattr(row, name) for name in _FIELDS} | {"is_open": row.is_open} for row in rows]
    if not written:
        return
    for values in written:
        values |= {key: None if isnan(values[key]) else values[key] for key in ("value", "worst")}
    connection.execute(delete(alarms).where(alarms.c.id.in_([values["id"] for values in written])))
    connection.execute(insert(alarms), written)


def open_alarms(db: Database, vehicle: str | None = None) -> list[Alarm]:
    """The alarms that ask for attention, oldest first."""
    wanted = select(alarms).where(alarms.c.is_open.is_(True)).order_by(alarms.c.utc_raised_us)
    if vehicle is not None:
        wanted = wanted.where(alarms.c.vehicle == vehicle)
    with db.engine.connect() as connection:
        return [_alarm(row) for row in connection.execute(wanted)]


def get_alarm(db: Database, alarm: str) -> Alarm | None:
    """One alarm, or None."""
    with db.engine.connect() as connection:
        row = connection.execute(select(alarms).where(alarms.c.id == alarm)).one_or_none()
    return None if row is None else _alarm(row)


def list_alarms(db: Database, vehicle: str, utc_us: tuple[int, int], limit: int = MAX_LISTED) -> list[Alarm]:
    """The newest alarms of a vehicle that held at some time in utc_us[0] <= utc < utc_us[1], newest first."""
    still_held = or_(alarms.c.utc_cleared_us == 0, alarms.c.utc_cleared_us >= utc_us[0])
    wanted = (
        select(alarms)
        .where(alarms.c.vehicle == vehicle, alarms.c.utc_raised_us < utc_us[1], still_held)
        .order_by(alarms.c.utc_raised_us.desc(), alarms.c.id)
        .limit(limit)
    )
    with db.engine.connect() as connection:
        return [_alarm(row) for row in connection.execute(wanted)]


def count_alarms(db: Database, vehicle: str, spans: Sequence[tuple[int, int]]) -> list[int]:
    """How many alarms of a vehicle began in each of these spans of UTC, both ends inclusive."""
    if not spans:
        return []
    since_us = min(first for first, _ in spans)
    wanted = (
        select(alarms.c.utc_raised_us)
        .where(alarms.c.vehicle == vehicle, alarms.c.utc_raised_us >= since_us)
        .order_by(alarms.c.utc_raised_us)
    )
    with db.engine.connect() as connection:
        raised = np.array(connection.execute(wanted).scalars().all(), np.int64)
    firsts, ends = np.array(spans, np.int64).T
    return [int(n) for n in np.searchsorted(raised, ends, "right") - np.searchsorted(raised, firsts, "left")]


def acknowledge(db: Database, alarm: str, who: str, utc_us: int) -> None:
    """Tell watch that somebody has seen the alarm."""
    with db.engine.begin() as connection:
        connection.execute(insert(alarm_acks).values(alarm=alarm, who=who, utc_us=utc_us))


def shelve(db: Database, shelf: Shelf) -> None:
    """Tell watch to shelve a rule's alarms (`number` is given by the database)."""
    values = {key: value for key, value in asdict(shelf).items() if key != "number"}
    with db.engine.begin() as connection:
        connection.execute(insert(alarm_shelves).values(**values))


def acks_after(connection: Connection, number: int) -> list[Ack]:
    """Acknowledgements newer than `number`, in order."""
    rows = connection.execute(select(alarm_acks).where(alarm_acks.c.number > number).order_by(alarm_acks.c.number))
    return [Ack(row.number, row.alarm, row.utc_us, row.who) for row in rows]


def shelves_after(connection: Connection, number: int) -> list[Shelf]:
    """Shelves newer than `number`, in order; a later one of a rule replaces an earlier one."""
    rows = connection.execute(
        select(alarm_shelves).where(alarm_shelves.c.number > number).order_by(alarm_shelves.c.number)
    )
    return [Shelf(row.number, row.vehicle, row.rule, row.until_utc_us, row.utc_us, row.who) for row in rows]


def list_shelves(db: Database, vehicle: str, now_utc_us: int) -> list[Shelf]:
    """The shelves of a vehicle's rules that still hold: of each rule the newest."""
    with db.engine.connect() as connection:
        newest = {one.rule: one for one in shelves_after(connection, 0) if one.vehicle == vehicle}
    return [one for one in newest.values() if one.until_utc_us > now_utc_us]


def write_samples(connection: Connection, alarm: str, part: int, kept: Mapping[str, Kept]) -> None:
    """Keep samples around an alarm, by channel; `part` 0 up to when it was raised, 1 after."""
    for channel, (t_us, values) in kept.items():
        data = t_us.astype("<i8").tobytes() + values.astype("<f8").tobytes()
        key = {"alarm": alarm, "channel": channel, "part": part}
        insert_if_new(connection, alarm_samples, {**key, "samples": data})


def drop_old_samples(connection: Connection, keep: int) -> None:
    """Let the samples of all but the newest `keep` alarms go; the lake still has the frames that they came from."""
    newest = select(alarms.c.id).order_by(alarms.c.utc_raised_us.desc()).limit(keep)
    connection.execute(delete(alarm_samples).where(alarm_samples.c.alarm.not_in(newest)))


def kept_samples(db: Database, alarm: str) -> dict[str, Kept]:
    """The samples kept around an alarm."""
    wanted = select(alarm_samples).where(alarm_samples.c.alarm == alarm).order_by(alarm_samples.c.part)
    out: dict[str, list[NDArray[np.generic]]] = {}
    with db.engine.connect() as connection:
        for row in connection.execute(wanted):
            count = len(row.samples) // 16
            out.setdefault(row.channel, []).append(np.frombuffer(row.samples, "<i8", count))
            out[row.channel].append(np.frombuffer(row.samples, "<f8", count, offset=8 * count))
    return {
        channel: (
            np.concatenate([part.astype(np.int64) for part in parts[0::2]]),
            np.concatenate([part.astype(np.float64) for part in parts[1::2]]),
        )
        for channel, parts in out.items()
    }


def read_states(db: Database) -> dict[str, str]:
    """What watch saved about its rules, by name."""
    with db.engine.connect() as connection:
        return {row.name: row.state for row in connection.execute(select(alarm_states))}


def write_states(connection: Connection, states: Mapping[str, str], gone: Sequence[str] = ()) -> None:
    """Replace these states; those in `gone` go."""
    for name, state in states.items():
        if not insert_if_new(connection, alarm_states, {"name": name, "state": state}):
            connection.execute(update(alarm_states).where(alarm_states.c.name == name).values(state=state))
    if gone:
        connection.execute(delete(alarm_states).where(alarm_states.c.name.in_(gone)))


def _alarm(row: Row[Any]) -> Alarm:
    values = {name: getattr(row, name) for name in _FIELDS}
    values |= {key: float("nan") if values[key] is None else values[key] for key in ("value", "worst")}
    return Alarm(**values)
