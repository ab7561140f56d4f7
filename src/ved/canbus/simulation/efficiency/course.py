"""The course of about 1.6 km that the efficiency prototype drives."""

from typing import Final

from ved.canbus.simulation.track import Course

# Wide corners on a motor-racing circuit, gently up and down; at Nogaro in the south-west of France.
CIRCUIT: Final = Course(
    points=(
        (0, 0), (90, 2), (180, 0), (265, 4), (318, 22), (335, 60), (312, 92), (265, 100), (200, 104), (150, 122),
        (128, 168), (122, 225), (104, 280), (78, 300), (52, 284), (44, 240), (30, 190), (-8, 166), (-60, 172),
        (-110, 190), (-160, 180), (-190, 140), (-195, 85), (-180, 35), (-135, 8), (-70, -1),
    ),
    length_m=1_612.0,
    latitude_deg=43.7689,
    longitude_deg=-0.0411,
    altitude_m=92.0,
    hills=((1, 1.5, 0.6), (2, 0.8, 2.1), (3, 0.3, 0.0)),
)  # fmt: skip
