"""What the car's journal holds that the server does not: what to send again, and what may be trimmed."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ved.codec.records import peek
from ved.errors import CorruptDataError
from ved.journal.reader import JournalReader
from ved.link.ledger import Ledger
from ved.link.span import Span, span_of

READ_BYTES: Final = 256 << 10


@dataclass(frozen=True, slots=True)
class Kept:
    """A record in the car's journal."""

    position: int
    epoch: bytes
    span: Span
    record: bytes


class _Walker:
    """Reads the journal's records from a position on, off the event loop; damaged ones are passed over."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._reader: JournalReader | None = None
        self._lock = threading.Lock()  # a cancelled read goes on in its thread

    async def read(self, position: int) -> tuple[list[Kept], int]:
        """The next records from `position` on, and where to go on; nothing and the same position at the end."""
        return await asyncio.to_thread(self._read, position)

    def _read(self, position: int) -> tuple[list[Kept], int]:
        with self._lock:
            if self._reader is None or self._reader.position != position:
                self._close()
                self._reader = JournalReader(self._path, position)
            return _read_on(self._reader)

    def close(self) -> None:
        """Give the files back."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None


def _read_on(reader: JournalReader) -> tuple[list[Kept], int]:
    out: list[Kept] = []
    for entry in reader.read(READ_BYTES):
        try:
            header = peek(entry.payload)
        except CorruptDataError:
            continue  # not ours, or newer than this program: it can never be sent
        out.append(Kept(entry.position, header.epoch, span_of(header), entry.payload))
    return out, reader.position


class Backlog:
    """Walks from a cursor to an end that grows: what lies between may have to be sent again."""

    def __init__(self, path: Path, first: int, end: int) -> None:
        self._walker = _Walker(path)
        self._buffer: deque[Kept] = deque()
        self._cursor = first
        self._end = end

    @property
    def is_empty(self) -> bool:
        """True when there is nothing left to look at."""
        return not self._buffer and self._cursor >= self._end

    def add(self, position: int) -> None:
        """This record is not on its way to the server: look at it (again)."""
        if self.is_empty:
            self._cursor = position
        elif position < (self._buffer[0].position if self._buffer else self._cursor):
            self._cursor = position
            self._buffer.clear()
        self._end = max(self._end, position + 1)

    def rescan(self, first: int, end: int) -> None:
        """Look at everything from `first` to `end` again."""
        self._buffer.clear()
        self._cursor, self._end = first, max(self._end, end)

    async def next(self, is_wanted: Callable[[Kept], bool]) -> Kept | None:
        """The next record that is still wanted; None when there is none up to the end.

        StorageError when the journal cannot be read.
        """
        while True:
            while self._buffer:
                kept = self._buffer.popleft()
                if kept.position < self._end and is_wanted(kept):
                    return kept
            if self._cursor >= self._end:
                return None
            asked = self._cursor
            records, position = await self._walker.read(asked)
            if self._cursor != asked:
                continue  # it was set to another place meanwhile
            self._buffer.extend(records)
            # Nothing there although the end lies further: those records are gone (trimmed), or were never written.
            self._cursor = max(position, asked) if records or position > asked else self._end

    def close(self) -> None:
        """Give the files back."""
        self._walker.close()


class Frontier:
    """Walks behind the server's "stored": everything below `position` may be trimmed."""

    def __init__(self, path: Path, first: int) -> None:
        self._walker = _Walker(path)
        self._marks: deque[tuple[int, bytes, Span]] = deque()
        self._read_to = first
        self.position = first

    @property
    def waiting_epoch(self) -> bytes | None:
        """The epoch of the first record that is not stored, when one was seen."""
        return self._marks[0][1] if self._marks else None

    async def advance(self, ledger: Ledger, end: int) -> int:
        """Move past everything that is stored, at most to `end`; returns the position. StorageError as for a reader."""
        while True:
            while self._marks:
                at, epoch, span = self._marks[0]
                if not ledger.is_stored(epoch, span):
                    self.position = at
                    return at
                self._marks.popleft()
                self.position = at + 1
            if self._read_to >= end:
                self.position = max(self.position, self._read_to)
                return self.position
            records, position = await self._walker.read(self._read_to)
            if position == self._read_to:
                return self.position
            self._read_to = position
            self._marks.extend((kept.position, kept.epoch, kept.span) for kept in records)

    def close(self) -> None:
        """Give the files back."""
        self._walker.close()
