"""Frames that were in the car's journal and cannot be read any more: where they lay, and how they are declared lost.

Invariants: seqs of an epoch follow each other in the journal. So a jump between two readable batches, an end before
the epoch's known end, or a first batch behind damage that is not the epoch's first, are holes. What of a hole the
server has stored, or what another loss record names, is not lost; the rest is declared, one record for each run of
seqs, under the number `POSTHUMOUS` + its first seq. The records on both sides stay in the journal until the server has
stored the declaration, so a restart makes the same one, byte for byte.

A record that cannot be read between two batches without a jump was a note: perhaps a loss that somebody must hear of,
of any time since the begin of its epoch. So may be all but one of several records with a jump.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from ved.codec.link import Space
from ved.codec.records import decode_record
from ved.errors import CorruptDataError
from ved.link.span import Span
from ved.link.walker import Kept, Lost
from ved.model.frames import FrameBatch
from ved.model.records import ALL_BUSES, Loss, LossPlace
from ved.model.samples import SampleBatch

POSTHUMOUS: Final = 1 << 32
"""Losses that name seqs are numbered from here by their first one: the agent's own numbers lie below."""

NOTE_LOSSES: Final = 1 << 48
"""Losses in the place of a note that cannot be read are numbered from here by its position in the journal."""


@dataclass(frozen=True, slots=True)
class EpochEnd:
    """An epoch that is over: its records lie below `end_position`, its frames are 1..`last_seq`, up to `end_us`."""

    epoch: bytes
    end_position: int
    last_seq: int
    end_us: int


@dataclass(frozen=True, slots=True)
class Hole:
    """Seqs that cannot be read, between the batches at `before` and `after` (None: there is none on that side).

    `note_at`: no seqs (0, 0), but a note that stood at this position.
    """

    epoch: bytes
    first: int
    last: int
    before: int | None
    after: int | None
    end_us: int = 0
    note_at: int | None = None

    @property
    def span(self) -> Span:
        """What the server has once the hole is closed: its seqs, or what is declared in a note's place."""
        if self.note_at is None:
            return Span(Space.SEQ, self.first, self.last)
        return Span(Space.NOTE, NOTE_LOSSES + self.note_at, NOTE_LOSSES + self.note_at)


class Trail:
    """Follows the records of a journal in order and finds the holes. `ends` are in the order of their positions."""

    def __init__(self, ends: Sequence[EpochEnd]) -> None:
        self._ends = deque(ends)
        self._epoch = b""
        self._next_seq = 1
        self._batch_at: int | None = None
        self._is_after_damage = False  # since the last batch
        self._lost: Lost | None = None  # since the last batch

    def follow(self, kept: Kept) -> list[Hole]:
        """The holes right before this record."""
        holes: list[Hole] = []
        self._is_after_damage |= kept.is_after_damage
        if kept.lost is not None:
            self._lost = Lost.join(self._lost, kept.lost)
        while self._ends and self._ends[0].end_position <= kept.position:
            holes += self._close(self._ends.popleft())
        if kept.span.space != Space.SEQ:
            return holes
        if kept.epoch != self._epoch:
            if self._batch_at is not None:  # of a recording that did not come to its end
                holes += self._lost_notes(Hole(self._epoch, 0, 0, self._batch_at, None), kept.position)
            # Without damage, what lay before its first batch was trimmed, or never was.
            self._epoch, self._batch_at = kept.epoch, None
            self._next_seq = 1 if self._is_after_damage else kept.span.first
        hole = Hole(kept.epoch, self._next_seq, kept.span.first - 1, self._batch_at, kept.position)
        holes += self._lost_between(hole, kept.position)
        self._next_seq = max(self._next_seq, kept.span.last + 1)
        self._batch_at = kept.position
        self._is_after_damage = False
        self._lost = None
        return holes

    def _close(self, end: EpochEnd) -> list[Hole]:
        """The epoch is over: its last batch must have come. Of an epoch that left nothing, only damage tells."""
        is_seen = end.epoch == self._epoch
        if not (is_seen or self._is_after_damage):
            return []
        first, before = (self._next_seq, self._batch_at) if is_seen else (1, None)
        holes = self._lost_between(Hole(end.epoch, first, end.last_seq, before, None, end.end_us), end.end_position)
        if self._lost is not None:
            behind = max(self._lost.first, end.end_position)
            self._lost = replace(self._lost, first=behind) if behind < self._lost.end else None
        if is_seen:
            self._next_seq, self._batch_at = max(self._next_seq, end.last_seq + 1), None
        return holes

    def _lost_between(self, hole: Hole, end: int) -> list[Hole]:
        """The hole, if it has seqs, and what notes below position `end` may have told."""
        holes = [hole] if hole.first <= hole.last else []
        is_more = self._lost is not None and self._lost.count > len(holes)
        return holes + (self._lost_notes(hole, end) if is_more else [])

    def _lost_notes(self, hole: Hole, end: int) -> list[Hole]:
        if self._lost is None or self._lost.first >= end:
            return []
        return [replace(hole, first=0, last=0, note_at=self._lost.first)]


def batch_times(record: bytes | None) -> tuple[int, int] | None:
    """Earliest and latest time of a batch's frames; None when it is not there, or cannot be read."""
    if record is None:
        return None
    try:
        found = decode_record(record)
    except CorruptDataError:
        return None
    if isinstance(found, FrameBatch):
        t_us = found.frames.t_us
    elif isinstance(found, SampleBatch):
        t_us = found.samples.t_us
    else:
        return None
    return (int(t_us.min()), int(t_us.max())) if len(t_us) else None


def declaration(vehicle: str, hole: Hole, run: tuple[int, int], before: bytes | None, after: bytes | None) -> Loss:
    """The loss of one run of a hole's seqs, inside the time of the records on both sides; or what a note may have told.

    `run` means nothing for a note.
    """
    first, last = run
    earlier, later = batch_times(before), batch_times(after)
    t_from_us = earlier[0] if earlier else 0
    t_to_us = max(earlier[1] if earlier else 0, later[1] if later else hole.end_us)
    if hole.note_at is not None:
        number = NOTE_LOSSES + hole.note_at
        return Loss(vehicle, hole.epoch, number, LossPlace.CAR_DISK, ALL_BUSES, -1, 0, t_to_us)
    number, count = POSTHUMOUS + first, last - first + 1
    return Loss(vehicle, hole.epoch, number, LossPlace.CAR_DISK, ALL_BUSES, count, t_from_us, t_to_us, first, last)
