"""Faults that a person can order for the simulated car."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ved.errors import UserError

DEFAULT_CELL: Final = 42
DEFAULT_MESSAGE: Final = "WheelSpeeds"
GRAMMAR: Final = (
    "KIND[:TARGET]@START+SECONDS, like over_temperature@60+30, cell_sag:42@60+30 or sensor_dropout:Steering@5+2"
)

_PATTERN: Final = re.compile(r"([a-z_]+)(?::([^@\s]+))?@(\d+(?:\.\d+)?)\+(\d+(?:\.\d+)?)")


class FaultKind(StrEnum):
    """What can go wrong."""

    OVER_TEMPERATURE = "over_temperature"  # the coolant pump stops and a shorted turn heats the motor's winding
    CELL_SAG = "cell_sag"  # one cell loses voltage, the more so under load; target: its number
    SENSOR_DROPOUT = "sensor_dropout"  # the frames of one message stop; target: its name


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault, from `start_s` for `duration_s` seconds of simulated time. `target` is empty for the default."""

    kind: FaultKind
    start_s: float
    duration_s: float
    target: str = ""

    @staticmethod
    def parse(text: str) -> "Fault":
        """Read `over_temperature@60+30`: start second and duration, optionally with a target after the kind.

        Raises UserError that shows what is allowed.
        """
        found = _PATTERN.fullmatch(text.strip())
        if found is None:
            raise UserError(f"fault {text!r}: write it {GRAMMAR}")
        kind, target, start, duration = found.groups()
        if kind not in list(FaultKind):
            raise UserError(f"fault {text!r}: no kind '{kind}'; the kinds are {', '.join(FaultKind)}")
        if kind == FaultKind.OVER_TEMPERATURE and target:
            raise UserError(f"fault {text!r}: over_temperature takes no target; leave ':{target}' out")
        return Fault(FaultKind(kind), float(start), float(duration), target or "")

    def is_active(self, time_s: NDArray[np.float64]) -> NDArray[np.bool_]:
        """True where the fault is there."""
        return (time_s >= self.start_s) & (time_s < self.start_s + self.duration_s)

    def cell(self, cells: int) -> int:
        """The target cell, from 0; UserError unless it is a number of a cell."""
        if not self.target:
            return DEFAULT_CELL - 1
        if not self.target.isdecimal() or not 1 <= int(self.target) <= cells:
            raise UserError(f"fault cell_sag: no cell '{self.target}'; cells are numbered 1 to {cells}")
        return int(self.target) - 1

    def message(self, messages: Sequence[str]) -> str:
        """The target message; UserError unless it is one of `messages`."""
        name = self.target or DEFAULT_MESSAGE
        if name not in messages:
            raise UserError(f"fault sensor_dropout: no message '{name}'; messages are {', '.join(messages)}")
        return name
