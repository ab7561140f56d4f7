"""Where frames come from: one small contract for buses, recordings and the simulator."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from ved.model.clockmap import ClockPair
from ved.model.frames import FrameColumns
from ved.model.records import LossPlace


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


@dataclass(frozen=True, slots=True)
class SourceLoss:
    """Frames of one bus that came to nobody: `count` of them (-1: not known), all within `t_from_us..t_to_us`."""

    place: LossPlace
    bus: int
    count: int
    t_from_us: int
    t_to_us: int


@dataclass(frozen=True, slots=True)
class BusState:
    """How a bus does, for people. `trouble` is why it is down or ill, or None; the counts are since the start.

    `refused`: what came over a network and was no frame, came twice, or came from somebody else.
    """

    bus: int
    interface: str
    is_up: bool
    trouble: str | None
    frames: int
    error_frames: int
    lost_frames: int
    refused: int = 0


@runtime_checkable
class LossySource(Protocol):
    """A source on real buses also has these; a recording or a simulator needs neither."""

    def losses(self) -> list[SourceLoss]:
        """What was lost and not told before. Call it after each `read`, and once more after `close`."""

    def bus_states(self) -> tuple[BusState, ...]:
        """How each bus does; from any thread."""
