"""Units of measurement: what they measure, their size in SI, and how they combine."""

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import pi
from typing import Final

Dimension = tuple[tuple[str, Fraction], ...]
"""Powers of base units, by name; () is a pure number. A text that nobody knows is a base unit of its own."""


@dataclass(frozen=True, slots=True)
class Unit:
    """SI value = value * `factor` + `offset`. `text` is what people read."""

    text: str
    dimension: Dimension
    factor: float = 1.0
    offset: float = 0.0

    @property
    def is_number(self) -> bool:
        """True for parts of one and angles: %, rad, deg."""
        return not self.dimension


def _of(factor: float, offset: float = 0.0, **powers: int) -> tuple[Dimension, float, float]:
    return tuple(sorted((name, Fraction(power)) for name, power in powers.items())), factor, offset


_PREFIXED: Final = {
    "m": _of(1, m=1),
    "s": _of(1, s=1),
    "A": _of(1, A=1),
    "K": _of(1, K=1),
    "g": _of(9.80665, m=1, s=-2),
    "N": _of(1, kg=1, m=1, s=-2),
    "J": _of(1, kg=1, m=2, s=-2),
    "Nm": _of(1, kg=1, m=2, s=-2),
    "W": _of(1, kg=1, m=2, s=-3),
    "Ws": _of(1, kg=1, m=2, s=-2),
    "Wh": _of(3600, kg=1, m=2, s=-2),
    "V": _of(1, kg=1, m=2, s=-3, A=-1),
    "As": _of(1, A=1, s=1),
    "Ah": _of(3600, A=1, s=1),
    "Ohm": _of(1, kg=1, m=2, s=-3, A=-2),
    "Ω": _of(1, kg=1, m=2, s=-3, A=-2),
    "F": _of(1, kg=-1, m=-2, s=4, A=2),
    "H": _of(1, kg=1, m=2, s=-2, A=-2),
    "T": _of(1, kg=1, s=-2, A=-1),
    "Wb": _of(1, kg=1, m=2, s=-2, A=-1),
    "Pa": _of(1, kg=1, m=-1, s=-2),
    "bar": _of(1e5, kg=1, m=-1, s=-2),
    "Hz": _of(1, s=-1),
    "L": _of(1e-3, m=3),
    "l": _of(1e-3, m=3),
    "rad": _of(1),
}
_PLAIN: Final = {
    "kg": _of(1, kg=1),
    "t": _of(1000, kg=1),
    "min": _of(60, s=1),
    "h": _of(3600, s=1),
    "mol": _of(1, mol=1),
    "psi": _of(6894.757293168, kg=1, m=-1, s=-2),
    "rpm": _of(2 * pi / 60, s=-1),
    "deg": _of(pi / 180),
    "°": _of(pi / 180),
    "%": _of(0.01),
    "‰": _of(0.001),
    "ppm": _of(1e-6),
    "degC": _of(1, 273.15, K=1),
    "degF": _of(5 / 9, 273.15 - 32 * 5 / 9, K=1),
    "mph": _of(0.44704, m=1, s=-1),
    "kn": _of(1852 / 3600, m=1, s=-1),
}
_PREFIXES: Final = {
    "T": 1e12, "G": 1e9, "M": 1e6, "k": 1e3, "h": 1e2, "d": 1e-1, "c": 1e-2,
    "m": 1e-3, "u": 1e-6, "µ": 1e-6, "μ": 1e-6, "n": 1e-9,
}  # fmt: skip
_SAME: Final = {
    **dict.fromkeys(("°C", "ºC", "deg C", "DegC", "C", "celsius", "Celsius", "degree C"), "degC"),
    **dict.fromkeys(("°F", "deg F"), "degF"),
    **dict.fromkeys(("kph", "kmh", "KPH", "Km/h", "kmph", "km/hr"), "km/h"),
    **dict.fromkeys(("RPM", "Rpm", "1/min", "rev/min", "U/min", "tr/min", "min-1"), "rpm"),
    **dict.fromkeys(("degree", "degrees", "Deg", "º"), "deg"),
    **dict.fromkeys(("percent", "Percent", "pct", "PERCENT"), "%"),
    **dict.fromkeys(("sec", "Sec", "second", "seconds"), "s"),
    **dict.fromkeys(("Volt", "Volts", "volt", "volts"), "V"),
    **dict.fromkeys(("amp", "Amp", "amps", "Amps", "Ampere"), "A"),
    **dict.fromkeys(("N.m", "N*m", "N·m", "N m", "NM"), "Nm"),
    **dict.fromkeys(("dps", "deg/sec", "degree/s"), "deg/s"),
    **dict.fromkeys(("Bar", "BAR"), "bar"),
    **dict.fromkeys(("KPa", "kpa", "KPA"), "kPa"),
    **dict.fromkeys(("msec", "mS"), "ms"),
}
_DERIVED: Final = (
    "m", "s", "A", "K", "kg", "m/s", "m/s²", "N", "J", "W", "V", "Ohm", "Pa", "Hz", "As", "Wb", "T", "F", "H", "m²",
    "V·s", "K·s", "m³", "J/m", "N/m", "V/s", "A/s", "K/s", "W/s", "N/s", "Pa/s", "m/s³", "1/m", "1/V", "1/A", "1/N",
)  # fmt: skip
_FACTOR: Final = re.compile(r"([^\d^²³⁻¹/*·. -]+|1)\^?(-?\d|[²³]|⁻[¹²³])?")
_POWERS: Final = {"²": 2, "³": 3, "⁻¹": -1, "⁻²": -2, "⁻³": -3}


