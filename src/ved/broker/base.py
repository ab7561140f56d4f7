"""What every broker offers: a stream that one process writes and many read, each with its own cursor."""

from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol

from ved.model.records import Arrival

StreamName = Literal["frames", "events"]
Start = int | Literal["earliest", "latest"]


class StreamEntry(NamedTuple):
    """One entry: its position in the stream, when and how it arrived, and the record's bytes (see codec/records)."""

    position: int
    arrival: Arrival
    record: bytes


class StreamWriter(Protocol):
    """The one writer of a stream. Methods raise StorageError when the entry is not taken."""

    @property
    def next_position(self) -> int:
        """The position that the next entry gets."""
        ...

    @property
    def durable_position(self) -> int:
        """Every position below it survives a power cut."""
        ...

    @property
    def unsynced_bytes(self) -> int:
        """Bytes appended since the last sync."""
        ...

    @property
    def size_bytes(self) -> int:
        """What the stream holds now; it may stay above `keep_bytes` for a cursor's sake."""
        ...

    def append(self, arrival: Arrival, record: bytes) -> int:
        """Add one entry, visible to readers soon, after `sync` for sure; its position."""
        ...

    def sync(self) -> int:
        """Return once all entries are durable; the durable position."""
        ...

    def trim(self, keep_bytes: int, keep_us: int, never_past: Sequence[str]) -> None:
        """Let go of the oldest entries beyond `keep_bytes` or older than `keep_us` since their arrival.

        Never of an entry that a cursor named in `never_past` has still to read; such a cursor that does not exist yet
        has read nothing.
        """
        ...

    def close(self) -> None:
        """Sync and let the next writer in."""
        ...


class StreamReader(Protocol):
    """Reads entries in order. Methods raise StorageError when the stream cannot be read."""

    @property
    def position(self) -> int:
        """The next position to be delivered."""
        ...

    @property
    def skipped(self) -> int:
        """Entries that were gone before this reader came to them (an upper bound)."""
        ...

    @property
    def corrupt(self) -> int:
        """Entries that were damaged, so never delivered."""
        ...

    async def read(self, *, max_bytes: int = 1 << 20, timeout_s: float) -> list[StreamEntry]:
        """The next entries, as soon as there are any; [] after `timeout_s` without."""
        ...

    def durable_position(self) -> int:
        """Every position below it survives a power cut; what commits something elsewhere reads no further."""
        ...

    def next_position(self) -> int:
        """The position that the writer gives next, as far as can be seen now."""
        ...

    def close(self) -> None:
        """Give everything back."""
        ...


class Stream(Protocol):
    """A named stream: its writer, its readers, and durable cursors by consumer name."""

    def writer(self) -> StreamWriter:
        """Become the writer; UserError when another process is."""
        ...

    def reader(self, start: Start) -> StreamReader:
        """A reader from a position on, from the oldest entry, or from the next new one. The stream may come later."""
        ...

    def cursor(self, name: str) -> int | None:
        """The position that consumer `name` reads next, or None when it never committed one on this stream."""
        ...

    def commit_cursor(self, name: str, position: int) -> None:
        """Remember durably that consumer `name` is done with every position below `position`."""
        ...
