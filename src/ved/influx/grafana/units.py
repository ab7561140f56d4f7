"""Units of a DBC as Grafana knows them. Source: Grafana's list of unit ids (@grafana/data, valueFormats/categories)."""

from typing import Final

_KNOWN: Final = {
    "km/h": "velocitykmh",
    "kph": "velocitykmh",
    "m/s": "velocityms",
    "rpm": "rotrpm",
    "1/min": "rotrpm",
    "rad/s": "rotrads",
    "°/s": "rotdegs",
    "deg/s": "rotdegs",
    "V": "volt",
    "mV": "mvolt",
    "A": "amp",
    "mA": "mamp",
    "Ohm": "ohm",
    "mOhm": "mohm",
    "kOhm": "kohm",
    "W": "watt",
    "kW": "kwatt",
    "W/m²": "Wm2",
    "Wh": "watth",
    "kWh": "kwatth",
    "Ah": "amph",
    "J": "joule",
    "°C": "celsius",
    "degC": "celsius",
    "K": "kelvin",
    "%": "percent",
    "bar": "pressurebar",
    "mbar": "pressurembar",
    "hPa": "pressurehpa",
    "kPa": "pressurekpa",
    "N": "forceN",
    "kN": "forcekN",
    "N·m": "forceNm",
    "Nm": "forceNm",
    "m": "lengthm",
    "mm": "lengthmm",
    "km": "lengthkm",
    "m/s²": "accMS2",
    "m/s^2": "accMS2",
    "g": "accG",
    "°": "degree",
    "deg": "degree",
    "rad": "radian",
    "s": "s",
    "ms": "ms",
    "Hz": "hertz",
    "L/min": "flowlpm",
}
NO_UNIT: Final = "none"
AGO: Final = "dateTimeFromNow"
SUFFIX: Final = "suffix:"


def grafana_unit(unit: str) -> str:
    """The id of a unit; one that Grafana does not know is written behind the number as it is."""
    if not unit:
        return NO_UNIT
    return _KNOWN.get(unit, f"{SUFFIX} {unit}")


def is_known(unit_id: str) -> bool:
    """True for what `grafana_unit` may say."""
    return unit_id in {NO_UNIT, AGO, *_KNOWN.values()} or unit_id.startswith(SUFFIX)
