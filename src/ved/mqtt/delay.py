"""How far behind the live edge reading is, although the clocks of two machines need not agree. Pure."""

from typing import Final

BEHIND_US: Final = 3_000_000
"""Entries that waited so much longer than others are not the latest."""
STEADY_US: Final = 5_000_000
"""A wait that is the same after so long, give or take a fifth of it, stays."""


class Delay:
    """Compares how long entries waited, by ingest's clock and the one here, with the least so far: that is no wait.

    Who goes on at the live edge sees the wait come down, at once or while a stream that was held up catches up. A wait
    that stays as it is comes of a clock that was set: it is the new least.
    """

    def __init__(self) -> None:
        self._least_us: int | None = None
        self._mark: tuple[int, int] | None = None
        """A time since which reading is behind, and the wait then."""

    def behind_us(self, waited_us: int, now_us: int) -> int:
        """How much too long the newest entry waited; 0 when it is one of the latest (`now_us`: monotonic)."""
        if self._least_us is None or waited_us < self._least_us or self._is_steady(waited_us, now_us):
            self._least_us = waited_us
        behind_us = waited_us - self._least_us
        if behind_us <= BEHIND_US:
            self._mark = None
            return 0
        self._mark = self._mark or (now_us, waited_us)
        return behind_us

    def _is_steady(self, waited_us: int, now_us: int) -> bool:
        if self._mark is None or now_us - self._mark[0] < STEADY_US:
            return False
        before_us, self._mark = self._mark[1], (now_us, waited_us)
        return abs(waited_us - before_us) < STEADY_US // 5
