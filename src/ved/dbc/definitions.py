"""What a DBC file says: messages and signals as plain values, and the lines that were set aside."""

from dataclasses import dataclass, field
from typing import Final, Literal

RawType = Literal["unsigned", "signed", "float"]
ProblemCode = Literal["faulty-line", "duplicate-id", "duplicate-name", "multiplexer", "out-of-frame", "unknown-name"]

MAX_FRAME_BYTES: Final = 64


@dataclass(frozen=True, slots=True)
class SignalDef:
    """Where a signal's bits lie in the payload and what they mean: value = raw * scale + offset.

    `start_bit` counts as the DBC does: 8 * byte + bit (bit 0 is the least significant) of the least significant bit
    when `is_little_endian`, else of the most significant one. `minimum` and `maximum` are the file's (physical; None
    where it gives 0|0). `multiplexer` is the index, in its message's `signals`, of the signal whose raw bits, read as
    an unsigned number, select this one: it is present when they lie in one of `selectors` (first, last; inclusive).
    `line` is where the file defines it, from 1 (0: unknown); it makes no difference between two definitions.
    """

    name: str
    start_bit: int
    length_bits: int
    is_little_endian: bool
    raw_type: RawType
    scale: float
    offset: float
    minimum: float | None
    maximum: float | None
    unit: str
    choices: tuple[tuple[int, str], ...] = ()
    comment: str = ""
    is_multiplexer: bool = False
    multiplexer: int | None = None
    selectors: tuple[tuple[int, int], ...] = ()
    line: int = field(default=0, compare=False)

    @property
    def first_bit(self) -> int:
        """The first bit in the signal's own order: from byte 0's bit 0 upwards, big-endian from its bit 7 downwards."""
        if self.is_little_endian:
            return self.start_bit
        return 8 * (self.start_bit // 8) + 7 - self.start_bit % 8

    @property
    def end_byte(self) -> int:
        """How many payload bytes a frame must have for this signal to be in it."""
        return (self.first_bit + self.length_bits + 7) // 8

    @property
    def raw_range(self) -> tuple[int, int]:
        """Least and greatest raw number of an integer signal; of a float, of its bits."""
        if self.raw_type == "signed":
            return -(1 << (self.length_bits - 1)), (1 << (self.length_bits - 1)) - 1
        return 0, (1 << self.length_bits) - 1


@dataclass(frozen=True, slots=True)
class MessageDef:
    """One frame id on one bus (`bus` None: on any bus) and its signals, every multiplexer before what it selects.

    `is_j1939`: it is also what frames of the same parameter group are, whatever their priority, source and destination.
    """

    name: str
    arbitration_id: int
    is_extended: bool
    length: int
    is_fd: bool
    bus: int | None
    bus_name: str
    file: str
    signals: tuple[SignalDef, ...]
    comment: str = ""
    is_j1939: bool = False
    line: int = field(default=0, compare=False)

    @property
    def group(self) -> int | None:
        """The parameter group that it stands for, or None."""
        return pgn(self.arbitration_id) if self.is_j1939 else None


def pgn(arbitration_id: int) -> int:
    """The parameter group of a 29-bit id (SAE J1939-21): without priority, source and destination."""
    group = arbitration_id >> 8 & 0x3FFFF
    return group if group >> 8 & 0xFF >= 0xF0 else group & 0x3FF00


@dataclass(frozen=True, slots=True)
class Problem:
    """A line (counted from 1) of a DBC file that was set aside, or that is doubtful, and why."""

    file: str
    line: int
    text: str
    why: str
    code: ProblemCode = "faulty-line"
