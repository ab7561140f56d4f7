"""Sets of whole numbers as sorted, disjoint, closed intervals: which seqs are already here."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray


class Intervals:
    """A mutable set of integers kept as [first, last] runs; neighbours are joined."""

    __slots__ = ("_firsts", "_lasts")

    def __init__(self, runs: Iterable[tuple[int, int]] = ()) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        for first, last in runs:
            self.add(first, last)

    @staticmethod
    def of(numbers: NDArray[np.int64]) -> "Intervals":
        """The set of these numbers (i64[n], in any order, also more than once)."""
        out = Intervals()
        ordered = np.unique(numbers)
        if len(ordered):
            cuts = np.flatnonzero(np.diff(ordered) > 1)
            out._firsts = ordered[np.r_[0, cuts + 1]].tolist()
            out._lasts = ordered[np.r_[cuts, len(ordered) - 1]].tolist()
        return out

    def add(self, first: int, last: int) -> None:
        """Put all of first..last (inclusive) into the set; ValueError when last < first."""
        if last < first:
            raise ValueError(f"empty run {first}..{last}")
        lo = bisect_left(self._lasts, first - 1)
        hi = bisect_right(self._firsts, last + 1)
        if lo < hi:
            first = min(first, self._firsts[lo])
            last = max(last, self._lasts[hi - 1])
        self._firsts[lo:hi] = [first]
        self._lasts[lo:hi] = [last]

    def contains(self, first: int, last: int) -> bool:
        """True when every number of first..last is in the set."""
        at = bisect_left(self._lasts, last)
        return at < len(self._lasts) and self._firsts[at] <= first

    def overlaps(self, first: int, last: int) -> bool:
        """True when any number of first..last is in the set."""
        at = bisect_left(self._lasts, first)
        return at < len(self._firsts) and self._firsts[at] <= last

    def missing(self, first: int, last: int) -> list[tuple[int, int]]:
        """The runs of first..last that are not in the set, in order."""
        out: list[tuple[int, int]] = []
        at = bisect_left(self._lasts, first)
        while first <= last and at < len(self._firsts) and self._firsts[at] <= last:
            if self._firsts[at] > first:
                out.append((first, self._firsts[at] - 1))
            first = self._lasts[at] + 1
            at += 1
        if first <= last:
            out.append((first, last))
        return out

    def count(self) -> int:
        """How many numbers are in the set."""
        return sum(self._lasts) - sum(self._firsts) + len(self._firsts)

    def runs(self) -> list[tuple[int, int]]:
        """All runs in order."""
        return list(zip(self._firsts, self._lasts, strict=True))

    def copy(self) -> "Intervals":
        """An independent copy."""
        out = Intervals()
        out._firsts, out._lasts = self._firsts[:], self._lasts[:]
        return out

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(self.runs())

    def __bool__(self) -> bool:
        return bool(self._firsts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Intervals) and self.runs() == other.runs()

    def __hash__(self) -> int:
        raise TypeError("Intervals is mutable")

    def __repr__(self) -> str:
        return f"Intervals({self.runs()})"
