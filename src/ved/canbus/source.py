"""Where frames come from: one small contract for buses, recordings and the simulator."""

from typing import Protocol

from ved.model.clockmap import ClockPair
from ved.model.frames import FrameColumns


class Source(Protocol):
    """A stream of frames in arrival order. All methods are called from one thread."""

    @property
    def is_realtime(self) -> bool:
        """True: the world does not wait, so a full queue is loss. False (recordings): the reader may take its time."""

    def open(self, origin_mono_ns: int) -> None:
        """Begin. `t_us` counts from this `time.monotonic_ns()`; recordings count from their own start.

        Raises UserError when the source cannot be opened.
        """

    def read(self, timeout_s: float) -> FrameColumns | None:
        """Frames that have come, waiting at most `timeout_s` for the first; may be empty. None: the source ended."""

    def clock(self, now_mono_ns: int) -> ClockPair | None:
        """The best pair (t_us, UTC) known now; None while there is none."""

    def close(self) -> None:
        """Give back what `open` took; may be called twice."""
