"""Faults that a person can order for the simulated car."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ved.errors import UserError

GRAMMAR: Final = (
    "KIND[:TARGET]@START+SECONDS, like over_temperature@60+30, cell_sag:42@60+30 or sensor_dropout:Steering@5+2"
)

_PATTERN: Final = re.compile(r"([a-z_]+)(?::([^@\s]+))?@(\d+(?:\.\d+)?)\+(\d+(?:\.\d+)?)")


class FaultKind(StrEnum):
    """What can go wrong."""

    OVER_TEMPERATURE = "over_temperature"  # the motor's winding gets hot; a coolant pump, where there is one, stops
    CELL_SAG = "cell_sag"  # one cell loses voltage, the more so under load; target: its number
    STRING_LOSS = "string_loss"  # one string of a solar array gives nothing; target: its number
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

    def number(self, most: int, what: str) -> int:
        """The target as a number from 1 to `most`, the one near the middle by default; UserError for any other."""
        if not self.target:
            return (most + 1) // 2
        if not self.target.isdecimal() or not 1 <= int(self.target) <= most:
            raise UserError(f"fault {self.kind}: no {what} '{self.target}'; {what}s are numbered 1 to {most}")
        return int(self.target)

    def message(self, messages: Sequence[str], usual: str) -> str:
        """The target message, or the usual one; UserError unless it is one of `messages`."""
        name = self.target or usual
        if name not in messages:
            raise UserError(f"fault sensor_dropout: no message '{name}'; messages are {', '.join(messages)}")
        return name


def active(faults: Sequence[Fault], time_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 where one of the faults is there, else 0."""
    out = np.zeros(len(time_s))
    for fault in faults:
        out[fault.is_active(time_s)] = 1.0
    return out
