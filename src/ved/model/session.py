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
    """Data of one vehicle without a long gap; its parts stand in the order in which they joined.

    `moved_us`: UTC of the first and last movement that was seen, (0, 0) while the vehicle only stood.
    """

    id: str
    vehicle: str
    utc_from_us: int
    utc_to_us: int
    is_open: bool
    parts: tuple[SessionPart, ...]
    moved_us: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class Notes:
    """What people say of a session. `track` is a track's id, or empty: the one that its laps were found on."""

    name: str = ""
    driver: str = ""
    track: str = ""
    setup: str = ""
    notes: str = ""
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Cut:
    """From this time of an epoch on, what was one session is another, with this id."""

    session_id: str
    vehicle: str
    epoch: bytes
    t_us: int
