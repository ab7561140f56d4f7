"""Samples: values that never were CAN frames, as columns, with an epoch and seqs of their own."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ved.model.channel import ChannelKind
from ved.model.frames import EPOCH_BYTES

MAX_BATCH_SAMPLES: Final = 65_536
MAX_NAME_BYTES: Final = 512
MAX_UNIT_BYTES: Final = 64


@dataclass(frozen=True, slots=True)
class SampleChannel:
    """A channel of samples: its name is its identity within a vehicle. ValueError for a name or unit out of range."""

    name: str
    unit: str = ""
    kind: ChannelKind = "continuous"

    def __post_init__(self) -> None:
        if not 1 <= len(self.name.encode()) <= MAX_NAME_BYTES:
            raise ValueError(f"a channel's name has 1 to {MAX_NAME_BYTES} bytes")
        if len(self.unit.encode()) > MAX_UNIT_BYTES:
            raise ValueError(f"channel {self.name}: a unit has at most {MAX_UNIT_BYTES} bytes")


@dataclass(frozen=True, slots=True, eq=False)
class SampleColumns:
    """n samples in arrival order. `channel` is the number of each one's channel in a table beside it."""

    t_us: NDArray[np.int64]
    channel: NDArray[np.uint16]
    value: NDArray[np.float64]

    def __post_init__(self) -> None:
        if not len(self.t_us) == len(self.channel) == len(self.value):
            raise ValueError("sample columns differ in length")

    def __len__(self) -> int:
        return len(self.t_us)

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_] | slice) -> "SampleColumns":
        """The samples at `rows` (indices, mask or slice), in that order."""
        return SampleColumns(self.t_us[rows], self.channel[rows], self.value[rows])

    def equals(self, other: "SampleColumns") -> bool:
        """True when all columns are the same, values bit by bit."""
        return (
            np.array_equal(self.t_us, other.t_us)
            and np.array_equal(self.channel, other.channel)
            and self.value.tobytes() == other.value.tobytes()
        )


@dataclass(frozen=True, slots=True, eq=False)
class SampleRows:
    """n samples with the table that their channel numbers count in, before they have an epoch and seqs."""

    channels: tuple[SampleChannel, ...]
    samples: SampleColumns

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def t_us(self) -> NDArray[np.int64]:
        """Their times."""
        return self.samples.t_us

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_] | slice) -> "SampleRows":
        """The samples at `rows` (indices, mask or slice), in that order."""
        return SampleRows(self.channels, self.samples.take(rows))

    @staticmethod
    def concatenate(parts: Sequence["SampleRows"]) -> "SampleRows":
        """All parts one after the other, in one table; the newest unit and kind of a name hold."""
        table: dict[str, SampleChannel] = {}
        for part in parts:
            table.update((one.name, one) for one in part.channels)
        numbers = {name: number for number, name in enumerate(table)}
        renumbered = [np.array([numbers[one.name] for one in part.channels], np.uint16) for part in parts if part]
        parts = [part for part in parts if part]
        columns = SampleColumns(
            np.concatenate([np.empty(0, np.int64), *(part.samples.t_us for part in parts)]),
            np.concatenate(
                [
                    np.empty(0, np.uint16),
                    *(table[part.samples.channel] for table, part in zip(renumbered, parts, strict=True)),
                ]
            ),
            np.concatenate([np.empty(0), *(part.samples.value for part in parts)]),
        )
        return SampleRows(tuple(table.values()), columns)

    def without_unused(self) -> "SampleRows":
        """The same samples with a table of the channels that they use."""
        used, numbers = np.unique(self.samples.channel, return_inverse=True)
        columns = SampleColumns(self.samples.t_us, numbers.astype(np.uint16), self.samples.value)
        return SampleRows(tuple(self.channels[number] for number in used), columns)


@dataclass(frozen=True, slots=True, eq=False)
class SampleBatch:
    """Consecutive samples of one epoch, named by (vehicle, epoch, first_seq, count); never re-cut.

    `samples.channel` counts in `channels`, whose names are distinct. ValueError when that does not hold.
    """

    vehicle: str
    epoch: bytes
    first_seq: int
    channels: tuple[SampleChannel, ...]
    samples: SampleColumns

    def __post_init__(self) -> None:
        if len(self.epoch) != EPOCH_BYTES:
            raise ValueError("an epoch is 16 bytes")
        if self.first_seq < 1:
            raise ValueError("seq counts from 1")
        if len({channel.name for channel in self.channels}) != len(self.channels):
            raise ValueError("two channels have one name")
        if len(self.samples) and int(self.samples.channel.max()) >= len(self.channels):
            raise ValueError("a sample of a channel that is not in the table")

    @property
    def count(self) -> int:
        """Number of samples."""
        return len(self.samples)

    @property
    def last_seq(self) -> int:
        """seq of the last sample."""
        return self.first_seq + len(self.samples) - 1

    def equals(self, other: "SampleBatch") -> bool:
        """True when both hold the same samples of the same channels under the same seqs."""
        return (
            (self.vehicle, self.epoch, self.first_seq) == (other.vehicle, other.epoch, other.first_seq)
            and self.channels == other.channels
            and self.samples.equals(other.samples)
        )
