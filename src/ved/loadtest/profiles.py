"""Link profiles: what lies between a simulated car and the server."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class LinkProfile:
    """One way lasts `delay_s` and up to `jitter_s` more; each direction carries `rate` bytes/s.

    After about `stall_every_s` nothing passes for a time within `stall_s`; after about `cut_every_s` the connections
    are reset, and new ones for a time within `away_s`. 0: never.
    """

    delay_s: float = 0.0
    jitter_s: float = 0.0
    rate: float = 0.0
    stall_every_s: float = 0.0
    stall_s: tuple[float, float] = (0.0, 0.0)
    cut_every_s: float = 0.0
    away_s: tuple[float, float] = (0.0, 0.0)

    @property
    def is_plain(self) -> bool:
        """Nothing lies between."""
        return self == LinkProfile()


PROFILES: Final[dict[str, LinkProfile]] = {
    "none": LinkProfile(),
    "4g": LinkProfile(delay_s=0.025, jitter_s=0.015, rate=1_250_000),
    "4g-bad": LinkProfile(
        delay_s=0.06,
        jitter_s=0.06,
        rate=125_000,
        stall_every_s=8.0,
        stall_s=(0.3, 2.5),
        cut_every_s=20.0,
        away_s=(0.5, 3.0),
    ),
}
