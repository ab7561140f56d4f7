"""Units that do not fit what a signal seems to be: degrees for radians, volts for a temperature, °C in three ways."""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from ved.dbc.definitions import MessageDef, SignalDef

_FULL_TURN_RAD: Final = 6.2832
_SPELLINGS: Final[tuple[frozenset[str], ...]] = (
    frozenset({"°C", "degC", "deg C", "C", "Celsius", "celsius", "ºC", "degree C", "Deg C", "DegC", "deg_C"}),
    frozenset({"°", "deg", "degree", "degrees", "Deg", "º"}),
    frozenset({"km/h", "kph", "kmh", "KPH", "Km/h", "kmph", "km/hr"}),
    frozenset({"rpm", "RPM", "1/min", "rev/min", "Rpm", "U/min"}),
    frozenset({"%", "percent", "Percent", "pct", "PERCENT"}),
    frozenset({"V", "v", "Volt", "Volts", "volt", "volts"}),
    frozenset({"A", "amp", "Amp", "amps", "Amps", "Ampere"}),
    frozenset({"s", "sec", "Sec", "seconds", "second"}),
    frozenset({"ms", "msec", "mS", "MS"}),
    frozenset({"Nm", "N.m", "N*m", "NM", "nm", "N-m"}),
    frozenset({"m/s^2", "m/s2", "m/s²", "m/s/s"}),
    frozenset({"deg/s", "°/s", "dps", "degree/s", "deg/sec"}),
    frozenset({"bar", "Bar", "BAR"}),
    frozenset({"kPa", "KPa", "kpa", "KPA"}),
)
_BROKEN: Final = re.compile("\ufffd|Â|Ã")


class _Quantity(NamedTuple):
    """What a name says that is measured, and the units that it then has."""

    name: str
    words: re.Pattern[str]
    units: frozenset[str]


def _words(*parts: str) -> re.Pattern[str]:
    """A whole word of a name in camel case or with underscores."""
    return re.compile(rf"(?:^|[^a-z])(?:{'|'.join(parts)})s?(?:$|[^a-z])")


_QUANTITIES: Final = (
    _Quantity(
        "a temperature", _words("temp", "temperature"), _SPELLINGS[0] | {"K", "F", "°F", "degF", "mC", "\ufffdC", "Â°C"}
    ),
    _Quantity("a voltage", _words("voltage", "volt"), _SPELLINGS[5] | {"mV", "kV", "uV", "µV"}),
    _Quantity("a pressure", _words("pressure", "press"), _SPELLINGS[12] | _SPELLINGS[13] | {"psi", "Pa", "mbar"}),
    _Quantity("an engine or motor speed", _words("rpm"), _SPELLINGS[3] | {"rad/s", "Hz"}),
    _Quantity("a torque", _words("torque"), _SPELLINGS[9] | {"lbft", "ft-lb"}),
)
_MEASURED: Final = frozenset().union(*(quantity.units for quantity in _QUANTITIES), _SPELLINGS[2], {"A", "m", "g"})
_ANGLE: Final = _words("angle", "yaw", "pitch", "roll", "heading", "latitude", "longitude", "steering", "slip")


class WrongUnit(NamedTuple):
    """A doubtful unit and what to do."""

    message: MessageDef
    signal: SignalDef
    code: str
    what: str
    advice: str


def wrong_units(messages: Sequence[MessageDef]) -> Iterator[WrongUnit]:
    """All doubtful units of a file: broken letters, wrong quantity, angles, and many spellings of one unit."""
    for message in messages:
        for signal in message.signals:
            if _BROKEN.search(signal.unit):
                what = f"the unit {signal.unit!r} of {signal.name} has broken letters"
                advice = "Save the file as UTF-8 or Windows-1252, and write the unit again (°C, µs, Ω)."
                yield WrongUnit(message, signal, "unit-letters", what, advice)
            yield from _quantity(message, signal)
            yield from _angle(message, signal)
    yield from _spellings(messages)


def _quantity(message: MessageDef, signal: SignalDef) -> Iterator[WrongUnit]:
    name = _plain_words(signal.name)
    for quantity in _QUANTITIES:
        if quantity.words.search(name) and signal.unit in _MEASURED - quantity.units:
            what = f"{signal.name} looks like {quantity.name}, but its unit is {signal.unit!r}"
            advice = "Correct the unit, or the name."
            yield WrongUnit(message, signal, "unit-quantity", what, advice)
            return


def _angle(message: MessageDef, signal: SignalDef) -> Iterator[WrongUnit]:
    """Degrees or radians, told by the greatest value that the limits (else the bits) allow."""
    is_limited = signal.minimum is not None and signal.maximum is not None
    if not _ANGLE.search(_plain_words(signal.name)) or (signal.raw_type == "float" and not is_limited):
        return
    if signal.minimum is not None and signal.maximum is not None:
        greatest = max(abs(signal.minimum), abs(signal.maximum))
    else:
        greatest = max(abs(raw * signal.scale + signal.offset) for raw in signal.raw_range)
    reach = f"{signal.name} is at most {greatest:.6g}"
    if signal.unit in _SPELLINGS[1] and any(abs(greatest - turn) < 0.02 for turn in (1.5708, 3.1416, _FULL_TURN_RAD)):
        what = f"{reach}, a part of a turn in radians, but its unit is {signal.unit!r}"
        yield WrongUnit(message, signal, "unit-angle", what, "Write rad, or multiply the scale by 57.29578.")
    elif signal.unit == "rad" and any(abs(greatest - turn) < 1.01 for turn in (90, 180, 360)):
        what = f"{reach}, a part of a turn in degrees, but its unit is 'rad'"
        yield WrongUnit(message, signal, "unit-angle", what, "Write deg, or multiply the scale by 0.01745329.")


def _spellings(messages: Sequence[MessageDef]) -> Iterator[WrongUnit]:
    """One finding for each unit that a file writes in several ways, at the first of a rarer spelling."""
    used: dict[str, list[tuple[MessageDef, SignalDef]]] = defaultdict(list)
    for message in messages:
        for signal in message.signals:
            if signal.unit:
                used[signal.unit].append((message, signal))
    for group in _SPELLINGS:
        found = sorted((unit for unit in group if unit in used), key=lambda unit: (-len(used[unit]), unit))
        if len(found) < 2:
            continue
        message, signal = used[found[1]][0]
        listed = ", ".join(f"{unit!r} ({len(used[unit])}×)" for unit in found)
        what = f"one unit is written in {len(found)} ways: {listed}"
        yield WrongUnit(message, signal, "unit-spelling", what, f"Write {found[0]!r} everywhere.")


def _plain_words(name: str) -> str:
    """`BatteryTemp_1` -> `battery temp_1`: words that can be matched whole."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).lower()
