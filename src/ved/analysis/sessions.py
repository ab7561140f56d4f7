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


_Epoch = tuple[str, bytes]
"""Vehicle and epoch."""


class SessionFinder:
    """Puts stretches together into sessions, in whatever order those of an epoch come: live first, the rest later.

    Frames of one epoch less than `GAP_US` apart are one session. A new epoch joins a session when its UTC begins within
    `GAP_US` after that session's end (an agent that restarted, a log in several parts). One that begins earlier than
    `OVERLAP_US` before that end is something else: the same log replayed, or a wrong clock.
    A vehicle that moves again after it stood for `STAND_US` begins a new session.
    Adding a stretch twice changes nothing.

    Where late stretches close the gap between two sessions of an epoch, the later goes into the earlier: `absorbed`
    then tells its id -> the other's. Whoever has saved that may empty it.
    """

    def __init__(self, sessions: Iterable[Session] = ()) -> None:
        self.absorbed: dict[str, str] = {}
        self._known: dict[str, dict[str, Session]] = {}
        self._before: dict[str, Session | None] = {}
        """What `add` changed, as it was before; None: it was not there."""
        self._of_epoch: dict[_Epoch, list[str]] = {}
        for session in sessions:
            self._put(session)

    def add(self, stretch: Stretch) -> list[Session]:
        """The sessions that are new or changed, as they are now; see `absorbed` for those that are no more."""
        known, self._before = self._known.setdefault(stretch.vehicle, {}), {}
        chain = self._chain((stretch.vehicle, stretch.epoch))
        near = [one for one in chain if _apart_us(_part(one, stretch.epoch), stretch) <= GAP_US]
        if near:
            self._extend(near, stretch)
        else:
            joined = None if chain else self._ended_before(stretch)
            self._put(_begun(stretch) if joined is None else _joined(joined, stretch))
        self._settle(stretch)
        return [known[name] for name, before in self._before.items() if name in known and known[name] != before]

    def close(self, vehicle: str) -> list[Session]:
        """Mark the vehicle's open sessions as ended; returns those that were open."""
        closed = [replace(one, is_open=False) for one in self._known.get(vehicle, {}).values() if one.is_open]
        for session in closed:
            self._put(session)
        return closed

    def sessions(self) -> list[Session]:
        """All sessions, by vehicle, in the order in which they began to be known."""
        return [session for known in self._known.values() for session in known.values()]

    def get(self, name: str) -> Session | None:
        """The session of this id."""
        return next((known[name] for known in self._known.values() if name in known), None)

    def at(self, vehicle: str, epoch: bytes, t_us: int) -> Session | None:
        """The session that this time of an epoch is in."""
        for session in reversed(self._chain((vehicle, epoch))):
            part = _part(session, epoch)
            if part.t_from_us <= t_us <= part.t_to_us:
                return session
        return None

    def _put(self, session: Session) -> None:
        known = self._known.setdefault(session.vehicle, {})
        self._before.setdefault(session.id, known.get(session.id))
        known[session.id] = session
        for part in session.parts:
            names = self._of_epoch.setdefault((session.vehicle, part.epoch), [])
            if session.id not in names:
                names.append(session.id)

    def _chain(self, key: _Epoch) -> list[Session]:
        """The sessions with a part of this epoch, by its begin."""
        known = self._known.get(key[0], {})
        sessions = [known[name] for name in self._of_epoch.get(key, ())]
        return sorted(sessions, key=lambda one: _part(one, key[1]).t_from_us)

    def _ended_before(self, stretch: Stretch) -> Session | None:
        """The session that the first stretch of an epoch goes on with."""
        for session in reversed(self._known[stretch.vehicle].values()):
            if session.utc_to_us - OVERLAP_US <= stretch.utc_from_us <= session.utc_to_us + GAP_US:
                return None if _starts_again(session, stretch) else session
        return None

    def _extend(self, near: Sequence[Session], stretch: Stretch) -> None:
        """Put the stretch to the session in whose time it lies, or begin one where it tells that the vehicle stood."""
        begun_before = [one for one in near if _part(one, stretch.epoch).t_from_us <= stretch.t_from_us]
        session = (begun_before or near)[-1 if begun_before else 0]
        part = _part(session, stretch.epoch)
        is_new = session_id(stretch.vehicle, stretch.epoch, stretch.t_from_us) not in self._known[stretch.vehicle]
        if is_new and _starts_again(session, stretch):
            self.close(stretch.vehicle)
            session, to_us = replace(session, is_open=False), stretch.t_to_us
            if _is_last(session, part, stretch.utc_offset_us) and part.t_from_us < stretch.t_from_us <= part.t_to_us:
                to_us = max(part.t_to_us, to_us)
                session = _ending(session, part, stretch.t_from_us - 1, stretch.utc_offset_us)
            self._put(session)
            self._put(_begun(replace(stretch, t_to_us=to_us), stretch))
        elif is_new and _ends_before(session, stretch):
            at_us = session.moved_us[0] - stretch.utc_offset_us
            from_us, to_us = stretch.t_from_us, stretch.t_to_us
            if _is_first(session, part, stretch.utc_offset_us) and part.t_from_us < at_us <= part.t_to_us:
                from_us, to_us = min(part.t_from_us, from_us), at_us - 1
                self._put(_beginning(session, part, at_us, stretch.utc_offset_us))
            began = _begun(replace(stretch, t_from_us=from_us, t_to_us=to_us), stretch)
            self._put(replace(began, is_open=False))
        else:
            grown = _grown(session, part, (stretch.t_from_us, stretch.t_to_us), stretch.utc_offset_us)
            is_open = session.is_open or session is near[-1]
            self._put(replace(grown, moved_us=_moved(session.moved_us, stretch), is_open=is_open))

    def _settle(self, stretch: Stretch) -> None:
        """Make one of neighbours that nothing holds apart; what a vehicle stood goes with the session before it."""
        offset_us, at = stretch.utc_offset_us, 0
        while at + 1 < len(chain := self._chain((stretch.vehicle, stretch.epoch))):
            first, second = chain[at : at + 2]
            end, begin = _part(first, stretch.epoch), _part(second, stretch.epoch)
            has_moved = first.moved_us[1] > 0 and second.moved_us[1] > 0
            if begin.t_from_us - end.t_to_us > GAP_US:
                at += 1
            elif has_moved and second.moved_us[0] - first.moved_us[1] > STAND_US:
                moved_us = second.moved_us[0] - offset_us
                is_between = begin.t_from_us < moved_us <= begin.t_to_us
                if is_between and _is_last(first, end, offset_us) and _is_first(second, begin, offset_us):
                    self._put(_grown(first, end, (end.t_from_us, moved_us - 1), offset_us))
                    self._put(_beginning(second, begin, moved_us, offset_us))
                at += 1
            else:
                self._absorb(first, second)

    def _absorb(self, first: Session, second: Session) -> None:
        """Make one session of two, with the id of the first, unless that was only just begun."""
        is_begun = [self._before.get(one.id, one) is None for one in (first, second)]
        kept, gone = (second, first) if is_begun == [True, False] else (first, second)
        del self._known[gone.vehicle][gone.id]
        for part in gone.parts:
            self._of_epoch[gone.vehicle, part.epoch].remove(gone.id)
        if self._before.get(gone.id, gone) is not None:
            self.absorbed[gone.id] = kept.id
        self._put(replace(_united(first, second), id=kept.id))


