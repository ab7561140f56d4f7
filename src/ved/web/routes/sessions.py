"""Sessions and their laps: listed, described, split and merged."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final, ParamSpec, TypeVar

from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from ved.api.choosing import Wanted, choose_sessions, laps_of, track_ids
from ved.api.opened import OpenedLake
from ved.api.recorded import Lap
from ved.db.edits import list_edits
from ved.db.laps import LapRow, list_laps
from ved.db.notes import NO_NOTES, SUBJECT, get_notes, list_notes, merge_sessions, put_notes, split_session
from ved.db.people import User
from ved.db.sessions import find_session, list_sessions
from ved.db.tracks import has_drawn_tracks, list_tracks
from ved.errors import UserError
from ved.model.session import Notes, Session
from ved.web.answers import Asking, needs
from ved.web.guests import session_for
from ved.web.state import WebState

Id = Annotated[str, StringConstraints(max_length=64)]
_Short = Annotated[str, StringConstraints(max_length=200)]
_Long = Annotated[str, StringConstraints(max_length=10_000)]
MAX_TAGS: Final = 50
OPEN_S: Final = 20
"""How often the laps of a session that goes on are looked for anew in its data."""

MAX_FOUND: Final = 100
"""Sessions whose laps are kept."""

_P = ParamSpec("_P")
_T = TypeVar("_T")


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class NotesChange(_Body):
    """What shall be another than before; null: as it is. `track` is a track's id, or empty: where laps were found."""

    name: _Short | None = None
    driver: _Short | None = None
    track: Id | None = None
    setup: _Long | None = None
    notes: _Long | None = None
    tags: (
        Annotated[list[Annotated[str, StringConstraints(min_length=1, max_length=50)]], Field(max_length=MAX_TAGS)]
        | None
    ) = None


class Split(_Body):
    """From this time on (UTC in µs) it is another session."""

    utc_us: int


class Merge(_Body):
    """The session that it is to be one with."""

    session: Id


async def answer(call: Callable[_P, _T], *arguments: _P.args, **named: _P.kwargs) -> _T:
    """The call in a thread. What a person did wrong is 400; what is not there (KeyError) is 404."""
    try:
        return await asyncio.to_thread(call, *arguments, **named)
    except UserError as error:
        raise HTTPException(400, {"code": "bad_request", "message": str(error)}) from None
    except KeyError as error:
        raise HTTPException(404, {"code": "not_found", "message": f"{error.args[0]}: there is none"}) from None


def add_sessions(app: FastAPI, state: WebState) -> None:
    """Everybody may read; engineers edit, and every change is kept with who made it."""
    desk, reading = _Desk(state), asyncio.Semaphore(1)

    @app.get("/api/vehicles/{vehicle}/sessions")
    async def sessions(
        vehicle: Id,
        track: str | None = None,
        tag: str | None = None,
        driver: str | None = None,
        name: str | None = None,
        moved: bool | None = None,
    ) -> list[dict[str, Any]]:
        return await answer(desk.every, vehicle, Wanted(track, tag, driver, name, moved))

    @app.get("/api/sessions/{session}")
    async def session(session: Id, user: Asking) -> dict[str, Any]:
        return session_for(user, await answer(desk.show, session))

    @app.patch("/api/sessions/{session}")
    async def edit(session: Id, change: NotesChange, user: Annotated[User, needs("engineer")]) -> dict[str, Any]:
        return await answer(desk.edit, session, change, user.name)

    @app.post("/api/sessions/{session}/split")
    async def split(session: Id, order: Split, user: Annotated[User, needs("engineer")]) -> dict[str, Any]:
        return {"id": await answer(split_session, state.db, session, order.utc_us, user.name)}

    @app.post("/api/sessions/{session}/merge")
    async def merge(session: Id, order: Merge, user: Annotated[User, needs("engineer")]) -> dict[str, Any]:
        return {"id": await answer(merge_sessions, state.db, session, order.session, user.name)}

    @app.get("/api/sessions/{session}/laps")
    async def laps(session: Id, user: Asking) -> dict[str, Any]:
        async with reading:  # who waits for the same session finds its laps made
            return session_for(user, await answer(desk.laps, session))


