"""Which numbers of which epochs are here: the sets that make at-least-once into exactly once."""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from ved.codec.link import MAX_RUNS, Held, Received, Space, Stored
from ved.codec.records import RecordHeader
from ved.model.intervals import Intervals
from ved.model.records import RecordKind

MAX_EPOCHS: Final = 20_000
MAX_RECENT: Final = 20_000

EpochKey = tuple[str, bytes]
"""Vehicle and epoch."""


@dataclass(frozen=True, slots=True)
class Span:
    """The numbers of one record on the number line that they belong to."""

    space: Space
    first: int
    last: int


def span_of(header: RecordHeader) -> Span:
    """The seqs of a batch, or a note's own number."""
    if header.kind == RecordKind.BATCH:
        return Span(Space.SEQ, header.number, header.number + header.count - 1)
    return Span(Space.NOTE, header.number, header.number)


@dataclass(frozen=True, slots=True)
class Seen:
    """A record that came lately: what a second one with the same number is compared with."""

    last: int
    crc: int
    position: int


def _both() -> dict[Space, Intervals]:
    return {space: Intervals() for space in Space}


@dataclass(slots=True)
class EpochState:
    """One epoch: what was taken (memory or disk) and what is durable. `recent` is by (space, first), oldest first."""

    received: dict[Space, Intervals] = field(default_factory=_both)
    stored: dict[Space, Intervals] = field(default_factory=_both)
    recent: OrderedDict[tuple[Space, int], Seen] = field(default_factory=OrderedDict)

    def remember(self, span: Span, seen: Seen) -> None:
        """Keep what a resent record is compared with; the oldest goes when there are too many."""
        self.recent[(span.space, span.first)] = seen
        if len(self.recent) > MAX_RECENT:
            self.recent.popitem(last=False)

    def forget(self, span: Span) -> None:
        """The record was dropped before it reached the journal: it is not here."""
        self.recent.pop((span.space, span.first), None)
        kept = Intervals()
        for first, last in self.received[span.space]:
            if first < span.first:
                kept.add(first, min(last, span.first - 1))
            if last > span.last:
                kept.add(max(first, span.last + 1), last)
        self.received[span.space] = kept

    def held(self, epoch: bytes) -> Held:
        """All of it as a message; the latest runs where there are too many for one."""
        sets: list[Received | Stored] = []
        for space in Space:
            if runs := self.received[space].runs()[-MAX_RUNS:]:
                sets.append(Received(epoch, space, tuple(runs)))
            if runs := self.stored[space].runs()[-MAX_RUNS:]:
                sets.append(Stored(epoch, space, tuple(runs)))
        return Held(epoch, tuple(sets))


class Accepted:
    """The states of all epochs, most recently used last; the longest unused go when there are too many.

    Losing a state is harmless: what is sent again is stored again, and the lake takes each seq once.
    """

    def __init__(self) -> None:
        self._states: OrderedDict[EpochKey, EpochState] = OrderedDict()

    def state(self, vehicle: str, epoch: bytes) -> EpochState:
        """The state of an epoch, made if new."""
        key = (vehicle, epoch)
        found = self._states.get(key)
        if found is None:
            found = self._states[key] = EpochState()
            if len(self._states) > MAX_EPOCHS:
                self._states.popitem(last=False)
        else:
            self._states.move_to_end(key)
        return found

    def items(self) -> list[tuple[EpochKey, EpochState]]:
        """All epochs, longest unused first."""
        return list(self._states.items())
