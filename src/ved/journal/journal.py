"""The writer of a journal: an append-only, checksummed log of records in a folder of segment files.

Invariants (docs/spec/journal.md has the bytes and the reasons):

 1. One writer at a time (a lock on the folder); any number of readers in other processes.
 2. A position names one record for ever, or none. It is never given out twice, not even when a record that readers saw
    was lost to a power cut: `reserved_end` in the state file is durable before any position below it is given out, and
    a writer that follows one that did not close in order goes on at `reserved_end`.
 3. Every segment but the newest is complete and durable: the newest one is made only after the one before was synced.
    Each run of the writer starts a segment of its own, so no segment is ever appended to by two runs.
 4. A segment shows under its name only with a valid, durable header. Its serial is durable in the state file first, so
    a serial never names two files.
 5. Readers take a record only when both its CRCs hold. So an append that failed half way is invisible; it is cut off,
    and where that fails the segment is given up (7).
 6. `durable_position` grows only after fdatasync has returned, and readers hear of it only then. Every position below
    it is on the disk.
 7. After a failed fdatasync the pages of the segment are not trusted, whatever a later fdatasync says: the unsynced
    records, kept in memory until they are durable, are written to a new segment with the same positions and the same
    bytes. Until that works, `append` and `sync` raise StorageError and nothing new is taken.
 8. The trim mark is durable before a segment below it is unlinked.
 9. Opening needs no human: a torn tail is cut, leftovers of an interrupted creation or trim are removed, everything
    else stays where it is and is counted.
"""

import contextlib
import secrets
from dataclasses import replace
from pathlib import Path
from typing import Final

from ved.errors import StorageError
from ved.journal.files import OS_FILES, FileLayer, append_all
from ved.journal.layout import (
    DEFAULT_SEGMENT_BYTES,
    IDENTITY_BYTES,
    LOCK_NAME,
    MAX_PAYLOAD_BYTES,
    MAX_SEGMENT_BYTES,
    MIN_SEGMENT_BYTES,
    RECORD_HEADER_BYTES,
    SEGMENT_HEADER_BYTES,
    Mark,
    SegmentHeader,
    SegmentName,
    State,
    identity_seed,
    max_records,
    pack_record,
)
from ved.journal.newsegment import make_segment, take_back
from ved.journal.notify import WakeSender
from ved.journal.reader import JournalReader
from ved.journal.recovery import Recovered, RecoveryReport, SegmentInfo, recover
from ved.journal.scan import Entry
from ved.journal.state import MarkFile, StateFile

_MAX_READERS: Final = 4


