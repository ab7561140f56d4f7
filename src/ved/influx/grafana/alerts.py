"""Grafana's alert rules from the thresholds of a vehicle. Slow ones: every 10 s, over the last half minute.

Ours (the role watch) look at every frame, know latches, guards and expressions, and tell people by themselves; these
are for teams whose alerts all come from Grafana. Source: Grafana's "file provisioning" of alerting resources.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from ved.influx.grafana.cars import Car, Shown
from ved.influx.grafana.queries import DATASOURCE_UID, where_of
from ved.influx.names import quoted
from ved.model.alarmrule import Rule

INTERVAL_S: Final = 10
WINDOW_S: Final = 30
_EXPRESSION: Final = "__expr__"


@dataclass(frozen=True, slots=True)
class _Check:
    """A query whose one value is looked at, and the comparison that raises the alert."""

    suffix: str
    query: str
    comparison: str
    limit: float


def alert_group(car: Car) -> dict[str, Any]:
    """The group of a vehicle's rules, as a provisioning file has it."""
    rules = [
        _rule(car, rule, check, car.channels[rule.channel])
        for rule in car.vehicle.rules
        if is_possible(car, rule)
        for check in _checks(rule, car.channels[rule.channel])
    ]
    group = {"orgId": 1, "name": f"ved {car.name}", "folder": car.name, "interval": f"{INTERVAL_S}s", "rules": rules}
    return {"apiVersion": 1, "groups": [group] if rules else []}


def is_possible(car: Car, rule: Rule) -> bool:
    """False for what a query over half a minute cannot say: rates, frozen values, guards, expressions, silence."""
    is_simple = rule.kind in ("above", "below", "outside", "equals") and rule.guard is None
    return rule.is_enabled and is_simple and rule.channel in car.channels


def _checks(rule: Rule, channel: Shown) -> Iterator[_Check]:
    if rule.kind == "above" and rule.limit is not None:
        yield _Check("", _query("max", channel), "gt", rule.limit)
    elif rule.kind == "below" and rule.limit is not None:
        yield _Check("", _query("min", channel), "lt", rule.limit)
    elif rule.kind == "outside" and rule.low is not None and rule.high is not None:
        yield _Check("-high", _query("max", channel), "gt", rule.high)
        yield _Check("-low", _query("min", channel), "lt", rule.low)
    elif rule.kind == "equals":
        values = " OR ".join(f"{quoted(channel.field)} = {value:.17g}" for value in rule.values)
        yield _Check("", _query("count", channel, f" AND ({values})"), "gt", 0)


def _query(function: str, channel: Shown, more: str = "") -> str:
    """No `$` in it: some versions of Grafana take one for an environment variable."""
    return (
        f"SELECT {function}({quoted(channel.field)}) FROM {quoted(channel.measurement)} "  # noqa: S608
        f"WHERE {where_of(channel)}{more} AND time > now() - {WINDOW_S}s"
    )


def _rule(car: Car, rule: Rule, check: _Check, channel: Shown) -> dict[str, Any]:
    title = car.say(rule.title_en, rule.title_fr)
    return {
        "uid": f"ved-{car.name}-{rule.id}{check.suffix}"[:40],
        "title": f"{car.title}: {title}{check.suffix.replace('-', ' ')}",
        "condition": "C",
        "data": [
            _data("A", DATASOURCE_UID, {"rawQuery": True, "query": check.query, "resultFormat": "time_series"}),
            _data("B", _EXPRESSION, {"type": "reduce", "expression": "A", "reducer": "last"}),
            _data("C", _EXPRESSION, _threshold(check)),
        ],
        "noDataState": "OK",
        "execErrState": "Error",
        "for": f"{_whole_intervals_s(rule.on_delay_ms)}s",
        "annotations": {"summary": title, "description": f"{channel.title}. {rule.source}"},
        "labels": {"vehicle": car.name, "severity": rule.severity},
        "isPaused": False,
    }


def _threshold(check: _Check) -> dict[str, Any]:
    evaluator = {"type": check.comparison, "params": [check.limit]}
    return {"type": "threshold", "expression": "B", "conditions": [{"type": "query", "evaluator": evaluator}]}


def _data(ref_id: str, datasource: str, model: dict[str, Any]) -> dict[str, Any]:
    kind = "influxdb" if datasource == DATASOURCE_UID else _EXPRESSION
    return {
        "refId": ref_id,
        "relativeTimeRange": {"from": WINDOW_S, "to": 0},
        "datasourceUid": datasource,
        "model": {"refId": ref_id, "datasource": {"type": kind, "uid": datasource}, **model},
    }


def _whole_intervals_s(delay_ms: int) -> int:
    """The delay in whole intervals; a short one is within the window already."""
    return 0 if delay_ms < 1000 * INTERVAL_S else -(-delay_ms // (1000 * INTERVAL_S)) * INTERVAL_S
