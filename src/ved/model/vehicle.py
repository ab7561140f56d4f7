"""What is known of a vehicle before any frame arrives."""

import re
from dataclasses import dataclass
from typing import Final

from ved.model.alarmrule import Rule
from ved.model.gpsclock import GpsSignals
from ved.model.maths import MathsDef

NAME_PATTERN: Final = re.compile(r"[a-z][a-z0-9_-]{0,31}")


@dataclass(frozen=True, slots=True)
class VehicleBus:
    """One CAN bus: its index in the frames, its name, its bit rate and the DBC texts that describe it."""

    index: int
    name: str
    bitrate_hz: int
    interface: str
    dbc_names: tuple[str, ...]
    dbc_texts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MapChannels:
    """The channels that place the vehicle on the map; `valid` is a channel that must be non-zero, or empty."""

    latitude: str
    longitude: str
    valid: str = ""


@dataclass(frozen=True, slots=True)
class ChartPanel:
    """A strip chart of the default layout: a title in English and French, and its channels."""

    title_en: str
    title_fr: str
    channels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ChannelTexts:
    """What people read in place of a channel's name and unit, in English and French; empty: no other text."""

    channel: str
    title_en: str = ""
    title_fr: str = ""
    unit_en: str = ""
    unit_fr: str = ""


@dataclass(frozen=True, slots=True)
class Vehicle:
    """A vehicle folder, read: names, buses, map, default layout; `simulator` names its physical model or is empty.

    `aliases`: (short name, channel). `sensors`: addresses of values that are no CAN frames. `gps`: where UTC stands.
    """

    name: str
    title_en: str
    title_fr: str
    buses: tuple[VehicleBus, ...]
    map: MapChannels | None = None
    charts: tuple[ChartPanel, ...] = ()
    simulator: str = ""
    maths: tuple[MathsDef, ...] = ()
    aliases: tuple[tuple[str, str], ...] = ()
    texts: tuple[ChannelTexts, ...] = ()
    rules: tuple[Rule, ...] = ()
    sensors: tuple[str, ...] = ()
    gps: GpsSignals | None = None
