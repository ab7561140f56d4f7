"""The thread that owns the car's journal: append, fsync in groups, trim, and make room when it is full."""

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from ved.codec.records import RecordHeader, peek
from ved.errors import CorruptDataError, StorageError
from ved.journal.journal import Journal
from ved.journal.sync import SyncPolicy
from ved.link.holes import POSTHUMOUS, batch_times
from ved.model.records import ALL_BUSES, Loss, LossPlace, RecordKind

RETRY_S: Final = 1.0
MAX_WAITING_BYTES: Final = 16 << 20
_KEPT_AGAIN: Final = (RecordKind.DESCRIPTION, RecordKind.LOSS)
_WITH_SEQS: Final = (RecordKind.BATCH, RecordKind.SAMPLES)
_TICK_S: Final = 0.02
_IDLE_S: Final = 0.5
_READ_BYTES: Final = 1 << 20


_Item = tuple[bytes, RecordHeader]


@dataclass(frozen=True, slots=True)
class KeeperEvents:
    """Called in the keeper's thread.

    `give_up` tells which of some records the server does not have on disk: a loss will be declared for their frames.
    """

    on_kept: Callable[[list[tuple[int, RecordHeader]]], None]
    give_up: Callable[[list[RecordHeader]], list[bool]]
    on_loss: Callable[[Loss], None]
    on_failure: Callable[[], None]


