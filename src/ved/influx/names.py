"""What signals and samples are called in InfluxDB: measurements, fields, and how line protocol writes names.

Source: InfluxDB 1.x documentation, "line protocol reference" (special characters, reserved keys, comments).
"""

import re
from collections import defaultdict
from functools import lru_cache
from typing import Final

from ved.dbc.load import DbcSet
from ved.dbc.names import message_prefixes

TAGS: Final = ("bus", "vehicle")
LOOSE_MEASUREMENT: Final = "samples"
"""Where samples go whose channel has no dot in its name."""

_RESERVED: Final = frozenset({"time", "_field", "_measurement", *TAGS})
_UNWRITABLE: Final = re.compile(r"[\x00-\x1f\x7f\\]")
_IN_MEASUREMENT: Final = re.compile(r"([, ])")
_IN_KEY: Final = re.compile(r"([,= ])")


def measurements_of(dbc_set: DbcSet) -> list[str]:
    """The measurement of each message: its name; `Name@1F0` where that stands for several ids of one bus."""
    by_bus: defaultdict[int | None, list[int]] = defaultdict(list)
    for number, message in enumerate(dbc_set.messages):
        by_bus[message.bus].append(number)
    out = [""] * len(dbc_set.messages)
    for numbers in by_bus.values():
        prefixes = message_prefixes([dbc_set.messages[number] for number in numbers])
        for number, prefix in zip(numbers, prefixes, strict=True):
            out[number] = measurement_name(prefix)
    return out


def fields_of(dbc_set: DbcSet) -> list[str]:
    """The field of each channel: its signal's name, with #2, #3 … where two of a message have one name."""
    out = []
    for message in dbc_set.messages:
        taken: set[str] = set()
        for signal in message.signals:
            base = free = field_name(signal.name)
            number = 1
            while free in taken:
                number += 1
                free = f"{base}#{number}"
            taken.add(free)
            out.append(free)
    return out


def sample_place(channel: str) -> tuple[str, str]:
    """(measurement, field) of a channel of samples: what stands before the last dot, and behind it."""
    group, _, field = channel.rpartition(".")
    return measurement_name(group or LOOSE_MEASUREMENT), field_name(field or channel)


def measurement_name(name: str) -> str:
    """A name as a measurement: without backslashes and control characters, never taken for a comment."""
    written = _writable(name)
    return f"_{written[1:]}" if written.startswith("#") else written


def field_name(name: str) -> str:
    """A name as a field: one that InfluxDB keeps for itself, or that is a tag here, gets an underscore."""
    written = _writable(name)
    return f"{written}_" if written in _RESERVED else written


def tag_value(text: str) -> str:
    """A text as the value of a tag, which is never empty."""
    return _writable(text)


@lru_cache(maxsize=4096)
def escaped_measurement(name: str) -> str:
    """The name as it stands in a line."""
    return _IN_MEASUREMENT.sub(r"\\\1", name)


@lru_cache(maxsize=16384)
def escaped_key(name: str) -> str:
    """A field's or tag's name, or a tag's value, as it stands in a line."""
    return _IN_KEY.sub(r"\\\1", name)


def quoted(name: str) -> str:
    """A name as an identifier of InfluxQL."""
    return f'"{_in_quotes(name, chr(34))}"'


def quoted_text(text: str) -> str:
    """A text as a string of InfluxQL."""
    return f"'{_in_quotes(text, chr(39))}'"


def _in_quotes(text: str, quote: str) -> str:
    return text.replace("\\", "\\\\").replace(quote, f"\\{quote}").replace("\n", "\\n")


def _writable(name: str) -> str:
    clean = _UNWRITABLE.sub("_", name).encode("utf-8", "replace").decode()
    return clean or "_"
