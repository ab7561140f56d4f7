"""The date in the head of an ASC file (Vector): what its stamps count from."""

import datetime as dt
import itertools
import re
from pathlib import Path
from typing import Final

from ved.errors import UserError

_DATE: Final = re.compile(
    r"\s*(?:date|begin\s+triggerblock)\s+\S+\s+(?P<month>\S+)\s+(?P<day>\d\d?)"
    r"\s+(?P<hour>\d\d?):(?P<minute>\d\d):(?P<second>\d\d)(?:[.,](?P<fraction>\d{1,6}))?"
    r"(?:\s+(?P<half>[ap])m)?\s+(?P<year>\d{4})\b",
    re.IGNORECASE,
)
_FROM_LINE_BEFORE: Final = re.compile(r"\s*base\s+(?:hex|dec)\s+timestamps\s+relative\b", re.IGNORECASE)
_STAMP: Final = re.compile(r"\s*\d+\.\d+\s")
_MONTHS: Final = re.compile(
    "(jan)|(f.[bv])|(m.r)|(a[pv]r)|(ma[iy])|(jui?n)|(jui?l)|(a(?:ug|o.t))|(sep)|(o[ck]t)|(nov)|(d.[cz])", re.IGNORECASE
)
"""How months begin in English, French and German; `.` is a letter that another code page may have spoilt."""


def asc_zero_us(path: Path) -> int:
    """UTC in µs of the stamp 0.0; 0 when no date can be read. A date has no time zone: this machine's is taken.

    Of two dates the later line counts, as python-can has it: what it writes has the recording's there. UserError when
    the stamps count from the line before, which may be an event that no reader knows.
    """
    zero_us = 0
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in itertools.takewhile(lambda line: not _STAMP.match(line), file):
            if _FROM_LINE_BEFORE.match(line):
                raise UserError(f"log {path}: its times are 'relative' to the line before; save it with absolute ones")
            if date := _DATE.match(line):
                zero_us = _utc_us(date) or zero_us
    return zero_us


def _utc_us(date: re.Match[str]) -> int:
    """UTC in µs; 0 for a day that is none."""
    year, day, hour, minute, second = (int(date[name]) for name in ("year", "day", "hour", "minute", "second"))
    month = _MONTHS.match(date["month"])
    if date["half"]:
        hour = hour % 12 + (12 if date["half"] in "pP" else 0)
    fraction = date["fraction"] or "0"
    # Up to three digits are a number of ms: python-can writes 5 ms as `.5`.
    micro = int(fraction) * 1000 if len(fraction) < 4 else int(fraction.ljust(6, "0"))
    try:
        moment = dt.datetime(year, (month and month.lastindex) or 0, day, hour, minute, second)  # noqa: DTZ001  (local)
        return round(moment.timestamp()) * 1_000_000 + micro
    except (ValueError, OverflowError, OSError):
        return 0
