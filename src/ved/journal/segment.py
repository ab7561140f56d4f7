"""Segments of a folder as a reader or a recovering writer sees them, and the walk through one segment's records."""

from pathlib import Path
from typing import Final, NamedTuple

from ved.journal.files import FileLayer, read_or_nothing
from ved.journal.layout import (
    RECORD_HEADER_BYTES,
    SEGMENT_HEADER_BYTES,
    SegmentHeader,
    SegmentName,
)
from ved.journal.scan import Entry, Stop, find_header, parse_records

_CHUNK_BYTES: Final = 1 << 20
_LEAST_READ_BYTES: Final = 64 << 10
_BLOCK_BYTES: Final = 4096


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
    """Walks forward through one open segment, holding at most one chunk of it. Errors are OSError.

    With `is_lenient`, blocks that the disk cannot read count as zeros, so only the records in them are lost.
    """

    def __init__(self, folder: Path, name: SegmentName, seed: int, files: FileLayer) -> None:
        """FileNotFoundError when the segment is gone."""
        self.name = name
        self.offset = SEGMENT_HEADER_BYTES
        self.is_lenient = False
        self._seed = seed
        self._files = files
        self._fd = files.open(folder / name.text, "read")
        self.header = SegmentHeader.parse(read_or_nothing(files, self._fd, SEGMENT_HEADER_BYTES, 0))

    def read(self, from_position: int, max_bytes: int) -> Read:
        """Valid records from `offset` on with positions from `from_position`; `offset` moves past them."""
        want = max(max_bytes, _LEAST_READ_BYTES)
        while True:
            data = self._bytes(want, self.offset)
            parsed = parse_records(data, 0, self._seed, from_position, max_bytes)
            self.offset += parsed.at
            if parsed.entries or parsed.stop is not Stop.PARTIAL or len(data) < want:
                is_cut_by_chunk = parsed.stop in (Stop.PARTIAL, Stop.END) and len(data) == want
                return Read(parsed.entries, Stop.FULL if is_cut_by_chunk else parsed.stop)
            want = max(want, parsed.needed)

    def skip_bad(self) -> bool:
        """Move past a bad record: over it where its header is valid, else to the next valid header.

        False (and not moved) when nothing valid follows.
        """
        data = self._bytes(RECORD_HEADER_BYTES, self.offset)
        parsed = parse_records(data, 0, self._seed, 0, 0)
        if parsed.entries:
            return True
        if parsed.stop is Stop.BAD_HEADER or len(data) < RECORD_HEADER_BYTES:
            return self._resync()
        if self.offset + parsed.needed >= self.size():
            return False
        self.offset += parsed.needed
        return True

    def size(self) -> int:
        """Bytes in the file now."""
        return self._files.size(self._fd)

    def close(self) -> None:
        """Give the file back."""
        self._files.close(self._fd)

    def _resync(self) -> bool:
        at = self.offset + 1
        while True:
            data = self._bytes(_CHUNK_BYTES, at)
            found = find_header(data, 0, self._seed)
            if found is not None:
                self.offset = at + found
                return True
            if len(data) < _CHUNK_BYTES:
                return False
            at += len(data) - RECORD_HEADER_BYTES + 1

    def _bytes(self, count: int, offset: int) -> bytes:
        try:
            return self._files.read(self._fd, count, offset)
        except OSError:
            if not self.is_lenient:
                raise
        out = bytearray()
        end = min(offset + count, self.size())
        while (at := offset + len(out)) < end:
            size = min(end - at, _BLOCK_BYTES - at % _BLOCK_BYTES)
            try:
                block = self._files.read(self._fd, size, at)
            except OSError:
                block = bytes(size)
            if not block:
                break
            out += block
        return bytes(out)
