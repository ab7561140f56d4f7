"""Reading the car's journal for the link: whole records in order, off the event loop."""

import asyncio
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ved.codec.records import peek
from ved.errors import CorruptDataError
from ved.journal.reader import JournalReader
from ved.link.span import Span, span_of

READ_BYTES: Final = 256 << 10


@dataclass(frozen=True, slots=True)
class Kept:
    """A record in the car's journal. `is_after_damage`: right before it, something that was there cannot be read."""

    position: int
    epoch: bytes
    span: Span
    record: bytes
    is_after_damage: bool = False


class Walker:
    """Reads the journal's records from a position on; damaged ones are passed over."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._reader: JournalReader | None = None
        self._is_after_damage = False
        self._gone = 0  # positions that the reader could not deliver, up to the last one that it did
        self._lock = threading.Lock()  # a cancelled read goes on in its thread

    async def read(self, position: int) -> tuple[list[Kept], int]:
        """The next records from `position` on, and where to go on; nothing and the same position at the end.

        StorageError when the journal cannot be read.
        """
        return await asyncio.to_thread(self._read, position)

    async def at(self, position: int) -> bytes | None:
        """The record at `position`; None when it is not there (any more)."""
        return await asyncio.to_thread(self._read_one, position)

    def _read(self, position: int) -> tuple[list[Kept], int]:
        with self._lock:
            if self._reader is None or self._reader.position != position:
                self._close()
                self._reader = JournalReader(self.path, position)
                self._is_after_damage, self._gone = False, 0
            return self._read_on(self._reader)

    def _read_one(self, position: int) -> bytes | None:
        reader = JournalReader(self.path, position)
        try:
            entries = reader.read(1)
        finally:
            reader.close()
        return entries[0].payload if entries and entries[0].position == position else None

    def _read_on(self, reader: JournalReader) -> tuple[list[Kept], int]:
        out: list[Kept] = []
        entries = reader.read(READ_BYTES)
        if not entries:
            return out, reader.position
        inside = entries[-1].position + 1 - entries[0].position - len(entries)
        self._is_after_damage |= reader.corrupt + reader.skipped > self._gone + inside
        self._gone = reader.corrupt + reader.skipped
        expected = entries[0].position
        for entry in entries:
            self._is_after_damage |= entry.position > expected
            expected = entry.position + 1
            try:
                header = peek(entry.payload)
            except CorruptDataError:
                self._is_after_damage = True  # not ours, or newer than this program: it can never be sent
                continue
            out.append(Kept(entry.position, header.epoch, span_of(header), entry.payload, self._is_after_damage))
            self._is_after_damage = False
        return out, reader.position

    def close(self) -> None:
        """Give the files back."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None
