"""Alarm rules of vehicles: seeded from the vehicle's folder, then edited by people, every edit noted."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, delete, func, insert, select

from ved.db.database import Database
from ved.db.edits import note_edit
from ved.db.people_tables import edits
from ved.db.tables import alarm_rules
from ved.model.alarmrule import Rule, rule_from, rule_values

SUBJECT: Final = "alarm"


def list_rules(db: Database, vehicle: str) -> list[Rule]:
    """The rules of a vehicle by id."""
    with db.engine.connect() as connection:
        return _list(connection, vehicle)


def rules_mark(connection: Connection) -> tuple[int, int]:
    """Something that changes whenever a rule of any vehicle does: number of rules, newest edit."""
    newest = select(func.max(edits.c.id)).where(edits.c.subject == SUBJECT)
    count = connection.execute(select(func.count()).select_from(alarm_rules)).scalar_one()
    return int(count), int(connection.execute(newest).scalar() or 0)


def seed_rules(db: Database, vehicle: str, rules: Sequence[Rule]) -> None:
    """Give a vehicle the rules of its folder, unless it has any or people changed them."""
    with db.engine.begin() as connection:
        was_edited = connection.execute(
            select(edits.c.id).where(edits.c.subject == SUBJECT, edits.c.key.startswith(f"{vehicle}/")).limit(1)
        ).first()
        if was_edited is None and not _list(connection, vehicle):
            for rule in rules:
                connection.execute(insert(alarm_rules).values(vehicle=vehicle, id=rule.id, rule=rule_values(rule)))


def put_rule(db: Database, vehicle: str, rule: Rule, who: str, *, is_new: bool = False) -> bool:
    """Make or change a rule; False where it shall be a new one and there is one with this id."""
    with db.engine.begin() as connection:
        if is_new and any(one.id == rule.id for one in _list(connection, vehicle)):
            return False
        _replace(connection, vehicle, rule.id, rule, who)
        return True


def remove_rule(db: Database, vehicle: str, rule: str, who: str) -> bool:
    """Take a rule away; False when there is none."""
    with db.engine.begin() as connection:
        return _replace(connection, vehicle, rule, None, who)


def _list(connection: Connection, vehicle: str) -> list[Rule]:
    rows = connection.execute(
        select(alarm_rules.c.rule).where(alarm_rules.c.vehicle == vehicle).order_by(alarm_rules.c.id)
    )
    return [rule_from(row.rule) for row in rows]


def _replace(connection: Connection, vehicle: str, rule_id: str, new: Rule | None, who: str) -> bool:
    old = next((one for one in _list(connection, vehicle) if one.id == rule_id), None)
    if old == new:
        return old is not None
    connection.execute(delete(alarm_rules).where(alarm_rules.c.vehicle == vehicle, alarm_rules.c.id == rule_id))
    if new is not None:
        connection.execute(insert(alarm_rules).values(vehicle=vehicle, id=rule_id, rule=rule_values(new)))
    before, after = (None if one is None else rule_values(one) for one in (old, new))
    note_edit(connection, who, SUBJECT, f"{vehicle}/{rule_id}", before, after)
    return True
