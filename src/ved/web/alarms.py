"""Alarms and their rules as the page reads them."""

from collections.abc import Mapping
from math import isfinite
from typing import Any, Final

from ved.api.alarmcheck import AlarmCheck
from ved.db.alarms import Kept
from ved.model.alarm import Alarm
from ved.web.language import say
from ved.web.messages import to_text

_WORDS: Final = {1: "info", 2: "warning", 3: "critical"}


def alarm_values(alarm: Alarm) -> dict[str, Any]:
    """An alarm as JSON; times that have not come are null."""
    return {
        "id": alarm.id,
        "vehicle": alarm.vehicle,
        "rule": alarm.rule,
        "severity": _WORDS[alarm.severity],
        "title_en": alarm.title_en,
        "title_fr": alarm.title_fr,
        "channel": alarm.channel,
        "unit": alarm.unit,
        "is_active": alarm.is_active,
        "is_open": alarm.is_open,
        "is_late": alarm.is_late,
        "is_latched": alarm.latch,
        "utc_raised_us": alarm.utc_raised_us,
        "utc_cleared_us": alarm.utc_cleared_us or None,
        "utc_acked_us": alarm.utc_acked_us or None,
        "acked_by": alarm.acked_by,
        "shelved_until_utc_us": alarm.shelved_until_utc_us or None,
        "value": _number(alarm.value),
        "worst": _number(alarm.worst),
        "detail": alarm.detail,
    }


def alarm_message(alarm: Alarm) -> str:
    """The live message `alarm`."""
    return to_text({"type": "alarm", "vehicle": alarm.vehicle, "alarm": alarm_values(alarm)})


def samples_values(alarm: Alarm, kept: Mapping[str, Kept]) -> dict[str, Any]:
    """The samples kept around an alarm, times in UTC."""
    offset_us = alarm.utc_raised_us - alarm.t_raised_us
    return {
        channel: {
            "utc_us": [int(t) + offset_us for t in t_us],
            "values": [_number(float(value)) for value in values],
        }
        for channel, (t_us, values) in kept.items()
    }


def check_values(check: AlarmCheck) -> dict[str, Any]:
    """What the rules would have found in a session."""
    return {
        "alarms": [
            {
                "rule": one.rule.id,
                "severity": one.rule.severity,
                "title_en": one.rule.title_en,
                "title_fr": one.rule.title_fr,
                "channel": one.rule.channel or one.rule.expression,
                "utc_raised_us": one.utc_raised_us,
                "utc_cleared_us": one.utc_cleared_us,
                "value": _number(one.value),
                "worst": _number(one.worst),
            }
            for one in check.alarms
        ],
        "idle": {rule: say(why) for rule, why in check.idle.items()},
        "frames": check.frames,
    }


def _number(value: float) -> float | None:
    return value if isfinite(value) else None