class Keeper:
    """`put` and `trim` return at once. While the disk refuses, records wait in memory.

    `max_bytes` bounds the journal; None for a source that is held back instead of losing what is oldest.
    """

    def __init__(self, journal: Journal, max_bytes: int | None, events: KeeperEvents) -> None:
        self._journal = journal
        self._max_bytes = max_bytes
        self._events = events
        self._policy = SyncPolicy()
        self._inbox: queue.SimpleQueue[_Item | None] = queue.SimpleQueue()
        self._waiting: deque[_Item] = deque()
        self._retry_at_s = 0.0
        self._trim_before = 0
        self._is_stopping = False
        self._thread = threading.Thread(target=self._run, name="keeper", daemon=True)
        self._changed = threading.Condition()
        self._put_bytes = 0
        self._done_bytes = 0  # written by the keeper's thread alone
        self.size_bytes = journal.size_bytes
        self.trouble: str | None = None
        self.failure: Exception | None = None

    @property
    def waiting_bytes(self) -> int:
        """Bytes that are not in the journal yet."""
        return self._put_bytes - self._done_bytes

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def put(self, record: bytes, header: RecordHeader) -> None:
        """Have a record kept."""
        with self._changed:
            self._put_bytes += len(record)
        self._inbox.put((record, header))

    def trim(self, before: int) -> None:
        """Everything below position `before` may go."""
        self._trim_before = before

    def wait_kept(self) -> None:
        """Return once nothing waits, or the thread has ended; blocks."""
        with self._changed:
            while self.waiting_bytes and self._thread.is_alive():
                self._changed.wait(_IDLE_S)

    def stop(self) -> None:
        """Keep and sync what waits, as far as the disk lets, and close the journal; blocks. See `failure`."""
        self._inbox.put(None)
        self._thread.join()

    def _run(self) -> None:
        try:
            while not self._is_stopping:
                self._fetch()
                self._append()
                self._sync()
                self._trim()
            self._retry_at_s = 0.0
            self._append()
            while self._waiting and time.monotonic() >= self._retry_at_s:
                self._append()  # room was made, and what is kept again came of it
            self._journal.close()
        except Exception as error:  # noqa: BLE001  # the thread's top: whoever stops it raises it
            self.failure = error
            self._events.on_failure()

    def _fetch(self) -> None:
        """Wait a moment for records, then take all that are there."""
        try:
            item = self._inbox.get(timeout=_TICK_S if self._has_work() else _IDLE_S)
            while True:
                if item is None:
                    self._is_stopping = True
                else:
                    self._waiting.append(item)
                item = self._inbox.get_nowait()
        except queue.Empty:
            return

    def _has_work(self) -> bool:
        return bool(self._waiting) or self._journal.unsynced_bytes > 0

    def _append(self) -> None:
        kept: list[tuple[int, RecordHeader]] = []
        while self._waiting and time.monotonic() >= self._retry_at_s:
            record, header = self._waiting[0]
            try:
                position = self._journal.append(record)
            except StorageError as error:
                if not self._make_room():
                    self._refused(error)
                continue
            self._waiting.popleft()
            self._done_bytes += len(record)
            kept.append((position, header))
        self.size_bytes = self._journal.size_bytes
        if kept:
            self.trouble = None
            self._events.on_kept(kept)
            self._tell_changed()
        if self._max_bytes is not None and self.size_bytes > self._max_bytes:
            self._make_room()

    def _tell_changed(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _refused(self, error: StorageError) -> None:
        """The disk takes nothing and there is nothing to make room with: wait, and give up the oldest in memory."""
        self._retry_at_s = time.monotonic() + RETRY_S
        self.trouble = str(error)
        given_up: list[_Item] = []
        while self._max_bytes is not None and self.waiting_bytes > MAX_WAITING_BYTES and self._waiting:
            item = self._waiting.popleft()
            self._done_bytes += len(item[0])
            given_up.append(item)
        if given_up:
            self._declare(self._unstored([record for record, _ in given_up]))

    def _sync(self) -> None:
        now_s = time.monotonic()
        if now_s < self._retry_at_s or not self._policy.is_due(self._journal, now_s):
            return
        try:
            self._journal.sync()
        except StorageError as error:
            self._retry_at_s = now_s + RETRY_S
            self.trouble = str(error)

    def _trim(self) -> None:
        if self._trim_before <= self._journal.first_position:
            return
        try:
            self._journal.trim(self._trim_before)
        except StorageError as error:
            self.trouble = str(error)
        self.size_bytes = self._journal.size_bytes

    def _make_room(self) -> bool:
        """Remove the oldest segment; the frames in it that were not stored are lost, and said so.

        What says so is small and is kept again, like the description. False when there is only one segment.
        """
        segments = self._journal.segments
        if self._max_bytes is None or len(segments) < 2:
            return False
        position, end = self._journal.first_position, segments[0].end_position
        lost: list[_Item] = []
        try:
            while position < end and (entries := self._journal.read(position, _READ_BYTES)):
                lost += self._unstored([entry.payload for entry in entries if entry.position < end])
                position = entries[-1].position + 1
            self._journal.trim(end)
        except StorageError as error:
            self.trouble = str(error)
            return False
        self.size_bytes = self._journal.size_bytes
        for item in lost:
            if item[1].kind in _KEPT_AGAIN:
                self._waiting.append(item)
                self._done_bytes -= len(item[0])
        self._declare(lost)
        return True

    def _unstored(self, records: list[bytes]) -> list[_Item]:
        items: list[_Item] = []
        for record in records:
            try:
                items.append((record, peek(record)))
            except CorruptDataError:
                continue  # damaged long ago; its seqs are missing from the epoch, which shows
        flags = self._events.give_up([header for _, header in items])
        return [item for item, is_unstored in zip(items, flags, strict=True) if is_unstored]

    def _declare(self, items: Sequence[_Item]) -> None:
        """One loss record for each run of consecutive seqs."""
        run: list[_Item] = []
        for item in items:
            header = item[1]
            if header.kind not in _WITH_SEQS:
                continue
            if run and not _follows(run[-1][1], header):
                self._declare_run(run)
                run = []
            run.append(item)
        if run:
            self._declare_run(run)

    def _declare_run(self, run: list[_Item]) -> None:
        first, last = run[0][1], run[-1][1]
        times = [t_us for record, _ in (run[0], run[-1]) for t_us in batch_times(record) or ()]
        last_seq = last.number + last.count - 1
        count = last_seq - first.number + 1
        number = POSTHUMOUS + first.number
        place = LossPlace.CAR_DISK
        t_from_us, t_to_us = (min(times), max(times)) if times else (0, 0)
        self._events.on_loss(
            Loss(
                first.vehicle, first.epoch, number, place, ALL_BUSES, count, t_from_us, t_to_us, first.number, last_seq
            )
        )


def _follows(before: RecordHeader, header: RecordHeader) -> bool:
    return before.epoch == header.epoch and before.number + before.count == header.number