def session_id(vehicle: str, epoch: bytes, t_us: int) -> str:
    """A name that the same data gets again: from the vehicle, the epoch and the first time that was seen."""
    text = f"{vehicle} {epoch.hex()} {t_us}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _begun(span: Stretch, stretch: Stretch | None = None) -> Session:
    """A new session over `span`, named and moved as `stretch` says (None: the span is it)."""
    stretch = span if stretch is None else stretch
    return Session(
        id=session_id(stretch.vehicle, stretch.epoch, stretch.t_from_us),
        vehicle=stretch.vehicle,
        utc_from_us=span.utc_from_us,
        utc_to_us=span.utc_to_us,
        is_open=True,
        parts=(SessionPart(stretch.epoch, span.t_from_us, span.t_to_us),),
        moved_us=_moved((0, 0), stretch),
    )


def _joined(session: Session, stretch: Stretch) -> Session:
    return replace(
        session,
        utc_to_us=max(session.utc_to_us, stretch.utc_to_us),
        is_open=True,
        parts=(*session.parts, SessionPart(stretch.epoch, stretch.t_from_us, stretch.t_to_us)),
        moved_us=_moved(session.moved_us, stretch),
    )


def _part(session: Session, epoch: bytes) -> SessionPart:
    return next(part for part in session.parts if part.epoch == epoch)


