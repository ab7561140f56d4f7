"""The highest load that holds the promises, in few trials."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

FINE: Final = 1 / 12
"""The search ends when the highest that held and the lowest that did not are closer than this part of the former."""


@dataclass(frozen=True, slots=True)
class Found:
    """`best` held (0: not even the least did); `worst` did not (None: all that was allowed held)."""

    best: int
    worst: int | None
    trials: int


def find_max(holds: Callable[[int], bool], start: int, most: int, max_trials: int = 16) -> Found:
    """Double from `start` until it does not hold, then halve the gap. What failed gets a second try: machines stumble.

    `holds` must be false from some number on. At most `most` is tried, and at most `max_trials` trials are made.
    """
    trials = 0

    def tried(number: int) -> bool:
        nonlocal trials
        for _ in range(2):
            if trials >= max_trials:
                return False
            trials += 1
            if holds(number):
                return True
        return False

    best, worst, number = 0, None, max(1, min(start, most))
    while trials < max_trials:
        if tried(number):
            best = number
        else:
            worst = number
        if best >= most:
            break
        if worst is None:
            number = min(best * 2, most)
        elif worst - best <= max(1, int(best * FINE)):
            break
        else:
            number = (best + worst) // 2
    return Found(best, worst, trials)
