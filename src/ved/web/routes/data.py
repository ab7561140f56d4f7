"""A session's data over HTTP: its channels, min/max series at pixel resolution, exports as streamed downloads."""

import asyncio
import math
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any, Final

from fastapi import FastAPI, HTTPException, Query
from fastapi.responses import StreamingResponse
from numpy.typing import NDArray
from pydantic import StringConstraints

from ved.analysis.decimate import Buckets
from ved.analysis.naming import find_channels
from ved.api.export import FORMATS, Export, export_session
from ved.api.opened import OpenedLake
from ved.api.recorded import RecordedSession
from ved.db.people import User
from ved.db.sessions import find_session
from ved.errors import UserError
from ved.lake.rollups import ROLLUP_US
from ved.web import messages
from ved.web.answers import Asking
from ved.web.guests import hidden_from
from ved.web.routes.sessions import Id, answer
from ved.web.state import WebState

MAX_POINTS: Final = 10_000
MAX_CHANNELS: Final = 50
_CHUNK_BYTES: Final = 1 << 18
_FOLDERS: Final = ("messages",)
_ENDINGS: Final = {"candump": "log", "mf4": "MF4", "motec": "ld"}

Channels = Annotated[
    list[Annotated[str, StringConstraints(min_length=1, max_length=512)]], Query(max_length=MAX_CHANNELS)
]


def add_data(app: FastAPI, state: WebState) -> None:
    """Everybody who is signed in may read. One export is made at a time; the others wait."""
    desk = _Desk(state)

    @app.get("/api/sessions/{session}/channels")
    async def channels(session: Id, user: Asking) -> list[dict[str, Any]]:
        return await answer(desk.channels, session, user)

    @app.get("/api/sessions/{session}/series")
    async def series(
        session: Id,
        user: Asking,
        channel: Channels,
        from_us: int | None = None,
        to_us: int | None = None,
        points: Annotated[int, Query(ge=1, le=MAX_POINTS)] = 1000,
    ) -> dict[str, Any]:
        """Min, max and last of each channel in `points` buckets between two times (UTC in µs; none: all of it)."""
        async with desk.turn:
            return await answer(desk.series, session, channel, (from_us, to_us), points, user)

    @app.get("/api/sessions/{session}/export", response_class=StreamingResponse)
    async def export(
        session: Id,
        channel: Annotated[list[Annotated[str, StringConstraints(max_length=512)]] | None, Query()] = None,
        format: str = "csv",  # noqa: A002  (the name of the parameter in the address)
        rate_hz: Annotated[float, Query(gt=0, le=10_000)] = 100.0,
        lap: Annotated[int | None, Query(ge=1)] = None,
        within_us: Annotated[str | None, Query(pattern=r"^\d{1,18}-\d{1,18}$")] = None,
    ) -> StreamingResponse:
        """The session, a lap of it, or what lies `within_us` (`FROM-TO`, UTC), as a file of one of several formats."""
        from_us, _, to_us = (within_us or "").partition("-")
        utc_us = (int(from_us), int(to_us)) if within_us else None
        if format in _FOLDERS or format not in FORMATS:
            known = ", ".join(one for one in FORMATS if one not in _FOLDERS)
            raise HTTPException(400, {"code": "bad_request", "message": f"format '{format}': known are {known}"})
        folder = tempfile.TemporaryDirectory(prefix="ved-export-")
        try:
            path = Path(folder.name) / f"{session[:32]}.{_ENDINGS.get(format, format)}"
            async with desk.exporting:
                await answer(desk.export, session, Export(format, channel or None, rate_hz, lap, utc_us), path)
        except BaseException:  # also a browser that went away: the half-written file goes, the reason goes on
            folder.cleanup()
            raise
        headers = {
            "Content-Disposition": f'attachment; filename="{path.name}"',
            "Content-Length": str(path.stat().st_size),
        }
        return StreamingResponse(_chunks(path, folder), media_type="application/octet-stream", headers=headers)


async def _chunks(path: Path, folder: "tempfile.TemporaryDirectory[str]") -> AsyncIterator[bytes]:
    """The file piece by piece; it is gone when all is read or nobody reads on."""
    with folder, path.open("rb") as file:
        while chunk := await asyncio.to_thread(file.read, _CHUNK_BYTES):
            yield chunk


class _Desk:
    """What the routes do; blocking."""

    def __init__(self, state: WebState) -> None:
        self.turn, self.exporting = asyncio.Semaphore(2), asyncio.Semaphore(1)
        self._db = state.db
        self._opened = OpenedLake(state.lake, state.db)

    def channels(self, session: str, user: User) -> list[dict[str, Any]]:
        opened = self._open(session)
        hidden = hidden_from(user, self._db, opened.vehicle, opened.channels, opened.aliases)
        return [messages.listed_channel(one, None, ()) for one in opened.channels if one.name not in hidden]

    def series(
        self, session: str, asked: list[str], limits_us: tuple[int | None, int | None], points: int, user: User
    ) -> dict[str, Any]:
        opened = self._open(session)
        found = find_channels(opened.channels, asked, opened.aliases)
        hidden = hidden_from(user, self._db, opened.vehicle, opened.channels, opened.aliases)
        if not hidden.isdisjoint(one.name for one in found.values()):
            raise HTTPException(403, {"code": "guest", "message": "this link does not show positions"})
        from_us = opened.utc_from_us if limits_us[0] is None else limits_us[0]
        to_us = opened.utc_to_us if limits_us[1] is None else limits_us[1]
        if to_us <= from_us:
            raise UserError(f"from_us {from_us}, to_us {to_us}: the end must lie after the start")
        bucket_us = max(1, math.ceil((to_us - from_us) / points))
        if bucket_us > ROLLUP_US:
            bucket_us = math.ceil(bucket_us / ROLLUP_US) * ROLLUP_US  # then rollups serve
        read = opened.buckets([one.name for one in found.values()], (from_us, to_us), bucket_us)
        columns = {
            name: {"name": one.name, "unit": one.unit, "kind": one.kind, **_columns(read[one.name])}
            for name, one in found.items()
        }
        return {"from_us": from_us, "to_us": to_us, "bucket_us": bucket_us, "channels": columns}

    def export(self, session: str, export: Export, path: Path) -> int:
        return export_session(self._open(session), export, path)

    def _open(self, session: str) -> RecordedSession:
        found = find_session(self._db, session)
        if found is None:
            raise KeyError(f"session {session}")
        return self._opened.session(found.id)


def _columns(found: Buckets) -> dict[str, Any]:
    """JSON has no NaN: null."""
    return {
        "t_us": found.t_us.tolist(),
        "minimum": _numbers(found.minimum),
        "maximum": _numbers(found.maximum),
        "last": _numbers(found.last),
    }


def _numbers(values: NDArray[Any]) -> list[float | None]:
    return [value if math.isfinite(value) else None for value in values.tolist()]
