"""A session: what people call a run, found in the data of one vehicle."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SessionPart:
    """The stretch of one epoch that belongs to a session, in the epoch's monotonic time."""

    epoch: bytes
    t_from_us: int
    t_to_us: int


@dataclass(frozen=True, slots=True)
class Session:
    """Data of one vehicle without a long gap; its parts stand in the order in which they joined."""

    id: str
    vehicle: str
    utc_from_us: int
    utc_to_us: int
    is_open: bool
    parts: tuple[SessionPart, ...]
