"""Reading a journal from any process, at any time, while it is written.

What a reader does, and never does:
1. It delivers only records whose header and payload CRC hold, with rising positions, each at most once.
2. Bytes that are not valid yet at the end of the newest segment are the writer's business: it waits. It steps over a
   bad record only when that is below the durable mark or when a newer segment exists, and only after reading it twice.
3. Where the newer segment repeats records of the older one (the writer rewrote them after a failed fsync), the older
   copies need not be whole.
4. Positions that were never given to a lasting record (declared in segment headers) are passed over uncounted;
   everything else that is missing is counted: in `corrupt` when its segment is there, in `skipped` when it is not.
"""

import time
from pathlib import Path
from typing import Final

from ved.errors import StorageError
from ved.journal.files import OS_FILES, FileLayer
from ved.journal.layout import SEGMENT_HEADER_BYTES, Mark, SegmentName, identity_seed
from ved.journal.scan import Entry, Stop
from ved.journal.segment import Read, SegmentReader, list_segments
from ved.journal.state import MarkReader, read_state

_RELIST_S: Final = 5.0
_OPEN_TRIES: Final = 8
_MAX_ERRORS: Final = 3
_BAD: Final = (Stop.BAD_HEADER, Stop.BAD_PAYLOAD)


class JournalReader:
    """Reads entries in order from `position` on; the folder may not exist yet.

    `position` is the next one to be delivered, `skipped` counts records that were trimmed away or whose segment is
    missing (an upper bound), `corrupt` records that were damaged. All methods may raise StorageError.
    """

    def __init__(self, path: Path, position: int, files: FileLayer = OS_FILES) -> None:
        self.position = position
        self.skipped = 0
        self.corrupt = 0
        self._path = path
        self._files = files
        self._marks = MarkReader(path, files)
        self._segment: SegmentReader | None = None
        self._following: SegmentReader | None = None
        self._errors = 0
        self._identity: bytes | None = None
        self._seed = 0
        self._listed_s = 0.0
        self._has_listed = False
        self._last_durable = 0

    def read(self, max_bytes: int = 1 << 20) -> list[Entry]:
        """Entries with at most `max_bytes` of payload in all (the first one whatever its size); [] at the end."""
        try:
            return self._read(max_bytes)
        except OSError as error:
            raise StorageError(f"journal {self._path}: cannot read: {error}") from error

    def durable_position(self) -> int:
        """Every position below it is on the disk of the writer's machine (never goes back)."""
        try:
            mark = self._mark()
        except OSError as error:
            raise StorageError(f"journal {self._path}: cannot read the durable mark: {error}") from error
        if mark:
            self._last_durable = max(self._last_durable, mark.durable_position)
        return self._last_durable

    def next_position(self) -> int:
        """The position that the writer gives next, as far as can be seen now."""
        try:
            return self._next_position()
        except OSError as error:
            raise StorageError(f"journal {self._path}: cannot read: {error}") from error

    def first_position(self) -> int:
        """The oldest position that was not trimmed away."""
        try:
            state = read_state(self._path, self._files)
        except OSError as error:
            raise StorageError(f"journal {self._path}: cannot read its state: {error}") from error
        return state.first_position if state else 0

    def close(self) -> None:
        """Give the files back."""
        self._marks.close()
        for segment in (self._segment, self._following):
            if segment:
                segment.close()
        self._segment = self._following = None

    def _read(self, max_bytes: int) -> list[Entry]:
        while True:
            segment = self._segment or self._find()
            if segment is None:
                return []
            entries, stop = self._read_segment(segment, max_bytes)
            if entries:
                return self._deliver(entries)
            if stop is Stop.FULL:
                continue
            following = self._look_ahead(segment)
            if following is None and (stop not in _BAD or self.position >= self.durable_position()):
                return []
            # Once more: the writer may have been half way, or have added to it before it went on to the next one.
            entries, stop = self._read_segment(segment, max_bytes)
            position = entries[0].position if entries else self.position
            if following is None or not self._is_repeated(following, position):
                if entries:
                    return self._deliver(entries)
                if stop is Stop.FULL or (stop in _BAD and segment.skip_bad()):
                    continue
                if following is None:
                    return []
            self._following = None
            self._enter(following, segment.name)

    def _read_segment(self, segment: SegmentReader, max_bytes: int) -> Read:
        """Read; after a few errors at the same place (the caller tries again) go around what cannot be read."""
        try:
            found = segment.read(self.position, max_bytes)
        except OSError:
            self._errors += 1
            if self._errors < _MAX_ERRORS or self.position >= self.durable_position():
                raise
            segment.is_lenient = True
            found = segment.read(self.position, max_bytes)
        if found.entries:
            self._errors = 0
            segment.is_lenient = False
        return found

    def _deliver(self, entries: list[Entry]) -> list[Entry]:
        """Count the holes inside the segment, move on, and hand out."""
        first, last = entries[0].position, entries[-1].position
        self.corrupt += (first - self.position) + (last - first + 1 - len(entries))
        self.position = last + 1
        return entries

    @staticmethod
    def _is_repeated(following: SegmentReader, position: int) -> bool:
        """True when the newer segment has `position` too, or says that the older one ended before it."""
        header = following.header
        return header is not None and header.previous_end <= position

    def _mark(self) -> Mark | None:
        mark = self._marks.read()
        if mark and self._identity and mark.identity != self._identity:
            raise StorageError(f"journal {self._path}: was replaced by another one while it was read")
        return mark

    def _find(self) -> SegmentReader | None:
        """Open the segment that has `position`; None when nothing is there yet."""
        if self._identity is None and not self._identify():
            return None
        for _ in range(_OPEN_TRIES):
            first = self.first_position()
            if self.position < first:
                self.skipped += first - self.position
                self.position = first
            names = list_segments(self._path, self._files)
            if not names:
                return None
            at = max((i for i, name in enumerate(names) if name.first_position <= self.position), default=0)
            for name in names[at:]:
                segment = self._open(name)
                if segment is not None:
                    self._enter(segment, None)
                    return segment
        return None

    def _identify(self) -> bool:
        state = read_state(self._path, self._files)
        if state is not None:
            self._identity = state.identity
        else:
            mark = self._marks.read()
            self._identity = mark.identity if mark else None
        if self._identity is None:
            return False
        self._seed = identity_seed(self._identity)
        return True

    def _open(self, name: SegmentName) -> SegmentReader | None:
        """The segment, or None when it was trimmed away meanwhile or belongs to another journal."""
        try:
            segment = SegmentReader(self._path, name, self._seed, self._files)
        except FileNotFoundError:
            return None
        header = segment.header
        if header and (header.identity != self._identity or SegmentName(header.serial, header.first_position) != name):
            segment.close()
            return None
        return segment

    def _enter(self, segment: SegmentReader, previous: SegmentName | None) -> None:
        """Go on in `segment`; count what lies between."""
        first, header = segment.name.first_position, segment.header
        end = min(header.previous_end, first) if header else first
        missing = max(0, end - self.position)
        if previous and (header is None or header.previous_serial == previous.serial):
            self.corrupt += missing
        else:
            self.skipped += missing
        self.position = max(self.position, first)
        if self._segment:
            self._segment.close()
        self._segment = segment
        self._errors = 0
        self._has_listed = False
        mark = self._mark()
        if mark and mark.serial == segment.name.serial and self.position >= mark.durable_position:
            segment.offset = max(SEGMENT_HEADER_BYTES, min(mark.offset, segment.size()))

    def _look_ahead(self, segment: SegmentReader) -> SegmentReader | None:
        """The segment after this one, opened, when the writer has gone on; looked up only when there is a sign."""
        if self._following is not None:
            return self._following
        mark = self._mark()
        now_s = time.monotonic()
        is_quiet = mark is not None and mark.serial <= segment.name.serial
        if is_quiet and self._has_listed and now_s - self._listed_s < _RELIST_S:
            return None
        for name in list_segments(self._path, self._files):
            if name.serial > segment.name.serial:
                self._following = self._open(name)
                if self._following is not None:
                    return self._following
        self._listed_s, self._has_listed = now_s, True
        return None

    def _next_position(self) -> int:
        if self._identity is None and not self._identify():
            return 0
        mark = self._mark()
        end = max(self.position if self._segment else 0, mark.durable_position if mark else 0)
        for name in reversed(list_segments(self._path, self._files)):
            segment = self._open(name)
            if segment is not None:
                try:
                    if mark and mark.serial == name.serial:
                        segment.offset = max(SEGMENT_HEADER_BYTES, mark.offset)
                    return max(end, name.first_position, self._end_of(segment))
                finally:
                    segment.close()
        return end

    @staticmethod
    def _end_of(segment: SegmentReader) -> int:
        """The position after the last valid record from the segment's offset on; 0 when there is none."""
        end = 0
        while True:
            entries, stop = segment.read(0, 1 << 20)
            if entries:
                end = entries[-1].position + 1
            elif stop is not Stop.FULL and not (stop in _BAD and segment.skip_bad()):
                return end
