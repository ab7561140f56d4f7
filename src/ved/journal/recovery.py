"""Bringing a journal folder back into order after whatever happened to it, without a human."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ved.journal.files import FileLayer, read_or_nothing
from ved.journal.layout import (
    MAX_SEGMENT_BYTES,
    SEGMENT_HEADER_BYTES,
    TEMPORARY_SUFFIX,
    Mark,
    SegmentHeader,
    SegmentName,
    State,
    identity_seed,
    max_records,
    pack_record,
)
from ved.journal.scan import Stop
from ved.journal.segment import SegmentReader, list_segments
from ved.journal.state import MarkReader, read_state

_UNKNOWN_SERIAL_STEP = 1000


@dataclass(slots=True)
class SegmentInfo:
    """A segment that holds positions `first_position <= p < end_position`."""

    serial: int
    first_position: int
    end_position: int
    size_bytes: int

    @property
    def name(self) -> str:
        """Its file name."""
        return SegmentName(self.serial, self.first_position).text


@dataclass(frozen=True, slots=True)
class RecoveryReport:
    """What was found when the journal was opened; all zero after a close in order.

    `cut_bytes`: torn tail removed. `corrupt_records`: damaged records inside the last segment. `missing_segments`:
    segments that their successor names but that are gone. `foreign_segments`: files of another journal, left alone.
    `lost_durable_bytes`: bytes that were reported durable and are not there (the disk did not keep its word).
    `unreadable_segments`: 1 when the disk would not read the last segment, which is then left as it is.
    """

    cut_bytes: int = 0
    corrupt_records: int = 0
    missing_segments: int = 0
    foreign_segments: int = 0
    lost_durable_bytes: int = 0
    unreadable_segments: int = 0
    was_clean: bool = True


@dataclass(slots=True)
class Recovered:
    """An orderly journal: its state, its segments by serial, the next position and serial to give, the report."""

    state: State | None
    identity: bytes
    segments: list[SegmentInfo]
    doomed: list[SegmentInfo]
    next_position: int
    next_serial: int
    tail: "Tail"
    report: RecoveryReport


@dataclass(slots=True)
class Tail:
    """What the newest segment holds.

    `suspects` are its valid records (packed) from `suspect_position` on, at byte `suspect_offset`: they were never
    reported durable, and a new fdatasync of that file would not prove that they are. `end_position` is where the next
    segment must say that this one ended.
    """

    end_position: int = 0
    offset: int = 0
    suspect_position: int = 0
    suspect_offset: int = 0
    suspects: list[bytes] = field(default_factory=list)
    cut_bytes: int = 0
    corrupt_records: int = 0
    is_unreadable: bool = False
    lost_serial: int = 0


@dataclass(slots=True)
class _Found:
    """A segment file with its header (None: damaged) and size."""

    name: SegmentName
    header: SegmentHeader | None
    size_bytes: int
    is_foreign: bool = field(default=False)


def recover(folder: Path, files: FileLayer, new_identity: bytes) -> Recovered:
    """Read everything that says something about the past, cut the torn tail, and say where to go on.

    Segments before the last one were complete and durable before their successor was made, so only the last one is
    walked through. Errors are OSError.
    """
    for name in files.names(folder):
        if name.endswith(TEMPORARY_SUFFIX):
            files.unlink(folder / name)
    state = read_state(folder, files)
    found = [_examine(folder, name, files) for name in list_segments(folder, files)]
    identity = state.identity if state else _identity_of(found, new_identity)
    for item in found:
        item.is_foreign = _is_foreign(item, identity)
    own = [item for item in found if not item.is_foreign]
    # Foreign names count too: a serial must never name two files.
    top_serial = max((item.name.serial for item in found), default=0)
    was_clean = _was_clean(state, found, own)
    mark = _read_mark(folder, identity, files)
    segments, missing = _chain(own)
    tail = Tail()
    if segments:
        tail = _recover_tail(folder, segments[-1], identity, None if was_clean else mark, files)
        segments[-1].end_position = tail.end_position
        if not tail.is_unreadable:
            segments[-1].size_bytes = tail.offset
    if was_clean:
        tail.suspects = []
    next_position = _next_position(state, own, tail, was_clean)
    lost_bytes = _settle_end(tail, mark, top_serial, next_position, is_exact=was_clean or not segments)
    next_serial = max(top_serial + 1, state.next_serial if state else 1)
    if state is None and found:
        next_serial += _UNKNOWN_SERIAL_STEP
    first = state.first_position if state else 0
    doomed = [item for item in segments if item.first_position < first and item.end_position <= first]
    segments = [item for item in segments if item not in doomed]
    report = RecoveryReport(
        tail.cut_bytes,
        tail.corrupt_records,
        missing + (1 if tail.lost_serial else 0),
        len(found) - len(own),
        lost_bytes,
        int(tail.is_unreadable),
        was_clean,
    )
    return Recovered(state, identity, segments, doomed, next_position, next_serial, tail, report)


def _next_position(state: State | None, own: Sequence[_Found], tail: Tail, was_clean: bool) -> int:
    """The end when that is exact; else above everything that may ever have been given out."""
    bound = max(state.reserved_end if state else 0, tail.end_position)
    if own and not was_clean:
        last = own[-1]
        segment_bytes = last.header.segment_bytes if last.header else MAX_SEGMENT_BYTES
        bound = max(bound, last.name.first_position + max_records(segment_bytes))
    return bound


def _settle_end(tail: Tail, mark: Mark | None, top_serial: int, next_position: int, *, is_exact: bool) -> int:
    """Set where the past ends for readers; returns how many durable bytes of the last segment are gone.

    The mark is believed only for what was there and is not; that is a hole, and holes are counted.
    """
    end, lost_bytes = tail.end_position, 0
    if mark is not None and mark.serial > top_serial:
        tail.lost_serial, end = mark.serial, max(end, mark.durable_position)
    elif mark is not None and mark.serial == top_serial and mark.offset > tail.offset:
        lost_bytes, end = mark.offset - tail.offset, max(end, mark.durable_position)
    if is_exact:
        # Closed in order, trimmed away as a whole, or gone as a whole: every position below was somebody's.
        end = next_position
    tail.end_position = min(end, next_position)
    return lost_bytes


def _was_clean(state: State | None, found: Sequence[_Found], own: Sequence[_Found]) -> bool:
    if state is None:
        return not found
    return state.is_clean and state.last_serial == (own[-1].name.serial if own else 0)


def _examine(folder: Path, name: SegmentName, files: FileLayer) -> _Found:
    fd = files.open(folder / name.text, "read")
    try:
        return _Found(name, SegmentHeader.parse(read_or_nothing(files, fd, SEGMENT_HEADER_BYTES, 0)), files.size(fd))
    finally:
        files.close(fd)


def _identity_of(found: Sequence[_Found], new_identity: bytes) -> bytes:
    """Without a state: the newest readable segment knows whose it is."""
    return next((item.header.identity for item in reversed(found) if item.header), new_identity)


def _is_foreign(item: _Found, identity: bytes) -> bool:
    header = item.header
    return header is not None and (
        header.identity != identity or SegmentName(header.serial, header.first_position) != item.name
    )


def _chain(own: Sequence[_Found]) -> tuple[list[SegmentInfo], int]:
    """The segments with their ends, as far as successors tell them, and how many are missing between them."""
    out: list[SegmentInfo] = []
    missing = 0
    for at, item in enumerate(own):
        end = item.name.first_position
        if at + 1 < len(own):
            following = own[at + 1]
            end = following.name.first_position
            if following.header and following.header.previous_serial == item.name.serial:
                end = following.header.previous_end
            elif following.header:
                missing += 1
        out.append(SegmentInfo(item.name.serial, item.name.first_position, end, item.size_bytes))
    return out, missing


def _read_mark(folder: Path, identity: bytes, files: FileLayer) -> Mark | None:
    marks = MarkReader(folder, files)
    try:
        mark = marks.read()
    finally:
        marks.close()
    return mark if mark is not None and mark.identity == identity else None


def _recover_tail(folder: Path, last: SegmentInfo, identity: bytes, mark: Mark | None, files: FileLayer) -> Tail:
    """Walk the last segment and cut what follows its last valid record.

    A segment that cannot be read twice in a row is left as it is: an error of the moment must not cost data.
    """
    name = SegmentName(last.serial, last.first_position)
    tail = Tail(name.first_position, SEGMENT_HEADER_BYTES, name.first_position, SEGMENT_HEADER_BYTES)
    if mark is not None and mark.serial == name.serial:
        tail.suspect_position, tail.suspect_offset = mark.durable_position, mark.offset
    try:
        _walk(folder, name, identity, tail, files)
    except OSError:
        try:
            _walk(folder, name, identity, tail, files)
        except OSError:
            tail.is_unreadable = True
            return tail
    if last.size_bytes > tail.offset:
        tail.cut_bytes = last.size_bytes - tail.offset
        # Only tidiness: the next segment's header says where this one ended, so a refusal does not matter.
        with contextlib.suppress(OSError):
            _cut(folder / name.text, tail.offset, files)
    return tail


def _walk(folder: Path, name: SegmentName, identity: bytes, tail: Tail, files: FileLayer) -> None:
    """Move the tail's end over all valid records from there on."""
    seed = identity_seed(identity)
    segment = SegmentReader(folder, name, seed, files)
    segment.offset = tail.offset
    try:
        while True:
            entries, stop = segment.read(tail.end_position, 1 << 20)
            if entries:
                tail.corrupt_records += entries[-1].position + 1 - tail.end_position - len(entries)
                tail.end_position = entries[-1].position + 1
                tail.offset = segment.offset
                tail.suspects += [
                    pack_record(seed, position, payload)
                    for position, payload in entries
                    if position >= tail.suspect_position
                ]
            elif stop is not Stop.FULL and (stop not in (Stop.BAD_HEADER, Stop.BAD_PAYLOAD) or not segment.skip_bad()):
                return
    finally:
        segment.close()


def _cut(path: Path, size: int, files: FileLayer) -> None:
    fd = files.open(path, "append")
    try:
        files.truncate(fd, size)
    finally:
        files.close(fd)
