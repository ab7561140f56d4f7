"""Sessions from data and gaps: a pure fold over stretches of frames, run live by watch and over history alike."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from ved.model.session import Session, SessionPart

GAP_US: Final = 300_000_000
OVERLAP_US: Final = 2_000_000


@dataclass(frozen=True, slots=True)
class Stretch:
    """A run of frames of one epoch: first and last monotonic time, and the offset from there to UTC."""

    vehicle: str
    epoch: bytes
    t_from_us: int
    t_to_us: int
    utc_offset_us: int


class SessionFinder:
    """Puts stretches together into sessions.

    Frames of one epoch less than `GAP_US` apart are one session. A new epoch joins a session when its UTC begins within
    `GAP_US` after that session's end (an agent that restarted, a log in several parts). One that begins earlier than
    `OVERLAP_US` before that end is something else: the same log replayed, or a wrong clock.
    Adding a stretch twice changes nothing.
    """

    def __init__(self, sessions: Iterable[Session] = ()) -> None:
        self._by_vehicle: dict[str, list[Session]] = {}
        for session in sessions:
            self._by_vehicle.setdefault(session.vehicle, []).append(session)

    def add(self, stretch: Stretch) -> Session | None:
        """Returns the session as it is now where it is new or changed, else None."""
        known = self._by_vehicle.setdefault(stretch.vehicle, [])
        is_known_epoch = False
        for at in range(len(known) - 1, -1, -1):
            for part in known[at].parts:
                if part.epoch == stretch.epoch:
                    is_known_epoch = True
                    if part.t_from_us - GAP_US <= stretch.t_to_us and stretch.t_from_us <= part.t_to_us + GAP_US:
                        return self._extend(known, at, part, stretch)
        utc_from_us = stretch.t_from_us + stretch.utc_offset_us
        utc_to_us = stretch.t_to_us + stretch.utc_offset_us
        part = SessionPart(stretch.epoch, stretch.t_from_us, stretch.t_to_us)
        if not is_known_epoch:
            for at in range(len(known) - 1, -1, -1):
                if known[at].utc_to_us - OVERLAP_US <= utc_from_us <= known[at].utc_to_us + GAP_US:
                    joined = replace(
                        known[at],
                        utc_to_us=max(known[at].utc_to_us, utc_to_us),
                        is_open=True,
                        parts=(*known[at].parts, part),
                    )
                    known[at] = joined
                    return joined
        new = Session(_session_id(stretch), stretch.vehicle, utc_from_us, utc_to_us, is_open=True, parts=(part,))
        known.append(new)
        return new

    def close(self, vehicle: str) -> list[Session]:
        """Mark the vehicle's open sessions as ended; returns those that were open."""
        closed = []
        known = self._by_vehicle.get(vehicle, [])
        for at, session in enumerate(known):
            if session.is_open:
                known[at] = replace(session, is_open=False)
                closed.append(known[at])
        return closed

    def sessions(self) -> list[Session]:
        """All sessions, by vehicle, in the order in which they began to be known."""
        return [session for known in self._by_vehicle.values() for session in known]

    @staticmethod
    def _extend(known: list[Session], at: int, part: SessionPart, stretch: Stretch) -> Session | None:
        grown = replace(
            part,
            t_from_us=min(part.t_from_us, stretch.t_from_us),
            t_to_us=max(part.t_to_us, stretch.t_to_us),
        )
        if grown == part and known[at].is_open:
            return None
        session = known[at]
        known[at] = replace(
            session,
            utc_from_us=min(session.utc_from_us, grown.t_from_us + stretch.utc_offset_us),
            utc_to_us=max(session.utc_to_us, grown.t_to_us + stretch.utc_offset_us),
            is_open=True,
            parts=tuple(grown if other is part else other for other in session.parts),
        )
        return known[at]


def _session_id(stretch: Stretch) -> str:
    """A name that the same data gets again: from the vehicle, the epoch and the first time that was seen."""
    text = f"{stretch.vehicle} {stretch.epoch.hex()} {stretch.t_from_us}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]
