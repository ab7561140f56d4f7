"""Bringing a journal folder back into order after whatever happened to it, without a human."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ved.journal.files import FileLayer, read_or_nothing
from ved.journal.layout import (
    MAX_SEGMENT_BYTES,
    SEGMENT_HEADER_BYTES,
    TEMPORARY_SUFFIX,
    SegmentHeader,
    SegmentName,
    State,
    identity_seed,
    max_records,
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
    previous_end: int
    last_offset: int
    next_serial: int
    report: RecoveryReport


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
    segments, missing = _chain(own)
    tail = _Tail()
    if segments:
        tail = _recover_tail(folder, segments[-1], identity, files)
        segments[-1].end_position = tail.end_position
        if not tail.is_unreadable:
            segments[-1].size_bytes = tail.offset
    # Foreign names count too: a serial must never name two files.
    top_serial = max((item.name.serial for item in found), default=0)
    was_clean = _was_clean(state, found, top_serial)
    next_position = max(state.reserved_end if state else 0, tail.end_position)
    if segments and not was_clean:
        header = own[-1].header
        next_position = max(
            next_position,
            segments[-1].first_position + max_records(header.segment_bytes if header else MAX_SEGMENT_BYTES),
        )
    next_serial = max(top_serial + 1, state.next_serial if state else 1)
    if state is None and found:
        next_serial += _UNKNOWN_SERIAL_STEP
    first = state.first_position if state else 0
    doomed = [item for item in segments if item.first_position < first and item.end_position <= first]
    segments = [item for item in segments if item not in doomed]
    lost = _lost(folder, identity, top_serial, tail, files)
    report = RecoveryReport(
        tail.cut_bytes,
        tail.corrupt_records,
        missing + lost.segments,
        len(found) - len(own),
        lost.bytes,
        int(tail.is_unreadable),
        was_clean,
    )
    if segments or lost.end_position:
        previous_end = min(next_position, max(tail.end_position, lost.end_position))
    else:
        # Nothing is left: all was trimmed (then the trim mark is the end), or all is gone (then it is a hole).
        previous_end = next_position
    return Recovered(state, identity, segments, doomed, next_position, previous_end, tail.offset, next_serial, report)


def _was_clean(state: State | None, found: Sequence[_Found], top_serial: int) -> bool:
    if state is None:
        return not found
    is_trimmed_away = not found and state.first_position == state.reserved_end
    return state.is_clean and (state.next_serial == top_serial + 1 or is_trimmed_away)


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


@dataclass(slots=True)
class _Tail:
    end_position: int = 0
    offset: int = 0
    cut_bytes: int = 0
    corrupt_records: int = 0
    is_unreadable: bool = False


def _recover_tail(folder: Path, last: SegmentInfo, identity: bytes, files: FileLayer) -> _Tail:
    """Walk the last segment, cut what follows its last valid record, and make the rest durable.

    A segment that cannot be read twice in a row is left as it is: an error of the moment must not cost data.
    """
    name = SegmentName(last.serial, last.first_position)
    try:
        tail = _walk_tail(folder, name, identity, files)
    except OSError:
        tail = _walk_tail(folder, name, identity, files, is_last_try=True)
    if tail.is_unreadable:
        return tail
    fd = files.open(folder / name.text, "append")
    try:
        size = files.size(fd)
        if size > tail.offset:
            tail.cut_bytes = size - tail.offset
            files.truncate(fd, tail.offset)
        files.sync(fd)
    finally:
        files.close(fd)
    return tail


def _walk_tail(
    folder: Path, name: SegmentName, identity: bytes, files: FileLayer, *, is_last_try: bool = False
) -> _Tail:
    tail = _Tail(name.first_position, SEGMENT_HEADER_BYTES)
    segment = SegmentReader(folder, name, identity_seed(identity), files)
    try:
        while True:
            entries, stop = segment.read(tail.end_position, 1 << 20)
            if entries:
                tail.corrupt_records += entries[-1].position + 1 - tail.end_position - len(entries)
                tail.end_position = entries[-1].position + 1
                tail.offset = segment.offset
            elif stop is not Stop.FULL and (stop not in (Stop.BAD_HEADER, Stop.BAD_PAYLOAD) or not segment.skip_bad()):
                return tail
    except OSError:
        if not is_last_try:
            raise
        tail.is_unreadable = True
        return tail
    finally:
        segment.close()


@dataclass(frozen=True, slots=True)
class _Lost:
    segments: int = 0
    bytes: int = 0
    end_position: int = 0


def _lost(folder: Path, identity: bytes, top_serial: int, tail: _Tail, files: FileLayer) -> _Lost:
    """What the published mark says was there and is not; the mark itself is never believed for more than that."""
    marks = MarkReader(folder, files)
    try:
        mark = marks.read()
    finally:
        marks.close()
    if mark is None or mark.identity != identity:
        return _Lost()
    if mark.serial > top_serial:
        return _Lost(segments=1, end_position=mark.durable_position)
    if mark.serial == top_serial and mark.offset > tail.offset:
        return _Lost(bytes=mark.offset - tail.offset, end_position=mark.durable_position)
    return _Lost()
