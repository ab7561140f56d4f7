"""The course of about one kilometre that the simulated Formula Student car drives."""

from typing import Final

from ved.canbus.simulation.track import Course

# As cones would mark an endurance on a paddock; beside the Circuit Carole at Tremblay-en-France, north-east of Paris.
ENDURANCE: Final = Course(
    points=(
        (0, 0), (25, 0), (50, 0), (76, 3), (97, 14), (107, 34), (101, 54), (104, 74), (108, 92), (100, 106), (86, 103),
        (80, 86), (77, 64), (71, 47), (61, 41), (53, 49), (52, 66), (50, 86), (41, 103), (24, 114), (4, 118),
        (-16, 111), (-36, 118), (-56, 111), (-76, 118), (-97, 115), (-107, 100), (-100, 84), (-80, 77), (-58, 73),
        (-49, 62), (-55, 50), (-72, 43), (-92, 37), (-105, 23), (-102, 6), (-86, -5), (-63, -4), (-40, -1), (-20, 0),
    ),
    length_m=1_020.0,
    latitude_deg=48.9797,
    longitude_deg=2.5225,
    altitude_m=68.0,
)  # fmt: skip
