"""The satellite receiver: where the car is, with a slow drift and a little noise."""

from typing import Final

import numpy as np

from ved.canbus.simulation.signals import KMH, Floats, Noise, Signals
from ved.canbus.simulation.track import Place, Track

DRIFT_M: Final = 0.6
DRIFT_S: Final = 45.0
NOISE_M: Final = 0.06


class GpsReceiver:
    """Measures chunk after chunk. The drift is a Gauss-Markov process, linear over a chunk."""

    def __init__(self, track: Track, step_s: float) -> None:
        self._track, self._step_s = track, step_s
        self._drift_m = np.zeros(3)

    def measure(self, place: Place, speed_m_s: Floats, noise: Noise) -> dict[str, Signals]:
        """GpsPosition, GpsMotion and GpsStatus."""
        steps = len(speed_m_s)
        share = (np.arange(steps) + 1) / steps
        keep = np.exp(-steps * self._step_s / DRIFT_S)
        kick = np.array([noise.of(1.0)[0] for _ in range(3)])
        drift = keep * self._drift_m + DRIFT_M * np.sqrt(1 - keep**2) * kick
        off = self._drift_m[:, None] + (drift - self._drift_m)[:, None] * share
        self._drift_m = drift
        latitude, longitude = self._track.to_geographic(
            place.x_m + off[0] + noise.of(NOISE_M), place.y_m + off[1] + noise.of(NOISE_M)
        )
        accuracy = 0.55 + 0.25 * np.abs(off[0])
        return {
            "GpsPosition": {"Latitude": latitude, "Longitude": longitude},
            "GpsMotion": {
                "Speed": np.maximum(KMH * speed_m_s + noise.of(0.12), 0.0),
                "Course": place.course_deg,
                "Altitude": self._track.altitude_m + place.height_m + 1.5 * off[2],
            },
            "GpsStatus": {
                "FixValid": 1.0,
                "FixType": 3.0,
                "Satellites": np.rint(14 - 2 * accuracy),
                "HorizontalAccuracy": accuracy,
            },
        }
