"""Which channels place a vehicle on the map: found by their names and units."""

import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from ved.model.channel import Channel
from ved.model.vehicle import MapChannels

_LATITUDE: Final = frozenset({"latitude", "lat"})
_LONGITUDE: Final = frozenset({"longitude", "long", "lon", "lng"})
_VALID: Final = frozenset({"valid", "validity", "fix"})
_POSITION: Final = frozenset({"position", "pos", "gps", "gnss", "latitude", "longitude"})
_RECEIVER: Final = frozenset({"gps", "gnss", "latitude", "longitude", "utm", "northing", "easting"})
_DEGREES: Final = frozenset({"", "deg", "degree", "degrees", "°"})
_SPEED: Final = frozenset({"speed", "velocity"})
_NOT_THE_VEHICLE: Final = frozenset(
    {"wind", "air", "target", "limit", "max", "min", "accuracy", "needed", "average", "up", "down", "vertical"}
)
_SPEED_UNITS_MPS: Final = {"km/h": 1 / 3.6, "kph": 1 / 3.6, "kmh": 1 / 3.6, "m/s": 1.0, "mph": 0.44704}
_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_NOT_A_PLACE: Final = frozenset(
    {"accuracy", "acceleration", "accel", "acc", "error", "std", "speed", "velocity", "rate"}
)

_Key = tuple[int | None, tuple[str, ...]]
_Frame = tuple[int | None, int, bool]


def find_map_channels(channels: Sequence[Channel]) -> MapChannels | None:
    """A latitude and a longitude channel of one message, else of one bus, and the channel that says they are valid.

    The first pair wins, one with a validity channel before one without; give only channels that have samples where
    that is known. None when there is no such pair.
    """
    longitudes: dict[_Key, list[Channel]] = defaultdict(list)
    flags: dict[_Frame, list[Channel]] = defaultdict(list)
    for channel in channels:
        if _is_axis(channel, _LONGITUDE):
            longitudes[_key(channel, _LONGITUDE)].append(channel)
        elif channel.kind == "discrete" and _VALID.intersection(_words(channel.signal)):
            flags[_frame(channel)].append(channel)
    found = []
    for latitude in channels:
        if _is_axis(latitude, _LATITUDE):
            partners = longitudes[_key(latitude, _LATITUDE)]
            beside = [channel for channel in partners if _frame(channel) == _frame(latitude)]
            if beside or partners:
                longitude = (beside or partners)[0]
                found.append(MapChannels(latitude.name, longitude.name, _best_flag(flags[_frame(latitude)])))
    return next((choice for choice in found if choice.valid), found[0] if found else None)


def find_speed_channels(channels: Sequence[Channel]) -> list[Channel]:
    """The channels of the vehicle's speed: called so, and nothing else, in a unit of speed."""
    return [one for one in channels if _is_speed(one)]


def _is_speed(channel: Channel) -> bool:
    words = set(_words(channel.signal))
    is_named = bool(words & _SPEED) and not words & _NOT_THE_VEHICLE
    return is_named and channel.kind == "continuous" and channel.unit.strip().lower() in _SPEED_UNITS_MPS


def tells_a_place(channel: Channel) -> bool:
    """True for whatever is of a satellite receiver, or a latitude or longitude by its name."""
    words = set(_words(channel.message)) | set(_words(channel.signal))
    return bool(words & _RECEIVER) or _is_axis(channel, _LATITUDE) or _is_axis(channel, _LONGITUDE)


def speed_factor(unit: str) -> float:
    """From a unit of speed to m/s."""
    return _SPEED_UNITS_MPS[unit.strip().lower()]


def _words(text: str) -> list[str]:
    """GPS_latitudeDeg -> gps, latitude, deg."""
    return [word.lower() for word in _WORD.findall(text)]


def _is_axis(channel: Channel, names: frozenset[str]) -> bool:
    words = _words(channel.signal)
    is_place = not _NOT_A_PLACE.intersection(words) and channel.unit.strip().lower() in _DEGREES
    return is_place and not names.isdisjoint(words) and channel.kind == "continuous"


def _key(channel: Channel, axis: frozenset[str]) -> _Key:
    """What both of a pair share: the bus, and the signal's words without the axis."""
    return channel.bus, tuple(word for word in _words(channel.signal) if word not in axis)


def _frame(channel: Channel) -> _Frame:
    return channel.bus, channel.arbitration_id, channel.is_extended


def _best_flag(flags: Sequence[Channel]) -> str:
    """Name of the flag that speaks of the position, else of the first; empty when there is none."""
    about_position = [channel for channel in flags if _POSITION.intersection(_words(channel.signal))]
    return next((channel.name for channel in (*about_position, *flags)), "")