@lru_cache(maxsize=4096)
def parse_unit(text: str) -> Unit | None:
    """The unit that a DBC or a person wrote; None for an empty text. A text that nobody knows measures itself."""
    text = text.strip()
    if text in ("", "-", "1", "[-]"):
        return None
    found = _parse(_SAME.get(text, text))
    dimension, factor, offset = found or (((text, Fraction(1)),), 1.0, 0.0)
    return Unit(text, dimension, factor, offset)


def _parse(text: str) -> tuple[Dimension, float, float] | None:
    whole = _symbol(text)
    if whole is not None:
        return whole
    dimension: Dimension = ()
    factor = 1.0
    for number, below in enumerate(text.split("/")):
        parts = [part for part in re.split(r"[*·. ]", below.strip()) if part]
        if not parts:
            return None
        for part in parts:
            split = _FACTOR.fullmatch(part)
            symbol = None if split is None else _symbol(_SAME.get(split[1], split[1]))
            if split is None or symbol is None:
                return None
            written = split[2] or "1"
            power = Fraction(_POWERS.get(written) or int(written)) * (-1 if number else 1)
            dimension = combine(dimension, symbol[0], power)
            factor *= symbol[1] ** int(power)
    return dimension, factor, 0.0


def _symbol(text: str) -> tuple[Dimension, float, float] | None:
    if text == "1":
        return _of(1)
    known = _PLAIN.get(text) or _PREFIXED.get(text)
    if known is None and text[:1] in _PREFIXES and text[1:] in _PREFIXED:
        dimension, factor, _ = _PREFIXED[text[1:]]
        return dimension, factor * _PREFIXES[text[0]], 0.0
    return known


def combine(left: Dimension, right: Dimension, power: Fraction) -> Dimension:
    """`left` times `right` to that power."""
    powers = dict(left)
    for name, exponent in right:
        powers[name] = powers.get(name, Fraction(0)) + exponent * power
    return tuple(sorted((name, exponent) for name, exponent in powers.items() if exponent))


def product(left: Unit | None, right: Unit | None, power: Fraction) -> Unit:
    """The unit of left * right**power; None is a pure number."""
    dimension = combine(left.dimension if left else (), right.dimension if right else (), power)
    factor = (left.factor if left else 1.0) * (right.factor if right else 1.0) ** float(power)
    return Unit("", dimension, factor)


def readable(unit: Unit) -> Unit:
    """The same measure under a name: the unit itself, a derived SI unit, or base units with their powers."""
    if unit.text:
        return unit
    for text in _DERIVED:
        known = parse_unit(text)
        if known is not None and known.dimension == unit.dimension:
            return known
    text = "·".join(name if power == 1 else f"{name}^{power}" for name, power in unit.dimension)
    return Unit(text, unit.dimension)


def described(unit: Unit | None) -> str:
    """For an error: the unit's name, or that there is none."""
    return "no unit" if unit is None else readable(unit).text
