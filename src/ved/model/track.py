"""A track: its start/finish line, sector lines and reference line, on the globe."""

from dataclasses import dataclass

Place = tuple[float, float]
"""Latitude and longitude in degrees."""


@dataclass(frozen=True, slots=True)
class TrackLine:
    """A line across the track. Crossed towards the left-hand normal of `start` -> `end` where `is_one_way`."""

    start: Place
    end: Place
    is_one_way: bool = False


@dataclass(frozen=True, slots=True)
class Track:
    """`lines`: start/finish first, then the sector lines in the order in which they are passed.

    `reference`: one lap from the start/finish line on, closed from its last place to its first; empty where unknown.
    """

    id: str
    name: str
    lines: tuple[TrackLine, ...]
    reference: tuple[Place, ...] = ()
