"""The embedded broker: a stream is a journal in a folder that other processes on this machine read."""

import asyncio
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final

from ved.broker.base import Start, Stream, StreamEntry, StreamReader, StreamWriter
from ved.broker.cursors import read_cursor, write_cursor
from ved.codec.stream import pack_entry, unpack_entry
from ved.errors import CorruptDataError
from ved.journal.files import OS_FILES
from ved.journal.journal import Journal
from ved.journal.layout import DEFAULT_SEGMENT_BYTES
from ved.journal.reader import JournalReader
from ved.journal.wake import WakeListener
from ved.model.records import Arrival

_RECHECK_S: Final = 0.25


def utc_now_us() -> int:
    """UTC in µs since 1970."""
    return time.time_ns() // 1000


class JournalStreamWriter(StreamWriter):
    """StreamWriter on a journal."""

    def __init__(self, stream: "JournalStream", journal: Journal, now_us: Callable[[], int]) -> None:
        self._stream = stream
        self._journal = journal
        self._now_us = now_us
        self._first_arrivals: dict[int, int | None] = {}

    @property
    def journal(self) -> Journal:
        """The journal below, for its report and sync policy."""
        return self._journal

    @property
    def next_position(self) -> int:
        """See StreamWriter."""
        return self._journal.next_position

    @property
    def durable_position(self) -> int:
        """See StreamWriter."""
        return self._journal.durable_position

    @property
    def unsynced_bytes(self) -> int:
        """See StreamWriter."""
        return self._journal.unsynced_bytes

    @property
    def size_bytes(self) -> int:
        """See StreamWriter."""
        return self._journal.size_bytes

    def append(self, arrival: Arrival, record: bytes) -> int:
        """See StreamWriter."""
        return self._journal.append(pack_entry(arrival, record))

    def sync(self) -> int:
        """See StreamWriter."""
        return self._journal.sync()

    def trim(self, keep_bytes: int, keep_us: int, never_past: Sequence[str]) -> None:
        """See StreamWriter. Whole segments go; a segment's age is that of the first entry after it."""
        segments = self._journal.segments
        oldest_us = self._now_us() - keep_us
        size_bytes = self._journal.size_bytes
        before = 0
        for segment, following in pairwise(segments):
            is_old = False
            if size_bytes <= keep_bytes:
                arrival_us = self._first_arrival_us(following.serial, following.first_position)
                is_old = arrival_us is not None and arrival_us < oldest_us
                if not is_old:
                    break
            before = segment.end_position
            size_bytes -= segment.size_bytes
        for name in never_past:
            before = min(before, self._stream.cursor(name) or 0)
        if before > self._journal.first_position:
            self._journal.trim(before)
            kept = {segment.serial for segment in self._journal.segments}
            self._first_arrivals = {key: value for key, value in self._first_arrivals.items() if key in kept}

    def close(self) -> None:
        """See StreamWriter."""
        self._journal.close()

    def _first_arrival_us(self, serial: int, position: int) -> int | None:
        """UTC arrival of a segment's first entry, None when that cannot be read; remembered once known."""
        if self._first_arrivals.get(serial) is None:
            self._first_arrivals[serial] = self._read_arrival_us(position)
        return self._first_arrivals[serial]

    def _read_arrival_us(self, position: int) -> int | None:
        entries = self._journal.read(position, 1)
        if not entries:
            return None
        try:
            arrival, _ = unpack_entry(entries[0].payload)
        except CorruptDataError:
            return None
        return arrival.utc_us


class JournalStreamReader(StreamReader):
    """StreamReader on a journal, woken by its writer through a local socket."""

    def __init__(self, path: Path, reader: JournalReader) -> None:
        self._reader = reader
        self._listener = WakeListener(path)
        self._not_entries = 0

    @property
    def position(self) -> int:
        """See StreamReader."""
        return self._reader.position

    @property
    def skipped(self) -> int:
        """See StreamReader."""
        return self._reader.skipped

    @property
    def corrupt(self) -> int:
        """See StreamReader."""
        return self._reader.corrupt + self._not_entries

    async def read(self, *, max_bytes: int = 1 << 20, timeout_s: float) -> list[StreamEntry]:
        """See StreamReader. Lets other tasks run before it returns, so that a reader far behind starves nobody."""
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + timeout_s
        while True:
            self._listener.drain()
            entries = self._take(max_bytes)
            if entries:
                await asyncio.sleep(0)
                return entries
            left_s = deadline_s - loop.time()
            if left_s <= 0:
                await asyncio.sleep(0)
                return []
            await self._listener.wait(min(left_s, _RECHECK_S))

    def durable_position(self) -> int:
        """See StreamReader."""
        return self._reader.durable_position()

    def next_position(self) -> int:
        """See StreamReader."""
        return self._reader.next_position()

    def close(self) -> None:
        """See StreamReader."""
        self._listener.close()
        self._reader.close()

    def _take(self, max_bytes: int) -> list[StreamEntry]:
        out: list[StreamEntry] = []
        while not out and (found := self._reader.read(max_bytes)):
            for position, payload in found:
                try:
                    arrival, record = unpack_entry(payload)
                except CorruptDataError:
                    self._not_entries += 1
                    continue
                out.append(StreamEntry(position, arrival, record))
        return out


class JournalStream(Stream):
    """Stream on a journal in folder `path`."""

    def __init__(
        self, path: Path, *, segment_bytes: int = DEFAULT_SEGMENT_BYTES, now_us: Callable[[], int] = utc_now_us
    ) -> None:
        self.path = path
        self._segment_bytes = segment_bytes
        self._now_us = now_us

    def writer(self) -> JournalStreamWriter:
        """See Stream."""
        return JournalStreamWriter(self, Journal.open(self.path, segment_bytes=self._segment_bytes), self._now_us)

    def reader(self, start: Start) -> JournalStreamReader:
        """See Stream."""
        reader = JournalReader(self.path, start if isinstance(start, int) else 0)
        if start == "earliest":
            reader.position = reader.first_position()
        elif start == "latest":
            reader.position = reader.next_position()
        return JournalStreamReader(self.path, reader)

    def cursor(self, name: str) -> int | None:
        """See Stream."""
        return read_cursor(self.path, name, OS_FILES)

    def commit_cursor(self, name: str, position: int) -> None:
        """See Stream."""
        write_cursor(self.path, name, position, OS_FILES)
