"""Walks behind the server's "stored": what may be trimmed from the car's journal, and what was lost in it."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ved.codec.link import Space
from ved.codec.records import decode_record
from ved.errors import CorruptDataError
from ved.link.holes import POSTHUMOUS, EpochEnd, Hole, Trail, declaration
from ved.link.ledger import Ledger
from ved.link.span import Span
from ved.link.walker import Kept, Walker
from ved.model.records import Loss


@dataclass(frozen=True, slots=True)
class LossReport:
    """How holes become loss records. `is_on_way(epoch, first, last)`: some of these seqs may still arrive."""

    vehicle: str
    ends: tuple[EpochEnd, ...]
    is_on_way: Callable[[bytes, int, int], bool]
    declare: Callable[[Loss], None]


@dataclass(frozen=True, slots=True)
class _Mark:
    """A record to be passed once it is stored, or a hole once it is accounted for."""

    position: int
    epoch: bytes
    span: Span
    hole: Hole | None = None


class Frontier:
    """Everything below `position` is stored, or declared lost; only what lies below `trim_before` may be trimmed.

    `trim_before` leaves the last batch below `position` in the journal: damage behind it is measured from there.
    """

    def __init__(self, path: Path, first: int, report: LossReport) -> None:
        self._walker = Walker(path)
        self._report = report
        self._trail = Trail(report.ends)
        self._marks: deque[_Mark] = deque()
        self._read_to = first
        self._declared: set[tuple[bytes, int]] = set()
        self._searched: set[bytes] = set()
        self.position = first
        self.trim_before = first
        self.asks: bytes | None = None
        """An epoch of which the server must say what it holds, before a hole can be told from what is stored."""

    @property
    def waiting_epoch(self) -> bytes | None:
        """The epoch of the first record that is not stored, when one was seen."""
        return self._marks[0].epoch if self._marks else None

    async def advance(self, ledger: Ledger, end: int) -> int:
        """Move past everything that is stored, at most to `end`; returns the position. StorageError as for a reader."""
        self.asks = None
        while True:
            while self._marks:
                mark = self._marks[0]
                if mark.hole is not None:
                    if not await self._is_accounted_for(mark, mark.hole, ledger):
                        return self.position
                elif not ledger.is_stored(mark.epoch, mark.span):
                    self.position = mark.position
                    return self.position
                else:
                    self.position = mark.position + 1
                    self.trim_before = mark.position if mark.span.space == Space.SEQ else self.trim_before
                self._marks.popleft()
            if self._read_to >= end:
                self.position = max(self.position, self._read_to)
                return self.position
            records, position = await self._walker.read(self._read_to)
            if position == self._read_to:
                return self.position
            self._read_to = position
            for kept in records:
                self._mark(kept)

    def close(self) -> None:
        """Give the files back."""
        self._walker.close()

    def _mark(self, kept: Kept) -> None:
        for hole in self._trail.follow(kept):
            self._marks.append(_Mark(kept.position, hole.epoch, hole.span, hole))
        self._marks.append(_Mark(kept.position, kept.epoch, kept.span))

    async def _is_accounted_for(self, mark: _Mark, hole: Hole, ledger: Ledger) -> bool:
        """True once the server has stored every frame of the hole, or a record that says that it is lost."""
        if ledger.is_stored(mark.epoch, mark.span):
            return True
        if not ledger.is_known(hole.epoch):
            self.asks = hole.epoch
            return False
        if hole.note_at is not None:
            await self._declare(hole, (mark.span.first, mark.span.last))
            return False
        if hole.epoch not in self._searched:
            await self._search(hole.epoch, ledger, mark.position)
            self._searched.add(hole.epoch)
        is_done = True
        for run in ledger.lacking(hole.epoch, hole.first, hole.last):
            note = Span(Space.NOTE, POSTHUMOUS + run[0], POSTHUMOUS + run[0])
            if ledger.is_stored(hole.epoch, note):
                continue
            is_done = False
            if not ledger.is_underway(hole.epoch, *run) and not self._report.is_on_way(hole.epoch, *run):
                await self._declare(hole, run)
        return is_done

    async def _declare(self, hole: Hole, run: tuple[int, int]) -> None:
        """Once in this life; a record that an earlier life made of the same run is the same."""
        key = (hole.epoch, run[0])
        if key in self._declared:
            return
        before = None if hole.before is None else await self._walker.at(hole.before)
        after = None if hole.after is None else await self._walker.at(hole.after)
        self._declared.add(key)
        self._report.declare(declaration(self._report.vehicle, hole, run, before, after))

    async def _search(self, epoch: bytes, ledger: Ledger, position: int) -> None:
        """Enter what loss records further on in the journal say of an epoch: an earlier life gave these frames up."""
        walker = Walker(self._walker.path)
        try:
            while True:
                records, after = await walker.read(position)
                if after == position:
                    return
                position = after
                for kept in records:
                    loss = _loss_of(kept) if kept.epoch == epoch else None
                    if loss is not None and loss.first_seq:
                        ledger.give_up(epoch, loss.first_seq, loss.last_seq)
        finally:
            walker.close()


def _loss_of(kept: Kept) -> Loss | None:
    if kept.span.space != Space.NOTE:
        return None
    try:
        found = decode_record(kept.record)
    except CorruptDataError:
        return None
    return found if isinstance(found, Loss) else None
