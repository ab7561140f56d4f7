"""What one bus is read through."""

from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from ved.canbus.source import SourceLoss
from ved.errors import VedError
from ved.model.frames import FrameColumns
from ved.model.samples import SampleRows

Rows = TypeVar("Rows", FrameColumns, SampleRows)


class BusDownError(VedError):
    """The bus went away or is not there yet. Declare the time as lost, and try to open it again after a pause."""


@dataclass(frozen=True, slots=True)
class RowReading(Generic[Rows]):
    """What came from one bus since the last reading; `t_us` never runs backwards.

    `refused` counts what came and was no frame, came twice, or came from somebody else: a network brings such things.
    """

    frames: Rows
    losses: tuple[SourceLoss, ...] = ()
    refused: int = 0


class RowReader(Protocol[Rows]):
    """One bus (or a sensor): its frames (samples) and nothing else; no reader can send on a bus. All methods are called
    from one thread.
    """

    @property
    def bus(self) -> int:
        """The bus's index in the frames."""

    @property
    def interface(self) -> str:
        """What is read, for people: `can0`."""

    @property
    def is_open(self) -> bool:
        """True once frames can come; after `open` it may take a while."""

    @property
    def alive_us(self) -> int:
        """Everything that the bus brought from `open` until this moment has been read or counted as lost."""

    @property
    def opened_us(self) -> int:
        """When frames began to come after the last `open`."""

    @property
    def trouble(self) -> str | None:
        """Why an open bus brings nothing, or None."""

    def open(self, origin_mono_ns: int) -> None:
        """Begin, without waiting. BusDownError when the bus is not there, UserError when it never can be."""

    def fileno(self) -> int:
        """A descriptor that becomes readable when there is something to read."""

    def read(self) -> RowReading[Rows]:
        """What has come, without waiting. BusDownError when the bus went away."""

    def close(self) -> tuple[SourceLoss, ...]:
        """Give back what `open` took, with the losses not told before; may be called twice."""


class Reading(RowReading[FrameColumns]):
    """Frames."""

    __slots__ = ()


class SampleReading(RowReading[SampleRows]):
    """Samples."""

    __slots__ = ()


BusReader = RowReader[FrameColumns]
SensorReader = RowReader[SampleRows]
