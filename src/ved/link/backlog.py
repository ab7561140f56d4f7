"""What the car's journal holds that the server may not have: what to send again."""

from collections import deque
from collections.abc import Callable
from pathlib import Path

from ved.link.walker import Kept, Walker


class Backlog:
    """Walks from a cursor to an end that grows: what lies between may have to be sent again."""

    def __init__(self, path: Path, first: int, end: int) -> None:
        self._walker = Walker(path)
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