def _with(session: Session, part: SessionPart) -> Session:
    return replace(session, parts=tuple(part if one.epoch == part.epoch else one for one in session.parts))


def _grown(session: Session, part: SessionPart, span_us: tuple[int, int], offset_us: int) -> Session:
    grown = replace(part, t_from_us=min(part.t_from_us, span_us[0]), t_to_us=max(part.t_to_us, span_us[1]))
    if grown == part:
        return session
    from_us = min(session.utc_from_us, grown.t_from_us + offset_us)
    to_us = max(session.utc_to_us, grown.t_to_us + offset_us)
    return replace(_with(session, grown), utc_from_us=from_us, utc_to_us=to_us)


def _beginning(session: Session, part: SessionPart, t_us: int, offset_us: int) -> Session:
    return replace(_with(session, replace(part, t_from_us=t_us)), utc_from_us=t_us + offset_us)


def _ending(session: Session, part: SessionPart, t_us: int, offset_us: int) -> Session:
    return replace(_with(session, replace(part, t_to_us=t_us)), utc_to_us=t_us + offset_us)


def _is_first(session: Session, part: SessionPart, offset_us: int) -> bool:
    """True for the part with which a session begins; the clock may have been a little wrong."""
    return len(session.parts) == 1 or part.t_from_us + offset_us <= session.utc_from_us + OVERLAP_US


def _is_last(session: Session, part: SessionPart, offset_us: int) -> bool:
    return len(session.parts) == 1 or part.t_to_us + offset_us >= session.utc_to_us - OVERLAP_US


def _united(first: Session, second: Session) -> Session:
    parts = {part.epoch: part for part in first.parts}
    for part in second.parts:
        own = parts.get(part.epoch, part)
        from_us, to_us = min(own.t_from_us, part.t_from_us), max(own.t_to_us, part.t_to_us)
        parts[part.epoch] = SessionPart(part.epoch, from_us, to_us)
    moved = [one.moved_us for one in (first, second) if one.moved_us != (0, 0)]
    return replace(
        first,
        utc_from_us=min(first.utc_from_us, second.utc_from_us),
        utc_to_us=max(first.utc_to_us, second.utc_to_us),
        is_open=first.is_open or second.is_open,
        parts=tuple(parts.values()),
        moved_us=(min(one[0] for one in moved), max(one[1] for one in moved)) if moved else (0, 0),
    )


def _apart_us(part: SessionPart, stretch: Stretch) -> int:
    return max(0, part.t_from_us - stretch.t_to_us, stretch.t_from_us - part.t_to_us)


def _ends_before(session: Session, stretch: Stretch) -> bool:
    """The vehicle moved, and then stood for long before it moved in the session."""
    first_us = session.moved_us[0]
    return bool(stretch.is_moving) and session.moved_us[1] > 0 and first_us - stretch.utc_to_us > STAND_US


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
