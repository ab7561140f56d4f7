"""Channels of a DBC set: their unique names, and what a person needs to read them."""

import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from ved.dbc.definitions import MessageDef, SignalDef
from ved.model.channel import Channel, ChannelKind

FLOAT32_STEPS: Final = 1 << 24
FRENCH_UNITS: Final = {"rpm": "tr/min", "1/min": "tr/min", "rev/min": "tr/min", "sec": "s", "kph": "km/h", "deg": "°"}
_BORDERS: Final = re.compile(r"(?<=[a-zß-öø-ÿ\d])(?=[A-ZÀ-ÖØ-Þ])|(?<=[A-ZÀ-ÖØ-Þ])(?=[A-ZÀ-ÖØ-Þ][a-zß-öø-ÿ])")


def channels_of(messages: Sequence[MessageDef]) -> tuple[Channel, ...]:
    """One channel per signal, message by message, in order; all names differ."""
    taken: set[str] = set()
    channels = []
    for message, prefix in zip(messages, message_prefixes(messages), strict=True):
        for signal in message.signals:
            name = _free_name(f"{prefix}.{signal.name}", taken)
            channels.append(
                Channel(
                    name=name,
                    unit=signal.unit,
                    kind=kind_of(signal),
                    bus=message.bus,
                    message=message.name,
                    signal=signal.name,
                    arbitration_id=message.arbitration_id,
                    is_extended=message.is_extended,
                    minimum=signal.minimum,
                    maximum=signal.maximum,
                    choices=signal.choices,
                    comment=signal.comment,
                    is_wide=is_wide(signal),
                )
            )
    return tuple(channels)


def message_prefixes(messages: Sequence[MessageDef]) -> list[str]:
    """`Message`; `Message@1F0` where the name stands for several ids of a bus; `bus.Message` where on several buses."""
    buses: dict[str, set[int | None]] = defaultdict(set)
    ids: dict[tuple[str, int | None], set[tuple[int, bool]]] = defaultdict(set)
    for message in messages:
        buses[message.name].add(message.bus)
        ids[message.name, message.bus].add((message.arbitration_id, message.is_extended))
    return [_prefix(message, buses[message.name], ids[message.name, message.bus]) for message in messages]


def _prefix(message: MessageDef, buses: set[int | None], ids: set[tuple[int, bool]]) -> str:
    name = message.name
    if len(ids) > 1:
        name = f"{name}@{message.arbitration_id:X}"
        if message.is_extended and (message.arbitration_id, False) in ids:
            name += "x"
    if len(buses) > 1 and message.bus is not None:
        return f"{message.bus_name or f'bus{message.bus}'}.{name}"
    return name


def _free_name(name: str, taken: set[str]) -> str:
    """The name, or with #2, #3 … behind it when hostile names collide."""
    free, number = name, 1
    while free in taken:
        number += 1
        free = f"{name}#{number}"
    taken.add(free)
    return free


def kind_of(signal: SignalDef) -> ChannelKind:
    """Discrete: one bit, a multiplexer, or a value table over plain raw numbers.

    A value table over a scaled signal names special values (255: not available) of something that is measured.
    """
    is_plain = signal.raw_type != "float" and signal.scale == 1 and signal.offset == 0
    if signal.length_bits == 1 or signal.is_multiplexer or (signal.choices and is_plain):
        return "discrete"
    return "continuous"


def is_wide(signal: SignalDef) -> bool:
    """True when a float32 could not hold every value apart: more than 24 significant bits, offset included."""
    if signal.raw_type == "float":
        return signal.length_bits == 64 or (signal.offset != 0 and signal.length_bits > 16)
    if signal.scale == 0:
        return False
    steps = max(abs(raw + signal.offset / signal.scale) for raw in signal.raw_range)
    return steps > FLOAT32_STEPS


def readable(name: str) -> str:
    """A channel's name in words: `BatteryPack.StateOfCharge` is "Battery pack · State of charge"."""
    return " · ".join(words for part in name.split(".") if (words := _words(part)))


def unit_in_french(unit: str) -> str:
    """The unit as a French reader writes it; most are the same."""
    return FRENCH_UNITS.get(unit.lower(), unit)


def _words(part: str) -> str:
    """CamelCase and snake_case apart; words of capitals (GPS) and what stands behind an @ or # stay as they are."""
    name, mark, rest = re.split(r"([@#].*)", part, maxsplit=1) if re.search("[@#]", part) else (part, "", "")
    words = _BORDERS.sub("_", name).split("_")
    shown = [word if len(word) > 1 and word.isupper() else word.lower() for word in words if word]
    text = " ".join(shown)
    return f"{text[:1].upper()}{text[1:]} {mark}{rest}".strip()
