"""An alarm: one time that a rule found something, from raised to cleared and acknowledged."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alarm as watch sees it now; a later one with the same `id` replaces it.

    `severity`: 1 info, 2 warning, 3 critical. `value` is the channel's when it was raised, `worst` the worst since
    (NaN: none). Times of UTC are µs since 1970, 0 where it has not happened; `t_raised_us` is the epoch's own.
    `is_late`: found in data that came afterwards. `latch`: it stays open until somebody acknowledges it.
    `shelved_until_utc_us`: nobody wants to hear of it until then. `detail`: more for people, in English.
    """

    id: str
    vehicle: str
    epoch: bytes
    rule: str
    severity: int
    title_en: str
    title_fr: str
    channel: str
    unit: str
    is_late: bool
    latch: bool
    t_raised_us: int
    utc_raised_us: int
    value: float
    worst: float
    utc_cleared_us: int = 0
    utc_acked_us: int = 0
    acked_by: str = ""
    shelved_until_utc_us: int = 0
    detail: str = ""

    @property
    def is_active(self) -> bool:
        """True while the rule's condition holds."""
        return self.utc_cleared_us == 0

    @property
    def is_open(self) -> bool:
        """True while it asks for attention: it is active, or latched and nobody has acknowledged it."""
        return self.is_active or (self.latch and self.utc_acked_us == 0)
