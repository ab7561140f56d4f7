"""Tracks: their lines as people draw them on the map, or as they were learned."""

import secrets
from typing import Annotated, Any, Final

from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from ved.db.people import User
from ved.db.tracks import list_tracks, put_track, remove_track
from ved.model.track import Track, TrackLine
from ved.web.answers import needs
from ved.web.routes.sessions import Id, answer
from ved.web.state import WebState

MAX_LINES: Final = 20
_Latitude = Annotated[float, Field(ge=-90, le=90, allow_inf_nan=False)]
_Longitude = Annotated[float, Field(ge=-180, le=180, allow_inf_nan=False)]
_Place = tuple[_Latitude, _Longitude]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DrawnLine(_Body):
    """Across the track from one place to another (latitude, longitude in degrees)."""

    start: _Place
    end: _Place
    is_one_way: bool = False


class DrawnTrack(_Body):
    """Start/finish first, then the sector lines in the order of the way; `reference` null: as it is."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True)]
    lines: Annotated[list[DrawnLine], Field(min_length=1, max_length=MAX_LINES)]
    reference: Annotated[list[_Place], Field(max_length=5000)] | None = None


def add_tracks(app: FastAPI, state: WebState) -> None:
    """Everybody may look; engineers draw."""

    @app.get("/api/tracks")
    async def tracks() -> list[dict[str, Any]]:
        return [_shown(one) for one in await answer(list_tracks, state.db)]

    @app.post("/api/tracks")
    async def draw(drawn: DrawnTrack, user: Annotated[User, needs("engineer")]) -> dict[str, Any]:
        track = _track(secrets.token_hex(8), drawn, ())
        await answer(put_track, state.db, track, user.name)
        return _shown(track)

    @app.put("/api/tracks/{track}")
    async def change(track: Id, drawn: DrawnTrack, user: Annotated[User, needs("engineer")]) -> dict[str, Any]:
        def put() -> Track:
            old = next((one for one in list_tracks(state.db) if one.id == track), None)
            if old is None:
                raise KeyError(f"track {track}")
            new = _track(track, drawn, old.reference)
            put_track(state.db, new, user.name)
            return new

        return _shown(await answer(put))

    @app.delete("/api/tracks/{track}")
    async def remove(track: Id, user: Annotated[User, needs("engineer")]) -> dict[str, bool]:
        def take_away() -> None:
            if not remove_track(state.db, track, user.name):
                raise KeyError(f"track {track}")

        await answer(take_away)
        return {"ok": True}


def _track(track_id: str, drawn: DrawnTrack, reference: tuple[tuple[float, float], ...]) -> Track:
    lines = tuple(TrackLine(one.start, one.end, one.is_one_way) for one in drawn.lines)
    return Track(track_id, drawn.name, lines, reference if drawn.reference is None else tuple(drawn.reference))


def _shown(track: Track) -> dict[str, Any]:
    return {
        "id": track.id,
        "name": track.name,
        "lines": [
            {"start": list(one.start), "end": list(one.end), "is_one_way": one.is_one_way} for one in track.lines
        ],
        "reference": [list(place) for place in track.reference],
    }
