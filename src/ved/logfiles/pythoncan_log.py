"""BLF (Vector), ASC (Vector) and TRC (PEAK) recordings through python-can, as columns."""

import contextlib
import io
import logging
import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

from ved.errors import UserError
from ved.logfiles.asc_date import asc_zero_us
from ved.logfiles.canmessages import columns_of
from ved.logfiles.logfile import CHUNK_FRAMES
from ved.model.frames import FrameColumns

_MAX_BUSES: Final = 256
_READ_ERRORS: Final = (ValueError, LookupError, TypeError, AttributeError, struct.error, zlib.error, OverflowError)


class PythonCanLog:
    """A log that python-can reads frame by frame. Read twice: for its buses and start, then for its frames.

    A number of a channel is the bus as python-can counts (BLF, ASC: from 0); other channels take free numbers. Of a
    damaged or cut file, what stands before the damage is read, and `problem` says so.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.problem: str | None = None
        self._indexes: dict[object, int] = {}
        self._start_s = 0.0
        zero_us = asc_zero_us(path) if _is_asc(path) else 0
        count = 0
        for message in self._messages():
            if not count:
                self._start_s = message.timestamp
            count += 1
            self._indexes.setdefault(message.channel, -1)
        self.frame_count: int | None = count
        if not count:
            raise UserError(f"log {path}: holds no CAN frames")
        self._number_buses()
        self.start_utc_us = zero_us + round(self._start_s * 1e6)

    @property
    def buses(self) -> dict[int, str]:
        """Bus index -> `can<index>`, or the channel's own name."""
        return {
            index: f"can{index}" if name is None or isinstance(name, int) else str(name)
            for name, index in sorted(self._indexes.items(), key=lambda item: item[1])
        }

    def chunks(self) -> Iterator[FrameColumns]:
        """All frames in file order."""
        waiting: list[Any] = []
        for message in self._messages():
            waiting.append(message)
            if len(waiting) == CHUNK_FRAMES:
                yield self._columns(waiting)
                waiting = []
        if waiting:
            yield self._columns(waiting)

    def _columns(self, messages: list[Any]) -> FrameColumns:
        return columns_of(messages, self._start_s, [self._indexes[message.channel] for message in messages])

    def _messages(self) -> Iterator[Any]:
        """The messages up to the end, or to the first thing that python-can cannot read."""
        from can.io.blf import BLFParseError

        self.problem = None
        done = 0
        try:
            with contextlib.closing(_Quiet()), self._path.open("rb") as file:
                reader = _reader(self._path, file)
                for message in reader:
                    yield message
                    done += 1
            if getattr(reader, "file_size", 0) > self._path.stat().st_size:  # BLF says; python-can ends in silence
                self.problem = f"log {self._path}: is cut off; {done} frames were read"
        except OSError as error:
            raise UserError(f"log {self._path}: cannot be read: {error.strerror or error}") from error
        except (BLFParseError, *_READ_ERRORS) as error:
            why = (str(error).splitlines() or [type(error).__name__])[0]
            self.problem = f"log {self._path}: is damaged or cut off after {done} frames ({why}); those were read"
            if not done:
                raise UserError(f"log {self._path}: is damaged, or not what its name says: {why}") from error

    def _number_buses(self) -> None:
        if len(self._indexes) > _MAX_BUSES:
            raise UserError(f"log {self._path}: {len(self._indexes)} channels; at most {_MAX_BUSES} can be told apart")
        taken = {name for name in self._indexes if isinstance(name, int) and 0 <= name < _MAX_BUSES}
        free = iter(sorted(set(range(_MAX_BUSES)) - taken))
        for name in sorted(self._indexes, key=lambda name: (name is not None, str(name))):
            self._indexes[name] = name if name in taken and isinstance(name, int) else next(free)


def _reader(path: Path, file: BinaryIO) -> Iterable[Any]:
    """python-can's reader over an open file: it would leave open a file of its own that is not what it should be."""
    from can import ASCReader, BLFReader, TRCReader

    if path.suffix.lower() == ".blf":
        return BLFReader(file)
    text = io.TextIOWrapper(file, encoding="utf-8", errors="replace")
    return ASCReader(text) if _is_asc(path) else TRCReader(text)


def _is_asc(path: Path) -> bool:
    return path.suffix.lower() == ".asc"


class _Quiet:
    """python-can logs some errors of files that it goes on from; the one line of `problem` is enough."""

    def __init__(self) -> None:
        self._log = logging.getLogger("can.io")
        self._level = self._log.level
        self._log.setLevel(logging.CRITICAL)

    def close(self) -> None:
        """Set the level back."""
        self._log.setLevel(self._level)
