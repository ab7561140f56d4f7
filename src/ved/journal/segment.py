"""Segments of a folder as a reader or a recovering writer sees them, and the walk through one segment's records."""

from pathlib import Path
from typing import Final, NamedTuple

from ved.journal.files import FileLayer
from ved.journal.layout import (
    RECORD_HEADER_BYTES,
    SEGMENT_HEADER_BYTES,
    SegmentHeader,
    SegmentName,
)
from ved.journal.scan import Entry, Stop, find_header, parse_records

_CHUNK_BYTES: Final = 1 << 20


def list_segments(folder: Path, files: FileLayer) -> list[SegmentName]:
    """All segments by serial; empty when there is no such folder."""
    try:
        names = files.names(folder)
    except FileNotFoundError:
        return []
    return sorted(name for text in names if (name := SegmentName.parse(text)))


class Read(NamedTuple):
    """Entries, and why there are no more: FULL (ask again), END, PARTIAL or a bad record at the segment's offset."""

    entries: list[Entry]
    stop: Stop


class SegmentReader:
    """Walks forward through one open segment, holding at most one chunk of it. Errors are OSError."""

    def __init__(self, folder: Path, name: SegmentName, seed: int, files: FileLayer) -> None:
        """FileNotFoundError when the segment is gone."""
        self.name = name
        self.offset = SEGMENT_HEADER_BYTES
        self._seed = seed
        self._files = files
        self._fd = files.open(folder / name.text, "read")
        self.header = SegmentHeader.parse(files.read(self._fd, SEGMENT_HEADER_BYTES, 0))

    def read(self, from_position: int, max_bytes: int) -> Read:
        """Valid records from `offset` on with positions from `from_position`; `offset` moves past them."""
        want = max(max_bytes, _CHUNK_BYTES // 16)
        while True:
            data = self._files.read(self._fd, want, self.offset)
            parsed = parse_records(data, 0, self._seed, from_position, max_bytes)
            self.offset += parsed.at
            if parsed.entries or parsed.stop is not Stop.PARTIAL or len(data) < want:
                is_cut_by_chunk = parsed.stop in (Stop.PARTIAL, Stop.END) and len(data) == want
                return Read(parsed.entries, Stop.FULL if is_cut_by_chunk else parsed.stop)
            want = max(want, parsed.needed)

    def resync(self) -> bool:
        """Move `offset` past the bad bytes to the next valid header; False (and unmoved) when there is none."""
        at = self.offset + 1
        while True:
            data = self._files.read(self._fd, _CHUNK_BYTES, at)
            found = find_header(data, 0, self._seed)
            if found is not None:
                self.offset = at + found
                return True
            if len(data) < _CHUNK_BYTES:
                return False
            at += len(data) - RECORD_HEADER_BYTES + 1

    def skip_bad(self) -> bool:
        """Move past a bad record: over it where its header is valid, else to the next valid header."""
        data = self._files.read(self._fd, RECORD_HEADER_BYTES, self.offset)
        size = self._files.size(self._fd)
        parsed = parse_records(data, 0, self._seed, 0, 0)
        if parsed.entries:
            return True
        if parsed.stop is not Stop.BAD_HEADER and len(data) == RECORD_HEADER_BYTES:
            if self.offset + parsed.needed < size:
                self.offset += parsed.needed
                return True
            return False
        return self.resync()

    def size(self) -> int:
        """Bytes in the file now."""
        return self._files.size(self._fd)

    def close(self) -> None:
        """Give the file back."""
        self._files.close(self._fd)
