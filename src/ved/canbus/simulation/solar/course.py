"""The course of about 3.2 km that the solar prototype drives."""

from typing import Final

from ved.canbus.simulation.track import Course

# A fast circuit in a hilly wood; at Linas, south of Paris.
CIRCUIT: Final = Course(
    points=(
        (0, 0), (140, 0), (280, 4), (420, 0), (540, 14), (610, 60), (622, 130), (580, 186), (500, 200), (400, 196),
        (300, 215), (240, 280), (222, 370), (180, 440), (120, 460), (68, 430), (50, 360), (10, 300), (-70, 280),
        (-160, 300), (-250, 330), (-340, 318), (-410, 268), (-450, 190), (-448, 110), (-400, 45), (-310, 12),
        (-200, 0), (-100, -2),
    ),
    length_m=3_205.0,
    latitude_deg=48.6196,
    longitude_deg=2.2446,
    altitude_m=142.0,
    hills=((1, 5.0, 0.9), (2, 2.4, 2.6), (3, 1.0, 0.3)),
)  # fmt: skip
