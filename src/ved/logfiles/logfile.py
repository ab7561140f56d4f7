"""What every log file offers, whatever its format."""

from collections.abc import Iterator
from typing import Final, Protocol

from ved.model.frames import FrameColumns

CHUNK_FRAMES: Final = 16_384
"""Frames in one chunk of a log, at most."""


class LogFile(Protocol):
    """A recording, opened. Frames come in the file's order (files that keep buses apart: in the order of time)."""

    @property
    def start_utc_us(self) -> int:
        """UTC of the first frame in µs since 1970, as recorded."""

    @property
    def buses(self) -> dict[int, str]:
        """The buses that frames came from: index in the `bus` column -> name in the file."""

    @property
    def frame_count(self) -> int | None:
        """How many frames the file holds; None when that is only known at its end."""

    @property
    def problem(self) -> str | None:
        """What could not be read, in one line; final when `chunks` has ended."""

    def chunks(self) -> Iterator[FrameColumns]:
        """All frames from the start, up to CHUNK_FRAMES at a time; `t_us` counts from the log's first frame.

        Raises UserError when the file can no longer be read.
        """
