"""When people are told: alarms of a moment together, and never more often than so. Pure: the caller brings the time."""

from typing import Final

from ved.model.alarm import Alarm
from ved.notify.message import News, Step

GATHER_US: Final = 3_000_000
"""So long the first alarm waits for others of the same trouble."""
FRESH_US: Final = 600_000_000
"""An alarm of a replayed recording is older: nobody is woken for it."""
MAX_KNOWN: Final = 10_000


class Pace:
    """Takes alarms as they change; what `is_due` is told as one message, then `done`."""

    def __init__(self, least_severity: int, every_us: int) -> None:
        self._least_severity = least_severity
        self._every_us = every_us
        self._told: dict[str, Step] = {}
        self._waiting: dict[tuple[str, Step], News] = {}
        self._since_us: int | None = None
        self._next_us = 0

    def know(self, alarm: str, step: Step) -> None:
        """This was told already, before a restart."""
        self._told[alarm] = step

    def take(self, alarm: Alarm, utc_us: int, now_us: int) -> None:
        """Note how an alarm is now (`now_us`: monotonic). Late, shelved, old or slight ones are not told.

        One that was told and comes back is not old, whenever it was raised first: a latched one stays the same alarm.
        """
        step: Step = "raised" if alarm.is_active else "cleared"
        told = self._told.get(alarm.id)
        if alarm.severity < self._least_severity or alarm.is_late or told == step:
            return
        is_old = told is None and utc_us - alarm.utc_raised_us > FRESH_US
        if step == "raised" and (alarm.shelved_until_utc_us > utc_us or is_old):
            return
        if step == "cleared" and told is None:
            return  # nobody heard that it was raised
        self._told[alarm.id] = step
        while len(self._told) > MAX_KNOWN:
            del self._told[next(iter(self._told))]
        self._waiting[alarm.id, step] = News(alarm, step)
        if self._since_us is None:
            self._since_us = now_us

    @property
    def is_gathering(self) -> bool:
        """True while something waits to be told."""
        return self._since_us is not None

    def is_due(self, now_us: int) -> bool:
        """True when what waits is to be told now: it has gathered, and the last time was long enough ago."""
        return self._since_us is not None and now_us >= max(self._since_us + GATHER_US, self._next_us)

    def news(self) -> list[News]:
        """What waits; it goes on waiting until `done`."""
        return list(self._waiting.values())

    def done(self, now_us: int) -> None:
        """What waited was told at `now_us`."""
        self._waiting, self._since_us = {}, None
        self._next_us = now_us + self._every_us