class _Desk:
    """What the routes do; blocking."""

    def __init__(self, state: WebState) -> None:
        self._db = state.db
        self._opened = OpenedLake(state.lake, state.db)
        self._found: dict[str, tuple[Any, dict[str, Any]]] = {}

    def every(self, vehicle: str, wanted: Wanted) -> list[dict[str, Any]]:
        return self._lines(choose_sessions(self._db, list_sessions(self._db, vehicle), wanted))

    def show(self, session: str) -> dict[str, Any]:
        row = self._row(session)
        edits = [
            {"utc_us": one.utc_us, "who": one.who, "before": one.before, "after": one.after}
            for one in list_edits(self._db, SUBJECT, row.id)
        ]
        return {**self._lines([row])[0], "edits": edits}

    def edit(self, session: str, change: NotesChange, who: str) -> dict[str, Any]:
        session = self._row(session).id
        changed = {name: value for name, value in change.model_dump().items() if value is not None}
        if "tags" in changed:
            changed["tags"] = tuple(dict.fromkeys(tag.strip() for tag in changed["tags"] if tag.strip()))
        if changed.get("track") and changed["track"] not in {one.id for one in list_tracks(self._db)}:
            raise UserError(f"track '{changed['track']}': there is none")
        before = get_notes(self._db, session)
        put_notes(self._db, session, Notes(**{**_fields(before), **changed}), who)
        return self.show(session)

    def laps(self, session: str) -> dict[str, Any]:
        """Of a session that goes on, those that watch saw; of one that is over, those of its data, found once.

        Where people drew or changed tracks, those of the data too, a little late while it goes on.
        """
        row = self._row(session)
        session, chosen = row.id, get_notes(self._db, row.id).track
        tracks = list_tracks(self._db)
        if row.is_open and not chosen and not has_drawn_tracks(self._db):
            rows = laps_of(list_laps(self._db, row.vehicle), [row]).get(row.id, [])
            names = {one.id: one.name for one in tracks}
            last = rows[-1].track_id if rows else ""
            track = {"id": last, "name": names.get(last, last)} if last else None
            return {"track": track, "laps": [_lap_row_line(one) for one in rows]}
        end = time.monotonic() // OPEN_S if row.is_open else row.utc_to_us
        key = (session, row.utc_from_us, end, chosen, tuple(tracks))
        found = self._found.get(session)
        if found is None or found[0] != key:
            laps = self._opened.session(session).laps
            on = laps[0].track if laps else None
            told = {"track": on and {"id": on.id, "name": on.name}, "laps": [_lap_line(lap) for lap in laps]}
            found = self._found[session] = key, told
            while len(self._found) > MAX_FOUND:
                self._found.pop(next(iter(self._found)))
        return found[1]

    def _row(self, session: str) -> Session:
        found = find_session(self._db, session)
        if found is None:
            raise KeyError(f"session {session}")
        return found

    def _lines(self, sessions: Sequence[Session]) -> list[dict[str, Any]]:
        notes, tracks = list_notes(self._db), track_ids(self._db, sessions)
        names = {one.id: one.name for one in list_tracks(self._db)}
        laps = laps_of(list_laps(self._db), sessions)
        return [
            _session_line(one, notes.get(one.id, NO_NOTES), tracks.get(one.id, ""), names, laps.get(one.id, ()))
            for one in sessions
        ]


def _session_line(
    session: Session, notes: Notes, track: str, names: dict[str, str], laps: Sequence[LapRow]
) -> dict[str, Any]:
    whole = [lap.utc_to_us - lap.utc_from_us for lap in laps if lap.is_whole]
    return {
        "id": session.id,
        "vehicle": session.vehicle,
        "utc_from_us": session.utc_from_us,
        "utc_to_us": session.utc_to_us,
        "duration_s": (session.utc_to_us - session.utc_from_us) / 1e6,
        "is_open": session.is_open,
        "has_moved": session.moved_us != (0, 0),
        **_fields(notes),
        "tags": list(notes.tags),
        "track": {"id": track, "name": names.get(track, track)} if track else None,
        "laps": len(laps),
        "best_lap_s": min(whole) / 1e6 if whole else None,
    }


def _lap_line(lap: Lap) -> dict[str, Any]:
    return {
        "number": lap.number,
        "utc_from_us": lap.utc_from_us,
        "utc_to_us": lap.utc_to_us,
        "time_s": lap.time_s,
        "length_m": round(lap.length_m, 1),
        "is_whole": lap.is_whole,
        "sectors_s": [one if one == one else None for one in lap.sectors_s],  # noqa: PLR0124  (NaN is no JSON)
    }


def _lap_row_line(lap: LapRow) -> dict[str, Any]:
    return {
        "number": lap.number,
        "utc_from_us": lap.utc_from_us,
        "utc_to_us": lap.utc_to_us,
        "time_s": (lap.utc_to_us - lap.utc_from_us) / 1e6,
        "length_m": round(lap.length_m, 1),
        "is_whole": lap.is_whole,
        "sectors_s": [one / 1e6 if one >= 0 else None for one in lap.sectors_us],
    }


def _fields(notes: Notes) -> dict[str, Any]:
    return {name: getattr(notes, name) for name in ("name", "driver", "track", "setup", "notes", "tags")}
