"""The two small files beside the segments: `state` (never lost) and `durable` (a hint for readers)."""

from pathlib import Path
from typing import Final

from ved.journal.files import FileLayer, read_or_nothing, write_all_at
from ved.journal.layout import (
    MARK_BYTES,
    MARK_NAME,
    STATE_NAME,
    STATE_SLOT_BYTES,
    STATE_SLOT_SPACING_BYTES,
    Mark,
    State,
)

_SLOTS: Final = (0, STATE_SLOT_SPACING_BYTES)
_MARK_TRIES: Final = 4


class StateFile:
    """The state in two slots, a block apart, written in turn: whatever tears, the other slot still holds.

    Rewritten in place, so that it needs no space on a full disk. Errors are OSError.
    """

    def __init__(self, folder: Path, files: FileLayer, current: State | None) -> None:
        self._files = files
        self._fd = files.open(folder / STATE_NAME, "update")
        self._current = current
        self._is_certain = True

    @property
    def is_certain(self) -> bool:
        """False after a failed write: a reader of the file may see either state."""
        return self._is_certain

    @property
    def current(self) -> State:
        """The last state that is known to be on the disk."""
        if self._current is None:
            raise ValueError("no state was written yet")
        return self._current

    def write(self, state: State) -> None:
        """Return once `state` is on the disk; on OSError the last one still is, and the same slot is tried again."""
        slot = state.sequence % 2
        self._is_certain = False
        write_all_at(self._files, self._fd, state.pack(), _SLOTS[slot])
        self._files.sync(self._fd)
        self._current = state
        self._is_certain = True

    def close(self) -> None:
        """Give the file back."""
        self._files.close(self._fd)


def read_state(folder: Path, files: FileLayer) -> State | None:
    """The newest valid slot, or None when there is none (or no such journal yet)."""
    try:
        fd = files.open(folder / STATE_NAME, "read")
    except FileNotFoundError:
        return None
    try:
        slots = [State.parse(read_or_nothing(files, fd, STATE_SLOT_BYTES, at)) for at in _SLOTS]
    finally:
        files.close(fd)
    return max((state for state in slots if state), key=lambda state: state.sequence, default=None)


class MarkFile:
    """The writer's side of the durable mark: one small write in place after each fdatasync. Errors are OSError."""

    def __init__(self, folder: Path, files: FileLayer) -> None:
        self._files = files
        self._fd = files.open(folder / MARK_NAME, "update")

    def publish(self, mark: Mark) -> None:
        """Show `mark` to all readers."""
        write_all_at(self._files, self._fd, mark.pack(), 0)

    def sync(self) -> None:
        """Return once the mark is on the disk."""
        self._files.sync(self._fd)

    def close(self) -> None:
        """Give the file back."""
        self._files.close(self._fd)


class MarkReader:
    """The reader's side: the mark now, or None when there is none or it is damaged."""

    def __init__(self, folder: Path, files: FileLayer) -> None:
        self._path = folder / MARK_NAME
        self._files = files
        self._fd: int | None = None

    def read(self) -> Mark | None:
        """One read; tried again a few times where it met the writer half way."""
        if self._fd is None:
            try:
                self._fd = self._files.open(self._path, "read")
            except FileNotFoundError:
                return None
        for _ in range(_MARK_TRIES):
            mark = Mark.parse(read_or_nothing(self._files, self._fd, MARK_BYTES, 0))
            if mark:
                return mark
        return None

    def close(self) -> None:
        """Give the file back."""
        if self._fd is not None:
            self._files.close(self._fd)
            self._fd = None
