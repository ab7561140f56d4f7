"""The life of one alarm: a condition that becomes true and false, delays, and what comes out of them."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final, NamedTuple

NEVER: Final = 1 << 62


class Phase(IntEnum):
    """Where a rule stands."""

    IDLE = 0
    RISING = 1
    """True, but not for long enough yet."""
    ACTIVE = 2
    FALLING = 3
    """False again, but not for long enough yet."""


class Change(NamedTuple):
    """A rule's alarm began or ended: number of the rule, time, value of its channel then, worst value so far."""

    rule: int
    is_raised: bool
    t_us: int
    value: float
    worst: float


class Turn(NamedTuple):
    """An alarm began or ended at this time."""

    is_raised: bool
    t_us: int


@dataclass(slots=True)
class Life:
    """One rule's state. `deadline_us`: when the delay that runs is over, NEVER without one."""

    on_delay_us: int
    off_delay_us: int
    phase: Phase = Phase.IDLE
    is_true: bool = False
    deadline_us: int = NEVER

    @property
    def is_active(self) -> bool:
        """True from raised to cleared."""
        return self.phase >= Phase.ACTIVE

    def fire(self, t_us: int) -> Turn | None:
        """Time has come to `t_us`: what the delay that ran out by then brings."""
        if self.deadline_us > t_us:
            return None
        at_us, self.deadline_us = self.deadline_us, NEVER
        self.phase = Phase.ACTIVE if self.phase == Phase.RISING else Phase.IDLE
        return Turn(self.phase == Phase.ACTIVE, at_us)

    def turn(self, t_us: int, *, is_true: bool) -> Turn | None:
        """The condition becomes true or false at `t_us`; call `fire` for that time first."""
        self.is_true = is_true
        before, self.deadline_us = self.phase, NEVER
        if is_true:
            if before == Phase.IDLE and self.on_delay_us:
                self.phase, self.deadline_us = Phase.RISING, t_us + self.on_delay_us
            else:
                self.phase = Phase.ACTIVE
            return Turn(True, t_us) if before == Phase.IDLE and not self.on_delay_us else None
        if before == Phase.ACTIVE and self.off_delay_us:
            self.phase, self.deadline_us = Phase.FALLING, t_us + self.off_delay_us
            return None
        self.phase = Phase.IDLE
        return Turn(False, t_us) if before == Phase.ACTIVE else None

    def rebase(self) -> None:
        """Another time base begins: what is on stays on, delays end without effect."""
        self.phase = Phase.ACTIVE if self.is_active else Phase.IDLE
        self.is_true = self.is_active
        self.deadline_us = NEVER

    def forget(self) -> None:
        """As in the beginning."""
        self.phase, self.is_true, self.deadline_us = Phase.IDLE, False, NEVER
