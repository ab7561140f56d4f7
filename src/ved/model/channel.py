"""A channel: a named time series that people look at."""

from dataclasses import dataclass
from typing import Literal

ChannelKind = Literal["continuous", "discrete"]


@dataclass(frozen=True, slots=True)
class Channel:
    """One decoded signal with what a person needs to read it.

    `bus` is None when the definition holds for every bus. `is_wide` asks for float64 on the wire (float32 would lose
    steps of the raw value). `choices` are the value table: (raw value, text).
    """

    name: str
    unit: str
    kind: ChannelKind
    bus: int | None
    message: str
    signal: str
    arbitration_id: int
    is_extended: bool
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[tuple[int, str], ...] = ()
    comment: str = ""
    is_wide: bool = False
