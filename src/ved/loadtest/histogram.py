"""Delays counted in narrow bins: cheap to note, exact to a bin, and easily sent from process to process."""

from collections.abc import Iterable, Mapping
from typing import Final

BIN_US: Final = 250
BINS: Final = 240_000
"""Up to a minute; what takes longer counts as a minute."""


class Histogram:
    """Delays in µs. A negative one (two clocks that differ) counts as none."""

    def __init__(self) -> None:
        self._bins = [0] * (BINS + 1)
        self.count = 0

    @staticmethod
    def of(counts: Mapping[int, int]) -> "Histogram":
        """What `counts` of another one said."""
        out = Histogram()
        for at, count in counts.items():
            out._bins[at] += count
            out.count += count
        return out

    def note(self, base_us: int, dt_us: Iterable[int]) -> None:
        """Delays of `base_us - dt` each."""
        bins = self._bins
        for dt in dt_us:
            at = (base_us - dt) // BIN_US
            bins[0 if at < 0 else min(at, BINS)] += 1
            self.count += 1

    def counts(self) -> dict[int, int]:
        """Bin number -> how many, without the empty bins."""
        return {at: count for at, count in enumerate(self._bins) if count}

    def percentile_ms(self, percent: float) -> float | None:
        """The delay that `percent` of all do not exceed: the upper edge of its bin; None while nothing was noted."""
        rank, seen = self.count * percent / 100, 0
        for at, count in enumerate(self._bins):
            seen += count
            if count and seen >= rank:
                return (at + 1) * BIN_US / 1000
        return None

    def shares(self, upto_ms: float, steps: int) -> list[tuple[float, float]]:
        """(delay in ms, share of all that do not exceed it) at `steps` delays up to `upto_ms`, for a plot."""
        out, seen, at = [], 0, 0
        for step in range(1, steps + 1):
            edge_ms = upto_ms * step / steps
            while at <= BINS and (at + 1) * BIN_US / 1000 <= edge_ms:
                seen += self._bins[at]
                at += 1
            out.append((edge_ms, seen / self.count if self.count else 0.0))
        return out
