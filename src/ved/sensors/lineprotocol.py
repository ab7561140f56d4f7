"""InfluxDB's line protocol: `measurement,tag=value field=1.5,other=2i,on=t 1690000000000000000`, a point a line.

Source: docs.influxdata.com, "Line protocol reference" of InfluxDB 1 and 2. Each numeric field is a channel, named as an
import from InfluxDB names it: `measurement.field`, with tags `measurement[tag=value,...].field`. Texts are left out.
"""

import re
from dataclasses import dataclass
from typing import Final

from ved.model.channel import ChannelKind
from ved.sensors.values import NO_TIME, ValueList, Values, channel_of, finite

MAX_LINE: Final = 64 << 10
PRECISIONS_NS: Final = {
    "n": 1,
    "ns": 1,
    "u": 1_000,
    "us": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}

_NAME: Final = rb"(?:[^,= \\\n]|\\.)+"
_TEXT: Final = rb'"(?:[^"\\]|\\.)*"'
_FIELD: Final = rb"(" + _NAME + rb")=(" + _TEXT + rb'|[^, "\\]+)'
_FIELDS: Final = _FIELD.replace(b"(" + _NAME, b"(?:" + _NAME).replace(b"=(", b"=(?:")
_LINE: Final = re.compile(
    rb"((?:[^, \\\n]|\\.)+)((?:," + _NAME + rb"=" + _NAME + rb")*) +(" + _FIELDS + rb"(?:," + _FIELDS + rb")*)"
    rb"(?: +(-?[0-9]{1,19}))? *",
    re.DOTALL,
)
_TAG: Final = re.compile(rb",(" + _NAME + rb")=(" + _NAME + rb")", re.DOTALL)
_ONE_FIELD: Final = re.compile(_FIELD, re.DOTALL)
_FLOAT: Final = re.compile(rb"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")
_INTEGER: Final = re.compile(rb"([+-]?[0-9]{1,20})[iu]")
_ESCAPED: Final = re.compile(rb"\\([,= \\])")
_TRUE: Final = (b"t", b"T", b"true", b"True", b"TRUE")
_FALSE: Final = (b"f", b"F", b"false", b"False", b"FALSE")


@dataclass(frozen=True, slots=True)
class Lines:
    """What a body brought: values, lines that were points, and lines that were none (with the first one's number)."""

    values: Values
    points: int
    refused: int
    first_refused: int


def parse_lines(body: bytes, unit_ns: int = 1) -> Lines:
    """Read a body; a line that is no point costs that line. `unit_ns`: what a time counts."""
    found = ValueList()
    points = refused = first_refused = 0
    for number, whole in enumerate(body.split(b"\n"), 1):
        line = whole.strip(b"\r \t")
        if not line or line.startswith(b"#"):
            continue
        if len(line) <= MAX_LINE and _take(line, unit_ns, found):
            points += 1
        else:
            refused += 1
            first_refused = first_refused or number
    return Lines(found.values(), points, refused, first_refused)


def _take(line: bytes, unit_ns: int, found: ValueList) -> bool:
    match = _LINE.fullmatch(line)
    if match is None:
        return False
    measurement, tags, fields, time = match.groups()
    try:
        utc_us = NO_TIME if time is None else _utc_us(int(time) * unit_ns)
        prefix = _unescape(measurement)
        told = sorted((_unescape(key), _unescape(value)) for key, value in _TAG.findall(tags))
        if told:
            prefix += "[" + ",".join(f"{key}={value}" for key, value in told) + "]"
        values = [_value(f"{prefix}.{_unescape(key)}", text) for key, text in _ONE_FIELD.findall(fields)]
    except ValueError:
        return False
    for one in values:
        if one is not None:
            name, kind, value = one
            found.add(channel_of(name, "", kind), value, utc_us)
    return True


def _value(name: str, text: bytes) -> tuple[str, ChannelKind, float] | None:
    """None for a text. ValueError when it is nothing at all."""
    channel_of(name, "", "continuous")
    if text.startswith(b'"'):
        return None
    if (integer := _INTEGER.fullmatch(text)) is not None:
        return name, "discrete", float(int(integer[1]))
    if text in _TRUE or text in _FALSE:
        return name, "discrete", float(text in _TRUE)
    if not _FLOAT.fullmatch(text):
        raise ValueError("no value")
    return name, "continuous", finite(float(text))


def _utc_us(time_ns: int) -> int:
    if not -(1 << 62) < time_ns < 1 << 62:
        raise ValueError("a time out of range")
    return time_ns // 1000


def _unescape(text: bytes) -> str:
    return _ESCAPED.sub(rb"\1", text).decode()