class Journal:
    """The one writer. Made by `open`; not thread-safe: one thread at a time calls it."""

    def __init__(self, path: Path, segment_bytes: int, files: FileLayer, lock: int) -> None:
        """Use `open`. OSError when the disk refuses."""
        self.path = path
        self.sync_failures_total = 0
        self._files = files
        self._lock = lock
        self._segment_bytes = segment_bytes
        found = recover(path, files, secrets.token_bytes(IDENTITY_BYTES))
        self.report: RecoveryReport = found.report
        self._identity = found.identity
        self._seed = identity_seed(found.identity)
        self._segments = found.segments
        self._doomed = found.doomed
        self._size_bytes = sum(segment.size_bytes for segment in found.segments)
        self._next = self._durable = found.next_position
        self._previous_end = found.tail.end_position
        self._lost_serial = found.tail.lost_serial
        self._suspects = found.tail.suspects
        if self._suspects:
            self._durable = found.tail.suspect_position
        self._fd = -1  # of the newest segment, when this run made one
        self._offset = found.tail.suspect_offset if self._suspects else found.tail.offset
        self._unsynced: list[bytes] = []  # packed records, the last ones of the newest segment
        self._unsynced_bytes = 0
        self._is_poisoned = False  # the newest segment's pages are not trusted
        self._is_sealed = False  # a newer segment may have shown for a moment, so this one may not grow
        self._is_mark_stale = True
        self._is_closed = False
        self._readers: list[JournalReader] = []
        self._sender = WakeSender(path)
        with contextlib.ExitStack() as on_failure:
            on_failure.callback(self._sender.close)
            self._state = StateFile(path, files, found.state)
            on_failure.callback(self._state.close)
            self._marks = MarkFile(path, files)
            on_failure.callback(self._marks.close)
            self._settle(found)
            on_failure.pop_all()

    @staticmethod
    def open(path: Path, *, segment_bytes: int = DEFAULT_SEGMENT_BYTES, files: FileLayer = OS_FILES) -> "Journal":
        """Open or make the journal in folder `path`, recovering it; `report` says what was found.

        UserError when another process writes it, StorageError when the disk refuses.
        """
        if not MIN_SEGMENT_BYTES <= segment_bytes <= MAX_SEGMENT_BYTES:
            raise ValueError(f"segment_bytes must be {MIN_SEGMENT_BYTES}..{MAX_SEGMENT_BYTES}, not {segment_bytes}")
        try:
            files.make_folder(path)
            lock = files.lock(path / LOCK_NAME)
        except OSError as error:
            raise StorageError(f"journal {path}: cannot open: {error}") from error
        try:
            return Journal(path, segment_bytes, files, lock)
        except OSError as error:
            files.close(lock)
            raise StorageError(f"journal {path}: cannot open: {error}") from error

    @property
    def next_position(self) -> int:
        """The position that the next append gets."""
        return self._next

    @property
    def durable_position(self) -> int:
        """Every position below it is on the disk."""
        return self._durable

    @property
    def first_position(self) -> int:
        """The oldest position that was not trimmed away."""
        return self._state.current.first_position

    @property
    def unsynced_bytes(self) -> int:
        """Bytes that the next sync has to make durable."""
        return self._unsynced_bytes + sum(map(len, self._suspects))

    @property
    def size_bytes(self) -> int:
        """Bytes of all segments."""
        return self._size_bytes

    @property
    def segments(self) -> tuple[SegmentInfo, ...]:
        """The segments, oldest first; the last one may still grow."""
        return tuple(self._segments)

    def append(self, payload: bytes) -> int:
        """Write one record (at most MAX_PAYLOAD_BYTES); its position. Not yet durable: see `sync`.

        After StorageError the record is not in the journal, which stays usable for a later try.
        """
        size = RECORD_HEADER_BYTES + len(payload)
        if not self._is_ready() or self._offset + size > self._segment_bytes:
            self._make_ready(size)
        position = self._next
        record = pack_record(self._seed, position, payload)
        try:
            if self._files.append(self._fd, record) != size:
                self._append_rest(record)
        except OSError as error:
            self._undo(size, error)
        self._offset += size
        self._size_bytes += size
        self._segments[-1].size_bytes = self._offset
        self._unsynced.append(record)
        self._unsynced_bytes += size
        self._next = self._segments[-1].end_position = position + 1
        self._sender.wake()
        return position

    def sync(self) -> int:
        """Return once everything appended is on the disk; the durable position.

        StorageError when the disk refuses: nothing is lost yet, later tries write the unsynced records again.
        """
        self._check_open()
        try:
            self._sync()
        except OSError as error:
            raise StorageError(f"journal {self.path}: cannot sync: {error}") from error
        return self._durable

    def trim(self, before: int) -> None:
        """Remove the whole segments in which every position lies below `before`; never the one being written."""
        self._check_open()
        count = 0
        last = len(self._segments) - (1 if self._fd >= 0 else 0)
        while count < last and self._segments[count].end_position <= min(before, self._durable):
            count += 1
        try:
            if count:
                kept = self._segments[count:]
                first = kept[0].first_position if kept else self._next
                state = self._state.current.changed(first_position=first)
                self._state.write(state if kept else replace(state, reserved_end=self._next, last_serial=0))
                self._doomed += self._segments[:count]
                self._size_bytes -= sum(segment.size_bytes for segment in self._segments[:count])
                if not kept:
                    self._previous_end = self._next
                self._segments = kept
            self._unlink_doomed()
        except OSError as error:
            raise StorageError(f"journal {self.path}: cannot trim: {error}") from error

    def read(self, position: int, max_bytes: int) -> list[Entry]:
        """Entries from `position` on, at most `max_bytes` of payload (the first one whatever its size).

        [] at the end. Positions that were trimmed or are damaged are left out.
        """
        self._check_open()
        if position >= self._next:
            return []
        at = next((i for i, reader in enumerate(self._readers) if reader.position == position), -1)
        reader = self._readers.pop(at) if at >= 0 else JournalReader(self.path, position, self._files)
        self._readers.append(reader)
        if len(self._readers) > _MAX_READERS:
            self._readers.pop(0).close()
        return reader.read(max_bytes)

    def close(self) -> None:
        """Sync, note the exact end, and let the next writer in. StorageError when not all is on the disk."""
        if self._is_closed:
            return
        try:
            self._sync()
            self._unlink_doomed()
            state = self._state.current
            last = self._segments[-1].serial if self._segments else 0
            exact = state.changed(reserved_end=self._next, last_serial=last, is_clean=True)
            if not self._state.is_certain or replace(exact, sequence=state.sequence) != state:
                self._state.write(exact)
            self._marks.sync()
        except OSError as error:
            raise StorageError(f"journal {self.path}: cannot sync: {error}") from error
        finally:
            self._release()

    def _settle(self, found: Recovered) -> None:
        """Finish the recovery: a state for a new journal, what an interrupted trim left, the mark."""
        if found.state is None:
            first = found.segments[0].first_position if found.segments else 0
            is_new = found.next_serial == 1
            state = State(found.identity, 1, first, self._next, found.next_serial, 0, is_clean=is_new)
            self._state.write(state)
            self._state.write(state.changed())  # Both slots: one that could not be read must not win later.
            self._files.sync_folder(self.path)
        else:
            # What was read may be in the page cache alone, left there by a failed fdatasync of the run before.
            self._state.write(found.state)
        self._unlink_doomed()
        with contextlib.suppress(OSError):
            self._rewrite_suspects()
        self._publish()

    def _rewrite_suspects(self) -> None:
        """Write what the run before left unsynced to a segment of its own; until that works it is not durable."""
        if not self._suspects:
            return
        first = self._durable
        old = self._segments[-1]
        self._create(first, first, self._suspects)
        old.end_position = first
        self._segments[-1].end_position = self._previous_end
        self._files.close(self._fd)
        self._fd = -1
        self._suspects = []
        self._durable = self._next

    def _check_open(self) -> None:
        if self._is_closed:
            raise ValueError(f"journal {self.path} is closed")

    def _is_ready(self) -> bool:
        return self._fd >= 0 and not (self._is_poisoned or self._is_sealed or self._is_mark_stale)

    def _make_ready(self, size: int) -> None:
        """Have a trusted segment with room for `size` bytes, and readers told of it."""
        self._check_open()
        if size > RECORD_HEADER_BYTES + MAX_PAYLOAD_BYTES:
            raise ValueError(f"a record has at most {MAX_PAYLOAD_BYTES} bytes, not {size - RECORD_HEADER_BYTES}")
        try:
            if self._is_poisoned or self._suspects:
                self._sync()
            if self._fd < 0:
                self._create(self._next, self._previous_end, [], self._lost_serial)
            elif self._is_sealed or self._is_full(size):
                self._sync()
                self._create(self._next, self._next, [])
            if self._is_mark_stale:
                self._publish()
        except OSError as error:
            raise StorageError(f"journal {self.path}: cannot write: {error}") from error

    def _is_full(self, size: int) -> bool:
        """True when `size` more bytes do not fit; an empty segment takes anything."""
        return self._offset + size > self._segment_bytes and self._offset > SEGMENT_HEADER_BYTES

    def _append_rest(self, record: bytes) -> None:
        """Go on after a short write, from what the file says it has."""
        done = self._files.size(self._fd) - self._offset
        append_all(self._files, self._fd, record[done:])

    def _undo(self, size: int, error: OSError) -> None:
        """Cut off a record that was written in part, and raise; return when it is there as a whole.

        A whole record may have been read already, so it counts as appended; it will be written again elsewhere.
        """
        try:
            there = self._files.size(self._fd) - self._offset
        except OSError:
            there = size
        if there >= size:
            self._is_poisoned = True
            return
        if there > 0:
            try:
                self._files.truncate(self._fd, self._offset)
            except OSError:
                self._is_poisoned = True
        raise StorageError(f"journal {self.path}: cannot write: {error}") from error

    def _sync(self) -> None:
        """Make the unsynced records durable where they are, or in a new segment."""
        self._rewrite_suspects()
        if self._unsynced and not self._is_poisoned:
            try:
                self._files.sync(self._fd)
            except OSError:
                self.sync_failures_total += 1
                self._is_poisoned = True
        if self._is_poisoned:
            first = self._next - len(self._unsynced)
            old = self._segments[-1]
            self._create(first, first, self._unsynced)
            old.end_position = first
            self._is_poisoned = False
        if self._durable != self._next or self._unsynced:
            self._unsynced.clear()
            self._unsynced_bytes = 0
            self._durable = self._next
            self._is_mark_stale = True
        if self._is_mark_stale:
            self._publish()
            self._sender.wake()

    def _create(self, first: int, previous_end: int, records: list[bytes], previous: int = 0) -> None:
        """Make the next segment with `records` in it, all durable before it shows; it becomes the newest one."""
        state = self._state.current
        serial = state.next_serial
        reserved = max(state.reserved_end, first + max_records(self._segment_bytes))
        self._state.write(state.changed(next_serial=serial + 1, reserved_end=reserved, is_clean=False))
        if not previous and self._segments:
            previous = self._segments[-1].serial
        header = SegmentHeader(self._identity, serial, first, previous, previous_end, self._segment_bytes)
        try:
            fd, size_bytes = make_segment(self.path, header, records, self._files)
        except OSError:
            self._is_sealed = True
            if not take_back(self.path, SegmentName(serial, first), self._files):
                self._doomed.append(SegmentInfo(serial, first, first, 0))
            raise
        self._is_sealed = False
        if self._fd >= 0:
            self._files.close(self._fd)
        self._fd, self._offset = fd, size_bytes
        self._size_bytes += size_bytes
        self._segments.append(SegmentInfo(serial, first, first + len(records), size_bytes))
        self._is_mark_stale = True

    def _publish(self) -> None:
        """Tell readers the durable position and the newest segment."""
        serial = self._segments[-1].serial if self._segments else 0
        durable_offset = self._offset - self._unsynced_bytes
        self._marks.publish(Mark(self._identity, self._durable, serial, durable_offset))
        self._is_mark_stale = False

    def _unlink_doomed(self) -> None:
        """Remove what lies below the trim mark; what could not be removed is tried again next time."""
        if not self._doomed:
            return
        while self._doomed:
            with contextlib.suppress(FileNotFoundError):
                self._files.unlink(self.path / self._doomed[0].name)
            self._doomed.pop(0)
        self._files.sync_folder(self.path)

    def _release(self) -> None:
        self._is_closed = True
        self._sender.close()
        for reader in self._readers:
            reader.close()
        self._state.close()
        self._marks.close()
        if self._fd >= 0:
            self._files.close(self._fd)
            self._fd = -1
        self._files.close(self._lock)
