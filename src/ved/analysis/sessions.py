"""Sessions: from data, gaps and movement, a pure fold over stretches of frames; and as people cut and joined them."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from ved.model.session import Cut, Session, SessionPart

GAP_US: Final = 300_000_000
OVERLAP_US: Final = 2_000_000
STAND_US: Final = 600_000_000


@dataclass(frozen=True, slots=True)
class Stretch:
    """A run of frames of one epoch: first and last monotonic time, and the offset from there to UTC.

    `is_moving`: the vehicle moved in it; None: nothing says.
    """

    vehicle: str
    epoch: bytes
    t_from_us: int
    t_to_us: int
    utc_offset_us: int
    is_moving: bool | None = None

    @property
    def utc_from_us(self) -> int:
        """UTC of its start."""
        return self.t_from_us + self.utc_offset_us

    @property
    def utc_to_us(self) -> int:
        """UTC of its end."""
        return self.t_to_us + self.utc_offset_us


class SessionFinder:
    """Puts stretches together into sessions.

    Frames of one epoch less than `GAP_US` apart are one session. A new epoch joins a session when its UTC begins within
    `GAP_US` after that session's end (an agent that restarted, a log in several parts). One that begins earlier than
    `OVERLAP_US` before that end is something else: the same log replayed, or a wrong clock.
    A vehicle that moves again after it stood for `STAND_US` begins a new session.
    Adding a stretch twice changes nothing.
    """

    def __init__(self, sessions: Iterable[Session] = ()) -> None:
        self._by_vehicle: dict[str, list[Session]] = {}
        for session in sessions:
            self._by_vehicle.setdefault(session.vehicle, []).append(session)

    def add(self, stretch: Stretch) -> list[Session]:
        """The sessions that are new or changed, as they are now."""
        known = self._by_vehicle.setdefault(stretch.vehicle, [])
        nearest = self._nearest(known, stretch)
        if nearest is not None and nearest[0] <= GAP_US:
            _, at, part = nearest
            if _starts_again(known[at], stretch):
                return [*self.close(stretch.vehicle), self._begin(known, stretch)]
            extended = self._extend(known, at, part, stretch)
            return [] if extended is None else [extended]
        if nearest is None:
            for at in range(len(known) - 1, -1, -1):
                end_us = known[at].utc_to_us
                if end_us - OVERLAP_US <= stretch.utc_from_us <= end_us + GAP_US:
                    if _starts_again(known[at], stretch):
                        break
                    return [self._join(known, at, stretch)]
        return [self._begin(known, stretch)]

    @staticmethod
    def _nearest(known: Sequence[Session], stretch: Stretch) -> tuple[int, int, SessionPart] | None:
        """The part of the same epoch that is least apart from the stretch: (µs apart, row of its session, part)."""
        best: tuple[int, int, SessionPart] | None = None
        for at in range(len(known) - 1, -1, -1):
            for part in known[at].parts:
                if part.epoch == stretch.epoch:
                    apart_us = max(0, part.t_from_us - stretch.t_to_us, stretch.t_from_us - part.t_to_us)
                    if best is None or apart_us < best[0]:
                        best = (apart_us, at, part)
                    if part.t_from_us <= stretch.t_to_us:
                        return best  # sessions before this one lie further back
        return best

    @staticmethod
    def _begin(known: list[Session], stretch: Stretch) -> Session:
        part = SessionPart(stretch.epoch, stretch.t_from_us, stretch.t_to_us)
        new = Session(
            id=session_id(stretch.vehicle, stretch.epoch, stretch.t_from_us),
            vehicle=stretch.vehicle,
            utc_from_us=stretch.utc_from_us,
            utc_to_us=stretch.utc_to_us,
            is_open=True,
            parts=(part,),
            moved_us=_moved((0, 0), stretch),
        )
        known.append(new)
        return new

    @staticmethod
    def _join(known: list[Session], at: int, stretch: Stretch) -> Session:
        part = SessionPart(stretch.epoch, stretch.t_from_us, stretch.t_to_us)
        known[at] = replace(
            known[at],
            utc_to_us=max(known[at].utc_to_us, stretch.utc_to_us),
            is_open=True,
            parts=(*known[at].parts, part),
            moved_us=_moved(known[at].moved_us, stretch),
        )
        return known[at]

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
        session = known[at]
        moved_us = _moved(session.moved_us, stretch)
        if grown == part and session.is_open and moved_us == session.moved_us:
            return None
        known[at] = replace(
            session,
            utc_from_us=min(session.utc_from_us, grown.t_from_us + stretch.utc_offset_us),
            utc_to_us=max(session.utc_to_us, grown.t_to_us + stretch.utc_offset_us),
            is_open=True,
            parts=tuple(grown if other is part else other for other in session.parts),
            moved_us=moved_us,
        )
        return known[at]


def session_id(vehicle: str, epoch: bytes, t_us: int) -> str:
    """A name that the same data gets again: from the vehicle, the epoch and the first time that was seen."""
    text = f"{vehicle} {epoch.hex()} {t_us}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _starts_again(session: Session, stretch: Stretch) -> bool:
    last_us = session.moved_us[1]
    return bool(stretch.is_moving) and last_us > 0 and stretch.utc_from_us - last_us > STAND_US


def _moved(before: tuple[int, int], stretch: Stretch) -> tuple[int, int]:
    if not stretch.is_moving:
        return before
    if before == (0, 0):
        return stretch.utc_from_us, stretch.utc_to_us
    return min(before[0], stretch.utc_from_us), max(before[1], stretch.utc_to_us)


def arrange(
    found: Sequence[Session], cuts: Sequence[Cut], joins: Mapping[str, str], offset_us: Callable[[str, bytes], int]
) -> list[Session]:
    """The sessions as people cut and joined them, by start.

    `joins`: id of a session -> id of the one that it continues. `offset_us` of (vehicle, epoch) makes UTC of its times.
    What people did stays as the found sessions grow; a cut or join of what is not there does nothing.
    """
    pieces: dict[str, Session] = {}
    for session in found:
        for piece in _cut(session, cuts, offset_us):
            pieces[piece.id] = piece
    members: dict[str, list[Session]] = {}
    for piece in pieces.values():
        members.setdefault(_root(piece.id, joins, pieces), []).append(piece)
    merged = [
        group[0] if len(group) == 1 else _merge(pieces[root], group, offset_us) for root, group in members.items()
    ]
    return sorted(merged, key=lambda one: (one.utc_from_us, one.id))


def _cut(session: Session, cuts: Sequence[Cut], offset_us: Callable[[str, bytes], int]) -> list[Session]:
    spans = {(part.epoch, cut): part for part in session.parts for cut in cuts if part.epoch == cut.epoch}
    here = {cut for (_, cut), part in spans.items() if part.t_from_us <= cut.t_us <= part.t_to_us}
    here = {cut for cut in here if cut.vehicle == session.vehicle}
    if not here:
        return [session]
    ordered = sorted(here, key=lambda cut: cut.t_us + offset_us(session.vehicle, cut.epoch))
    edges = [cut.t_us + offset_us(session.vehicle, cut.epoch) for cut in ordered]
    ids = [session.id, *(cut.session_id for cut in ordered)]
    bounds = zip([-(1 << 62), *edges], [*edges, 1 << 62], ids, strict=True)
    made = (_between(session, begin, end, name, offset_us) for begin, end, name in bounds)
    return [piece for piece in made if piece.parts]


def _between(session: Session, from_us: int, to_us: int, name: str, offset_us: Callable[[str, bytes], int]) -> Session:
    """The part of a session with from <= UTC < to, under another id."""
    parts = []
    for part in session.parts:
        offset = offset_us(session.vehicle, part.epoch)
        begin, end = max(part.t_from_us, from_us - offset), min(part.t_to_us, to_us - offset - 1)
        if begin <= end:
            parts.append(SessionPart(part.epoch, begin, end))
    first, last = max(session.moved_us[0], from_us), min(session.moved_us[1], to_us)
    moved_us = (first, last) if session.moved_us != (0, 0) and first <= last else (0, 0)
    cut = replace(session, id=name, parts=tuple(parts), moved_us=moved_us)
    return _merge(cut, [cut], offset_us) if parts else cut


def _root(name: str, joins: Mapping[str, str], pieces: Mapping[str, Session]) -> str:
    seen = {name}
    while name in joins and joins[name] in pieces and joins[name] not in seen:
        name = joins[name]
        seen.add(name)
    return name


def _merge(root: Session, group: Sequence[Session], offset_us: Callable[[str, bytes], int]) -> Session:
    parts = [part for one in group for part in one.parts]
    parts.sort(key=lambda part: part.t_from_us + offset_us(root.vehicle, part.epoch))
    moved = [one.moved_us for one in group if one.moved_us != (0, 0)]
    return replace(
        root,
        parts=tuple(parts),
        utc_from_us=min(part.t_from_us + offset_us(root.vehicle, part.epoch) for part in parts),
        utc_to_us=max(part.t_to_us + offset_us(root.vehicle, part.epoch) for part in parts),
        is_open=any(one.is_open for one in group),
        moved_us=(min(first for first, _ in moved), max(last for _, last in moved)) if moved else (0, 0),
    )
