"""`ved alarms check`: the rules over a stored session."""

import datetime as dt
import json
import time
from dataclasses import dataclass
from math import isnan
from typing import Any

from rich.console import Console
from rich.table import Table

from ved.api.alarmcheck import AlarmCheck, CheckedAlarm
from ved.api.opened import OpenedLake
from ved.api.recorded import RecordedSession
from ved.config.settings import ServerSettings
from ved.errors import UserError

console = Console(highlight=False, soft_wrap=True)


@dataclass(frozen=True, slots=True)
class CheckOrder:
    """The session with this id (None: the newest, of `vehicle` or of all), and the rules (none: all)."""

    session: str | None
    vehicle: str | None
    rules: tuple[str, ...]
    as_json: bool

    @staticmethod
    def parse(
        session: str | None, vehicle: str | None, rules: list[str], *, is_last: bool, as_json: bool
    ) -> "CheckOrder":
        """Check the options against each other; UserError."""
        if (session is None) is not is_last:
            raise UserError("alarms check: name one session, or say --last for the newest")
        if session is not None and vehicle is not None:
            raise UserError(f"--vehicle {vehicle}: belongs to --last; a session's id says its vehicle")
        return CheckOrder(session, vehicle, tuple(rules), as_json)


def run_check(settings: ServerSettings, order: CheckOrder) -> None:
    """Check and print."""
    with OpenedLake.of(settings) as lake:
        session = lake.newest(order.vehicle) if order.session is None else lake.session(order.session)
        rules = lake.alarm_rules(session.vehicle)
        for name in order.rules:
            if name not in {rule.id for rule in rules}:
                known = ", ".join(rule.id for rule in rules)
                raise UserError(f"--rule {name}: {session.vehicle} has none; known are {known or 'none at all'}")
        chosen = [rule for rule in rules if not order.rules or rule.id in order.rules]
        start_s = time.perf_counter()
        check = lake.check_alarms(session, chosen)
        took_s = time.perf_counter() - start_s
    if order.as_json:
        print(json.dumps({"session": session.id, "alarms": [_values(one) for one in check.alarms], "idle": check.idle}))
        return
    _print(session, check, took_s)


def _print(session: RecordedSession, check: AlarmCheck, took_s: float) -> None:
    table = Table("at", "for", "", "alarm", "value", "worst", box=None)
    for one in check.alarms:
        at_s = (one.utc_raised_us - session.utc_from_us) / 1e6
        held = "to the end" if one.utc_cleared_us is None else f"{(one.utc_cleared_us - one.utc_raised_us) / 1e6:.2f} s"
        table.add_row(f"{at_s:.2f} s", held, one.rule.severity, one.rule.id, _number(one.value), _number(one.worst))
    if check.alarms:
        console.print(table)
    for rule, why in check.idle.items():
        console.print(f"{rule}: did not look: {why}", markup=False)
    began = dt.datetime.fromtimestamp(session.utc_from_us / 1e6, dt.UTC)
    console.print(
        f"{len(check.alarms)} alarms in {session.duration_s:.0f} s of {session.vehicle}, {began:%Y-%m-%d %H:%M} UTC; "
        f"{check.frames:,} frames looked at in {took_s:.2f} s",
        markup=False,
    )


def _number(value: float) -> str:
    return "" if isnan(value) else f"{value:.6g}"


def _values(one: CheckedAlarm) -> dict[str, Any]:
    return {
        "rule": one.rule.id,
        "severity": one.rule.severity,
        "utc_raised_us": one.utc_raised_us,
        "utc_cleared_us": one.utc_cleared_us,
        "value": None if isnan(one.value) else one.value,
        "worst": None if isnan(one.worst) else one.worst,
    }
