"""The gap ledger of an epoch: per second, how many frames came live, came late, are missing or lost (and where).

What came is counted in blocks of seconds; what did not is a list of spans, each a run of frames over an interval of
time. Taking the same record twice changes nothing, so that the stream may be read again after a crash.
"""

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ved.model.records import Lane, Loss

SECOND_US: Final = 1_000_000
BLOCK_SECONDS: Final = 300
MISSING: Final = 0
"""Place of a span whose frames neither came nor were declared lost; the other places are those of `LossPlace`."""
UNKNOWN: Final = -1

_FIRST: Final = attrgetter("first_seq")


class Span(NamedTuple):
    """Frames that did not come. `frames` is -1 where nobody counted; `first_seq` is 0 where they never had a seq.

    Missing frames lie between their neighbours in time; lost ones where the loss was declared.
    """

    place: int
    first_seq: int
    last_seq: int
    t_from_us: int
    t_to_us: int
    frames: int
    bus: int = 255
    number: int = 0


class Head(NamedTuple):
    """How far an epoch's seqs are known, and which times (µs of the epoch) its ledger covers."""

    highest_seq: int = 0
    highest_t_us: int = 0
    t_first_us: int = 1 << 62
    t_last_us: int = -(1 << 62)


@dataclass(frozen=True, slots=True)
class LedgerChange:
    """What a store has to add since the last time. `arrived[block]` is int64[2, BLOCK_SECONDS]: live, backfilled."""

    head: Head
    arrived: dict[int, NDArray[np.int64]]
    gone: tuple[Span, ...]
    new: tuple[Span, ...]


class EpochLedger:
    """The ledger of one epoch as it grows, from what a store has of it."""

    def __init__(self, head: Head | None = None, spans: Sequence[Span] = ()) -> None:
        self._head = head or Head()
        self._stored = set(spans)
        self._nameless = {one for one in spans if not one.first_seq}
        self._missing = sorted((one for one in spans if one.first_seq and one.place == MISSING), key=_FIRST)
        self._lost = sorted((one for one in spans if one.first_seq and one.place != MISSING), key=_FIRST)
        self._arrived: dict[int, NDArray[np.int64]] = defaultdict(lambda: np.zeros((2, BLOCK_SECONDS), np.int64))
        self._is_changed = False

    @property
    def is_changed(self) -> bool:
        """True when `take_change` has something to tell."""
        return self._is_changed

    def spans(self) -> list[Span]:
        """All that did not come."""
        return [*self._missing, *self._lost, *self._nameless]

    def missing_frames(self) -> int:
        """Frames below the highest seq that neither came nor were declared lost."""
        return sum(one.frames for one in self._missing)

    def arrive(self, first_seq: int, t_us: NDArray[np.int64], lane: Lane) -> None:
        """A batch came: `t_us[i]` is the time of frame `first_seq + i`. Frames that came before do not count again."""
        last_seq = first_seq + len(t_us) - 1
        edges = int(t_us[0]), int(t_us[-1])
        is_new = np.zeros(len(t_us), np.bool_)
        for first, last in self._uncover(first_seq, last_seq, *edges):
            is_new[first - first_seq : last - first_seq + 1] = True
        for lost in _overlapping(self._lost, first_seq, last_seq):
            first, last = max(first_seq, lost.first_seq), min(last_seq, lost.last_seq)
            is_new[first - first_seq : last - first_seq + 1] = True
            self._lost.remove(lost)
            for rest in (_cut(lost, lost.first_seq, first - 1), _cut(lost, last + 1, lost.last_seq)):
                if rest is not None:
                    insort(self._lost, rest, key=_FIRST)
        if is_new.any():
            self._is_changed = True
            self._count(t_us if is_new.all() else t_us[is_new], lane)

    def lose(self, loss: Loss) -> None:
        """A loss was declared. What came, or was declared lost before, stays what it is."""
        times = min(loss.t_from_us, loss.t_to_us), max(loss.t_from_us, loss.t_to_us)
        if loss.count < 0 or not loss.first_seq:
            one = Span(loss.place, 0, 0, *times, max(loss.count, UNKNOWN), loss.bus, loss.number)
            if one not in self._nameless:
                self._nameless.add(one)
                self._cover(*times)
            return
        for first, last in self._uncover(loss.first_seq, loss.last_seq, *times):
            frames = last - first + 1
            one = Span(loss.place, first, last, *times, frames, loss.bus, loss.number)
            insort(self._lost, one, key=_FIRST)
            self._cover(*times)

    def take_change(self) -> LedgerChange:
        """What changed since the last call; the caller stores it whole, or asks never again."""
        now = set(self.spans())
        change = LedgerChange(self._head, dict(self._arrived), tuple(self._stored - now), tuple(now - self._stored))
        self._stored = now
        self._arrived.clear()
        self._is_changed = False
        return change

    def _uncover(self, first_seq: int, last_seq: int, t_from_us: int, t_to_us: int) -> list[tuple[int, int]]:
        """The runs of these seqs that were missing or never heard of; they are no longer missing."""
        out = []
        for gap in _overlapping(self._missing, first_seq, last_seq):
            out.append((max(first_seq, gap.first_seq), min(last_seq, gap.last_seq)))
            self._missing.remove(gap)
            self._miss(gap.first_seq, first_seq - 1, gap.t_from_us, t_from_us)
            self._miss(last_seq + 1, gap.last_seq, t_to_us, gap.t_to_us)
        highest = self._head.highest_seq
        if last_seq > highest:
            self._miss(highest + 1, first_seq - 1, self._head.highest_t_us, t_from_us)
            out.append((max(first_seq, highest + 1), last_seq))
            self._head = self._head._replace(highest_seq=last_seq, highest_t_us=t_to_us)
        return out

    def _miss(self, first: int, last: int, t_from_us: int, t_to_us: int) -> None:
        if first <= last:
            times = min(t_from_us, t_to_us), max(t_from_us, t_to_us)
            insort(self._missing, Span(MISSING, first, last, *times, last - first + 1), key=_FIRST)
            self._cover(*times)

    def _count(self, t_us: NDArray[np.int64], lane: Lane) -> None:
        seconds, counts = np.unique(t_us // SECOND_US, return_counts=True)
        row = 0 if lane == Lane.LIVE else 1
        for second, count in zip(seconds.tolist(), counts.tolist(), strict=True):
            self._arrived[second // BLOCK_SECONDS][row, second % BLOCK_SECONDS] += count
        self._cover(int(t_us.min()), int(t_us.max()))

    def _cover(self, t_from_us: int, t_to_us: int) -> None:
        head = self._head
        self._head = head._replace(t_first_us=min(head.t_first_us, t_from_us), t_last_us=max(head.t_last_us, t_to_us))
        self._is_changed = True


def _overlapping(spans: Sequence[Span], first_seq: int, last_seq: int) -> list[Span]:
    """Those of the sorted, disjoint spans that hold any of these seqs."""
    at = bisect_left(spans, first_seq, key=_FIRST)
    at -= at > 0 and spans[at - 1].last_seq >= first_seq
    out = []
    while at < len(spans) and spans[at].first_seq <= last_seq:
        out.append(spans[at])
        at += 1
    return out


def _cut(span: Span, first: int, last: int) -> Span | None:
    """The part first..last of a lost span, or None where it is empty; nobody knows when in its interval it was."""
    return span._replace(first_seq=first, last_seq=last, frames=last - first + 1) if first <= last else None
