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
class Lost:
    """Some `count` records that cannot be read, at positions from `first` to before `end`."""

    first: int
    end: int
    count: int

    @staticmethod
    def join(before: "Lost | None", after: "Lost") -> "Lost":
        """Both as one."""
        return after if before is None else Lost(before.first, after.end, before.count + after.count)


@dataclass(frozen=True, slots=True)
class Kept:
    """A record in the car's journal. `is_after_damage`: right before it, something that was there cannot be read.

    `lost`: what that is, unless it was trimmed.
    """

    position: int
    epoch: bytes
    span: Span
    record: bytes
    is_after_damage: bool = False
    lost: Lost | None = None


class Walker:
    """Reads the journal's records from a position on; damaged ones are passed over."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._reader: JournalReader | None = None
        self._is_after_damage = False
        self._lost: Lost | None = None
        self._expected = 0  # the position after the last one that the reader delivered
        self._gone = 0  # positions that it could not deliver, up to there
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
                self._is_after_damage, self._lost, self._expected, self._gone = False, None, position, 0
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
        gone, self._gone = self._gone, reader.corrupt + reader.skipped
        damage = self._damage(entries[-1].position) if self._gone > gone else {}
        for entry in entries:
            if entry.position in damage:
                self._note_damage(damage[entry.position])
            self._expected = entry.position + 1
            try:
                header = peek(entry.payload)
            except CorruptDataError:  # not ours, or newer than this program: it can never be sent
                self._note_damage(Lost(entry.position, self._expected, 1))
                continue
            span = span_of(header)
            out.append(Kept(entry.position, header.epoch, span, entry.payload, self._is_after_damage, self._lost))
            self._is_after_damage, self._lost = False, None
        return out, reader.position

    def _damage(self, last: int) -> dict[int, Lost]:
        """What is gone from the expected position to `last`, by the position of the record behind it.

        One by one: a position that is passed over and does not count as gone was never given to a record.
        """
        out: dict[int, Lost] = {}
        expected, gone = self._expected, 0
        reader = JournalReader(self.path, expected)
        try:
            kept_from = reader.first_position()
            while expected <= last and (entries := reader.read(1)):
                count, gone = reader.corrupt + reader.skipped - gone, reader.corrupt + reader.skipped
                first, end = max(expected, kept_from), entries[0].position
                if count:
                    out[end] = Lost(first, end, max(0, min(count, end - first)))
                expected = entries[-1].position + 1
        finally:
            reader.close()
        return out

    def _note_damage(self, lost: Lost) -> None:
        self._is_after_damage = True
        if lost.count:  # else it was trimmed
            self._lost = Lost.join(self._lost, lost)

    def close(self) -> None:
        """Give the files back."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None
