"""What a simulated car measures: its state as signals by message, and the noise of its sensors.

Values are columns on the car's time steps, one number where nothing changes, or, in a message with pages, one column
for each signal of any page.
"""

from typing import Final, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Column = Floats | float
Signals = dict[str, Column]

KMH: Final = 3.6


class Noise:
    """Independent white noise for one chunk, handed out row by row: the same rows whatever happens in the car."""

    def __init__(self, random: np.random.Generator, steps: int) -> None:
        self._random, self._steps = random, steps

    def of(self, deviation: Column) -> Floats:
        """The next row, with this standard deviation."""
        row: Floats = self._random.standard_normal(self._steps) * deviation
        return row

    def columns(self, deviation: Column, count: int) -> Floats:
        """The next `count` rows as (n, count)."""
        return np.stack([self.of(deviation) for _ in range(count)], axis=1)


State = TypeVar("State")


class CarModel(Protocol[State]):
    """A car and its day in steps of `step_s`. A dropout without a target silences the message `usual_dropout`."""

    step_s: float
    usual_dropout: str

    def run(self, steps: int) -> State:
        """The next `steps` steps of the day."""

    def measure(self, state: State, noise: Noise) -> dict[str, Signals]:
        """What its control units make of that: the signals of every message."""


def flag(condition: NDArray[np.bool_]) -> Floats:
    """0 and 1."""
    return condition.astype(np.float64)


def numbered(name: str, values: Floats) -> Signals:
    """Signals Name01, Name02… from the columns of (n, count)."""
    return {f"{name}{number:02d}": column for number, column in enumerate(values.T, 1)}


def before(steps: Floats) -> Floats:
    """Sum of all steps before each one."""
    return np.concatenate(([0.0], np.cumsum(steps)[:-1]))
