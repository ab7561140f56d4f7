"""What record does with stream entries: keeps them until they are durable, then stores them, then moves the cursor.

Order, so that a kill at any point loses and doubles nothing: notes to the database (idempotent), frames to the lake
(idempotent by seq), cursor. Entries at or past the journal's durable mark wait.
"""

import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from ved.api.unpack import decode_entry
from ved.broker.base import StreamEntry
from ved.codec.records import peek
from ved.db.database import Database
from ved.db.epochs import note_clock, note_description, note_epoch, note_loss
from ved.errors import CorruptDataError
from ved.lake.lake import Lake
from ved.metrics import (
    FRAMES_STORED_TOTAL,
    LAKE_COMMITS_TOTAL,
    RECORDS_CORRUPT_TOTAL,
    SAMPLES_STORED_TOTAL,
    Counters,
)
from ved.model.clockmap import is_better
from ved.model.frames import FrameBatch
from ved.model.records import Clock, ClockSource, Description, LinkState, Loss, Record, RecordKind
from ved.model.samples import SampleBatch

_log = logging.getLogger(__name__)

EpochKey = tuple[str, bytes]


@dataclass(slots=True)
class _Pending:
    position: int
    utc_us: int
    record: Record


@dataclass(slots=True)
class _Waiting:
    """Decoded entries in order of position, notes and batches (of frames or samples) apart. `rows` of all batches."""

    notes: deque[_Pending] = field(default_factory=deque)
    batches: deque[_Pending] = field(default_factory=deque)
    rows: int = 0


class Recorder:
    """Takes entries in order; `store` makes them permanent. Blocking calls: run `store` off the event loop."""

    def __init__(
        self,
        db: Database,
        lake: Lake,
        counters: Counters,
        kinds: tuple[RecordKind, ...] = tuple(RecordKind),
    ) -> None:
        """`kinds`: what is kept of the stream."""
        self._kinds = kinds
        self._db = db
        self._lake = lake
        self._counters = counters
        self._waiting = _Waiting()
        self._known_epochs: set[EpochKey] = set()
        self._least_offset_us: dict[EpochKey, int] = {}
        self.wants_store = False

    @property
    def rows_waiting(self) -> int:
        """Frames and samples taken and not stored yet."""
        return self._waiting.rows

    @property
    def oldest_arrival_utc_us(self) -> int | None:
        """When the oldest batch that is not stored yet arrived."""
        return self._waiting.batches[0].utc_us if self._waiting.batches else None

    @property
    def notes_waiting(self) -> int:
        """Notes taken and not in the database yet."""
        return len(self._waiting.notes)

    def take(self, entries: Sequence[StreamEntry]) -> None:
        """Decode entries and keep them. A corrupt one is counted, named and left out."""
        for entry in entries:
            try:
                if peek(entry.record).kind not in self._kinds:
                    continue
                record = decode_entry(entry.record)
            except CorruptDataError as error:
                self._counters.add(RECORDS_CORRUPT_TOTAL)
                _log.warning("frames %d: %s", entry.position, error)
                continue
            pending = _Pending(entry.position, entry.arrival.utc_us, record)
            if isinstance(record, FrameBatch | SampleBatch):
                self._waiting.batches.append(pending)
                self._waiting.rows += record.count
                if (record.vehicle, record.epoch) not in self._known_epochs:
                    self._waiting.notes.append(pending)
            elif isinstance(record, LinkState):
                # A car that went away sends no more for now: nothing is gained by waiting.
                self.wants_store |= not record.is_up
            else:
                self._waiting.notes.append(pending)

    def store_notes(self, before: int) -> None:
        """Write the waiting notes below position `before` to the database. StorageError: they wait on."""
        notes = self._waiting.notes
        while notes and notes[0].position < before:
            self._note(notes[0])
            notes.popleft()

    def store(self, before: int) -> set[EpochKey]:
        """Store notes, then all batches below position `before`, a commit for each table; the epochs that got rows.

        StorageError: everything waits on, and the same call is right later.
        """
        self.store_notes(before)
        frames: list[FrameBatch] = []
        samples: list[SampleBatch] = []
        for pending in self._waiting.batches:
            if pending.position >= before:
                break
            if isinstance(pending.record, FrameBatch):
                frames.append(pending.record)
            elif isinstance(pending.record, SampleBatch):
                samples.append(pending.record)
        if frames:
            self._counters.add(FRAMES_STORED_TOTAL, self._lake.append(frames).new)
            self._counters.add(LAKE_COMMITS_TOTAL)
        if samples:
            self._counters.add(SAMPLES_STORED_TOTAL, self._lake.samples.append(samples).new)
            self._counters.add(LAKE_COMMITS_TOTAL)
        batches: list[FrameBatch | SampleBatch] = [*frames, *samples]
        for batch in batches:
            self._waiting.batches.popleft()
            self._waiting.rows -= batch.count
        self.wants_store = False
        return {(batch.vehicle, batch.epoch) for batch in batches}

    def _note(self, pending: _Pending) -> None:
        record = pending.record
        if isinstance(record, LinkState):
            return
        key = (record.vehicle, record.epoch)
        if key not in self._known_epochs:
            note_epoch(self._db, record.vehicle, record.epoch, pending.utc_us)
            self._known_epochs.add(key)
        if isinstance(record, Description):
            note_description(self._db, record, pending.utc_us)
        elif isinstance(record, Loss):
            note_loss(self._db, record)
        elif isinstance(record, Clock):
            self._note_clock(record)

    def _note_clock(self, clock: Clock) -> None:
        """Leaves out a server pair that came no earlier than one before it: the database would not keep it either."""
        if clock.source != ClockSource.SERVER:
            note_clock(self._db, clock)
            return
        key, offset_us = (clock.vehicle, clock.epoch), clock.utc_us - clock.t_us
        known_us = self._least_offset_us.get(key)
        if known_us is None or is_better(known_us, offset_us):
            note_clock(self._db, clock)
            self._least_offset_us[key] = offset_us
