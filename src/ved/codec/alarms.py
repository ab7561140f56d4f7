"""The body of an alarm record (docs/spec/records.md)."""

import struct
from typing import Final

from ved.codec.fields import FieldReader, pack_text
from ved.codec.header import RecordHeader
from ved.errors import CorruptDataError
from ved.model.alarm import Alarm

_NUMBERS: Final = struct.Struct("<BB5q2d")
_LATE, _LATCH, _ACTIVE, _OPEN = 1, 2, 4, 8
_SEVERITIES: Final = (1, 2, 3)


def alarm_body(alarm: Alarm) -> bytes:
    """The body's bytes; struct.error when a number is out of its range, ValueError for a severity that is none.

    A zero byte in a text that a person wrote (a rule's title, a unit) is replaced: the alarm is told all the same.
    """
    if alarm.severity not in _SEVERITIES:
        raise ValueError(f"severity {alarm.severity}; there are 1, 2 and 3")
    flags = alarm.is_late * _LATE | alarm.latch * _LATCH | alarm.is_active * _ACTIVE | alarm.is_open * _OPEN
    numbers = _NUMBERS.pack(
        alarm.severity,
        flags,
        alarm.t_raised_us,
        alarm.utc_raised_us,
        alarm.utc_cleared_us,
        alarm.utc_acked_us,
        alarm.shelved_until_utc_us,
        alarm.value,
        alarm.worst,
    )
    texts = (
        alarm.id,
        alarm.rule,
        alarm.title_en,
        alarm.title_fr,
        alarm.channel,
        alarm.unit,
        alarm.acked_by,
        alarm.detail,
    )
    return numbers + b"".join(pack_text(text.replace("\0", "\ufffd")) for text in texts)


def decode_alarm(header: RecordHeader, body: bytes) -> Alarm:
    """The alarm; CorruptDataError when the body is not one, or its flags contradict its times."""
    reader = FieldReader(body)
    severity, flags, t_raised_us, raised_us, cleared_us, acked_us, shelved_us, value, worst = reader.unpack(_NUMBERS)
    alarm_id, rule, title_en, title_fr, channel, unit, acked_by, detail = (reader.text() for _ in range(8))
    reader.end()
    if severity not in _SEVERITIES:
        raise CorruptDataError(f"an alarm of severity {severity}")
    alarm = Alarm(
        alarm_id,
        header.vehicle,
        header.epoch,
        rule,
        severity,
        title_en,
        title_fr,
        channel,
        unit,
        bool(flags & _LATE),
        bool(flags & _LATCH),
        t_raised_us,
        raised_us,
        value,
        worst,
        cleared_us,
        acked_us,
        acked_by,
        shelved_us,
        detail,
    )
    if flags != alarm.is_late * _LATE | alarm.latch * _LATCH | alarm.is_active * _ACTIVE | alarm.is_open * _OPEN:
        raise CorruptDataError(f"an alarm's flags {flags} contradict its times")
    return alarm
