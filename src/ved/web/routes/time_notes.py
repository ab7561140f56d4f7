"""Notes on the time line: everybody who is signed in reads and writes them; engineers may take away those of others."""

import asyncio
from typing import Annotated, Any, Final

from fastapi import FastAPI, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from ved.db.people import User
from ved.db.time_notes import add_time_note, delete_time_note, list_time_notes
from ved.web.answers import RANKS, denied, needs
from ved.web.state import WebState

MOST: Final = 500
_MAX_US: Final = 2**53

Name = Annotated[str, StringConstraints(max_length=64)]
Viewer = Annotated[User, needs("viewer")]
Time = Annotated[int, Query(ge=0, le=_MAX_US)]


class NoteIn(BaseModel):
    """What somebody saw, and when (UTC in µs)."""

    model_config = ConfigDict(extra="forbid")

    utc_us: Annotated[int, Field(ge=0, le=_MAX_US)]
    text: Annotated[str, StringConstraints(min_length=1, max_length=500, strip_whitespace=True)]


def add_time_notes(app: FastAPI, state: WebState) -> None:
    """Notes of a vehicle by time."""

    @app.get("/api/vehicles/{vehicle}/notes")
    async def notes(vehicle: Name, user: Viewer, from_us: Time = 0, to_us: Time = _MAX_US) -> list[dict[str, Any]]:
        found = await asyncio.to_thread(list_time_notes, state.db, vehicle, from_us, to_us, MOST)
        return [
            {"id": one.id, "utc_us": one.utc_us, "text": one.text, "author": one.author,
             "is_mine": one.author_id == user.id}
            for one in found
        ]  # fmt: skip

    @app.post("/api/vehicles/{vehicle}/notes", status_code=201)
    async def add(vehicle: Name, note: NoteIn, user: Viewer) -> dict[str, int]:
        author = (user.id, user.name)
        return {"id": await asyncio.to_thread(add_time_note, state.db, vehicle, note.utc_us, note.text, author)}

    @app.delete("/api/notes/{note}", status_code=204, response_class=Response)
    async def remove(note: Annotated[int, Path(ge=1, le=2**31 - 1)], user: Viewer) -> Response:
        author = None if RANKS[user.role] >= RANKS["engineer"] else user.id
        if await asyncio.to_thread(delete_time_note, state.db, note, author):
            return Response(status_code=204)
        return denied(404, "unknown_note", "no note that you may take away has this id")
