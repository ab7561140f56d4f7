"""The sun over a day, and the clouds in front of it.

Position: Spencer, "Fourier series representation of the position of the sun", 1971. Air mass: Kasten and Young,
"Revised optical air mass tables", 1989. Clear sky: Meinel and Meinel, "Applied Solar Energy", 1976.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from ved.canbus.simulation.signals import Floats

DAY_OF_YEAR: Final = 152  # 1 June
SOLAR_CONSTANT_W_M2: Final = 1_353.0
DIFFUSE_SHARE: Final = 0.1  # of the beam, under a clear sky
CLOUD_S: Final = 70.0  # how long one lasts, about
CLOUD_BEAM: Final = 0.86  # what a thick cloud takes of the beam
CLOUD_DIFFUSE: Final = 1.3  # and what it adds to the diffuse light, as a share of that

_CLOUD_LEVEL: Final = 0.9  # of the noise above which there is a cloud
_CLOUD_EDGE: Final = 7.0


@dataclass(frozen=True, slots=True, eq=False)
class Light:
    """Sunlight at n times, arrays (n,): a unit vector to the sun (east, north, up), beam (on a plane that faces the
    sun) and diffuse irradiance in W/m², and the share of the sun that clouds cover."""

    east: Floats
    north: Floats
    up: Floats
    beam_w_m2: Floats
    diffuse_w_m2: Floats
    cloud: Floats

    @property
    def elevation_deg(self) -> Floats:
        """Height of the sun above the horizon."""
        out: Floats = np.degrees(np.arcsin(self.up))
        return out

    @property
    def azimuth_deg(self) -> Floats:
        """Direction of the sun, clockwise from north."""
        out: Floats = np.degrees(np.arctan2(self.east, self.north)) % 360
        return out

    @property
    def horizontal_w_m2(self) -> Floats:
        """Irradiance of a level plane: what a pyranometer shows."""
        out: Floats = self.beam_w_m2 * np.maximum(self.up, 0.0) + self.diffuse_w_m2
        return out


def sun_vector(utc_s: Floats, latitude_deg: float, longitude_deg: float) -> tuple[Floats, Floats, Floats]:
    """Unit vector to the sun (east, north, up) at seconds of the day DAY_OF_YEAR, UTC; later days follow."""
    day = 2 * np.pi / 365 * (DAY_OF_YEAR - 1 + (utc_s / 3600 - 12) / 24)
    equation_min = 229.18 * (
        0.000075
        + 0.001868 * np.cos(day)
        - 0.032077 * np.sin(day)
        - 0.014615 * np.cos(2 * day)
        - 0.040849 * np.sin(2 * day)
    )
    declination = (
        0.006918
        - 0.399912 * np.cos(day)
        + 0.070257 * np.sin(day)
        - 0.006758 * np.cos(2 * day)
        + 0.000907 * np.sin(2 * day)
        - 0.002697 * np.cos(3 * day)
        + 0.00148 * np.sin(3 * day)
    )
    hour_angle = np.radians((utc_s / 60 + equation_min + 4 * longitude_deg) / 4 - 180)
    latitude = math.radians(latitude_deg)
    return (
        -np.cos(declination) * np.sin(hour_angle),
        math.cos(latitude) * np.sin(declination) - math.sin(latitude) * np.cos(declination) * np.cos(hour_angle),
        math.sin(latitude) * np.sin(declination) + math.cos(latitude) * np.cos(declination) * np.cos(hour_angle),
    )


def clear_beam_w_m2(up: Floats) -> Floats:
    """Beam irradiance under a clear sky for the sine of the sun's elevation."""
    elevation = np.degrees(np.arcsin(np.maximum(up, 0.0)))
    air_mass = 1 / (np.maximum(up, 0.0) + 0.50572 * (elevation + 6.07995) ** -1.6364)
    out: Floats = np.where(up > 0, SOLAR_CONSTANT_W_M2 * 0.7 ** (air_mass**0.678), 0.0)
    return out


class Sky:
    """Sun and clouds between chunks. Clouds are where a slow noise (Gauss-Markov, linear over a chunk) is high."""

    def __init__(self, latitude_deg: float, longitude_deg: float, random: np.random.Generator) -> None:
        self._place, self._random = (latitude_deg, longitude_deg), random
        self._level = 0.0

    def run(self, utc_s: Floats, step_s: float) -> Light:
        """The light at n times, `step_s` apart."""
        east, north, up = sun_vector(utc_s, *self._place)
        cloud = self._clouds(len(utc_s), step_s)
        beam = clear_beam_w_m2(up)
        diffuse = DIFFUSE_SHARE * beam * (1 + CLOUD_DIFFUSE * cloud)
        return Light(east, north, up, beam * (1 - CLOUD_BEAM * cloud), diffuse, cloud)

    def _clouds(self, steps: int, step_s: float) -> Floats:
        keep = math.exp(-steps * step_s / CLOUD_S)
        after = keep * self._level + math.sqrt(1 - keep**2) * float(self._random.normal())
        level = self._level + (after - self._level) * (np.arange(steps) + 1) / steps
        self._level = after
        out: Floats = 1 / (1 + np.exp(-_CLOUD_EDGE * (level - _CLOUD_LEVEL)))
        return out
