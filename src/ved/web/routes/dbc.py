"""The registry on the page: history, preview of files before they count, assignment, two versions compared."""

import asyncio
import base64
import binascii
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict
from typing import Annotated, Any, Final, ParamSpec, TypeVar

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from ved.analysis.decimate import Buckets, buckets
from ved.api.assigning import Effect, file_of, find_bus, known_buses, put_in_force, show_effect
from ved.api.comparing import Difference
from ved.api.intake import read_untrusted
from ved.api.parts import PartLoader
from ved.api.recorded import Reading, RecordedSession
from ved.db.dbcs import AssignmentDraft, DbcFile, assignments, find_dbcs, get_dbc, list_aliases
from ved.db.people import User
from ved.db.sessions import find_session, list_sessions
from ved.dbc.compare import Change
from ved.dbc.formats import READABLE
from ved.dbc.intake import MAX_FILE_BYTES, Intake
from ved.errors import UserError
from ved.web.answers import needs
from ved.web.language import say
from ved.web.limits import MAX_NAME_CHARS
from ved.web.state import WebState

MAX_BODY_BYTES: Final = 16 << 20
MAX_FILES: Final = 8
SHOWN_SESSIONS: Final = 50
SHOWN_CHANNELS: Final = 500
SERIES_BUCKETS: Final = 600
NOTHING: Final = "none"
"""What a comparison writes for a value that is not there (a text stands in quotes, but for names)."""

Name = Annotated[str, StringConstraints(max_length=64)]
Wanted = Annotated[str, StringConstraints(min_length=1, max_length=MAX_NAME_CHARS)]
Version = Annotated[str, StringConstraints(pattern=r"^(recorded|now|\d{1,9})$")]


_P = ParamSpec("_P")
_T = TypeVar("_T")


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class HandedIn(_Body):
    """A file: its name and bytes (base64), or the digest of one that is stored."""

    name: Annotated[str, StringConstraints(max_length=1000)] = ""
    base64: str | None = None
    digest: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] | None = None


class Order(_Body):
    """What shall hold for a bus, from when to when (UTC in µs; null: open); no files: as recorded."""

    bus: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    files: Annotated[list[HandedIn], Field(max_length=MAX_FILES)]
    valid_from_us: int | None = None
    valid_to_us: int | None = None
    note: Annotated[str, StringConstraints(max_length=500)] = ""
    aliases: list[Annotated[str, StringConstraints(max_length=1000)]] = []
    """Former names of renamed channels that shall go on working."""


def add_dbc(app: FastAPI, state: WebState) -> None:
    """History, preview, assignment, comparison. Reading is for all, the rest for engineers."""
    desk = _Desk(state)

    @app.get("/api/vehicles/{name}/dbc")
    async def registry(name: Name) -> dict[str, Any]:
        return await _answer(desk.history, name)

    @app.get("/api/vehicles/{name}/dbc/files/{digest}", response_class=PlainTextResponse)
    async def file(name: Name, digest: str) -> PlainTextResponse:
        text = await _answer(desk.text, name, digest)
        head = {"Content-Disposition": f'attachment; filename="{digest[:8]}.dbc"'}
        return PlainTextResponse(text, headers=head)

    @app.post("/api/vehicles/{name}/dbc/preview")
    async def preview(name: Name, request: Request, user: Annotated[User, needs("engineer")]) -> dict[str, Any]:
        order = await _read_order(request)
        async with desk.turn:
            return await _answer(desk.preview, name, order, user.name)

    @app.post("/api/vehicles/{name}/dbc/assign")
    async def assign(name: Name, request: Request, user: Annotated[User, needs("engineer")]) -> dict[str, Any]:
        order = await _read_order(request)
        async with desk.turn:
            return await _answer(desk.assign, name, order, user.name)

    @app.get("/api/vehicles/{name}/dbc/compare")
    async def compare(name: Name, session: Name, before: Version, after: Version) -> dict[str, Any]:
        async with desk.turn:
            return await _answer(desk.compare, name, session, before, after)

    @app.get("/api/vehicles/{name}/dbc/series")
    async def series(name: Name, session: Name, before: Version, after: Version, channel: Wanted) -> dict[str, Any]:
        async with desk.turn:
            return await _answer(desk.series, name, session, (before, after), channel)


async def _answer(call: Callable[_P, _T], *arguments: _P.args, **named: _P.kwargs) -> _T:
    """The call in a thread; what a person did wrong is told as such."""
    try:
        return await asyncio.to_thread(call, *arguments, **named)
    except UserError as error:
        raise HTTPException(400, {"code": "bad_dbc", "message": str(error)}) from None


async def _read_order(request: Request) -> Order:
    body = bytearray()
    stream: AsyncIterator[bytes] = request.stream()
    async for chunk in stream:
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            text = f"more than {MAX_BODY_BYTES >> 20} MiB; definition files are smaller"
            raise HTTPException(413, {"code": "too_large", "message": text})
    try:
        return await asyncio.to_thread(Order.model_validate_json, bytes(body))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise HTTPException(422, {"code": "bad_request", "message": f"{where}: {first['msg']}"}) from None


class _Desk:
    """The blocking side. One file is read, and one comparison made, at a time."""

    def __init__(self, state: WebState) -> None:
        self._db, self._lake = state.db, state.lake
        self.turn = asyncio.Semaphore(1)

    def history(self, vehicle: str) -> dict[str, Any]:
        """All that the section shows at once."""
        sessions = list_sessions(self._db, vehicle)[: -SHOWN_SESSIONS - 1 : -1]
        return {
            "buses": [{"index": index, "name": name} for index, name in known_buses(self._db, vehicle).items()],
            "assignments": [asdict(one) for one in assignments(self._db, vehicle)],
            "aliases": list_aliases(self._db, vehicle),
            "sessions": [
                {"id": one.id, "utc_from_us": one.utc_from_us, "utc_to_us": one.utc_to_us} for one in sessions
            ],
            "endings": list(READABLE),
            "max_bytes": MAX_FILE_BYTES,
        }

    def text(self, vehicle: str, digest: str) -> str:
        """A stored DBC that was ever assigned to the vehicle."""
        if any(file.digest == digest for one in assignments(self._db, vehicle) for file in one.files):
            return get_dbc(self._db, digest).text
        raise UserError(f"{digest[:8]}: no DBC of {vehicle}")

    def preview(self, vehicle: str, order: Order, author: str) -> dict[str, Any]:
        """What the order would do; nothing counts yet."""
        draft, texts, taken = self._take(vehicle, order, author)
        return {
            "files": [asdict(file) for file in draft.files],
            "taken": [_shown_intake(one) for one in taken],
            **_shown_effect(show_effect(self._lake, self._db, draft, texts)),
        }

    def assign(self, vehicle: str, order: Order, author: str) -> dict[str, Any]:
        """Do it."""
        draft, texts, _ = self._take(vehicle, order, author)
        renames = show_effect(self._lake, self._db, draft, texts).renames if order.aliases else ()
        wanted = [pair for pair in renames if pair[0] in order.aliases]
        return {"id": put_in_force(self._db, draft, texts, wanted), "aliases": wanted}

    def compare(self, vehicle: str, session: str, before: str, after: str) -> dict[str, Any]:
        """The channels of a session that two versions read differently."""
        one = self._session(vehicle, session)
        found = one.compare(_reading(before), _reading(after))
        return {"channels": [_shown_difference(each) for each in found[:SHOWN_CHANNELS]], "total": len(found)}

    def series(self, vehicle: str, session: str, versions: tuple[str, str], channel: str) -> dict[str, Any]:
        """One channel of a session under both versions, as minima and maxima over time."""
        one = self._session(vehicle, session)
        width_us = max(1, (one.utc_to_us - one.utc_from_us) // SERIES_BUCKETS)
        return {
            "utc_from_us": one.utc_from_us,
            "utc_to_us": one.utc_to_us,
            "versions": [_series(one, version, channel, width_us) for version in versions],
        }

    def _take(self, vehicle: str, order: Order, author: str) -> tuple[AssignmentDraft, dict[str, str], list[Intake]]:
        index, name = find_bus(self._db, vehicle, order.bus)
        texts: dict[str, str] = {}
        files: list[DbcFile] = []
        taken: list[Intake] = []
        for one in order.files:
            if one.digest is not None:
                files.append(self._stored(one.digest))
                texts[one.digest] = get_dbc(self._db, one.digest).text
                continue
            read = read_untrusted(_bytes(one), one.name, name)
            taken.append(read)
            files.append(file_of(read.name, read.text))
            texts[files[-1].digest] = read.text
        limits = order.valid_from_us, order.valid_to_us
        return AssignmentDraft(vehicle, index, name, tuple(files), author, order.note, *limits), texts, taken

    def _stored(self, digest: str) -> DbcFile:
        found = find_dbcs(self._db, digest)
        if not found:
            raise UserError(f"{digest[:8]}: no such DBC is stored")
        return found[0]

    def _session(self, vehicle: str, name: str) -> RecordedSession:
        self._lake.refresh()
        row = find_session(self._db, name)
        if row is not None and row.vehicle == vehicle:
            parts = PartLoader(self._db, self._lake, vehicle).load(row)
            return RecordedSession(self._lake, self._db, row, parts)
        raise UserError(f"session '{name}': {vehicle} has none of this name")


def _reading(version: str) -> Reading:
    return "now" if version == "now" else "recorded" if version == "recorded" else int(version)


def _bytes(file: HandedIn) -> bytes:
    try:
        return base64.b64decode(file.base64 or "", validate=True)
    except binascii.Error:
        raise UserError("files: not base64") from None


def _series(session: RecordedSession, version: str, channel: str, width_us: int) -> list[list[float | None]]:
    one = session.under(_reading(version))
    if one.aliases.current(channel, {each.name for each in one.channels}) is None:
        return []
    read = one.samples(channel)
    found = buckets(read.utc_us, read.values, width_us)
    return [_shown_bucket(found, at) for at in range(len(found.t_us))]


def _shown_bucket(found: Buckets, at: int) -> list[float | None]:
    values = (found.minimum[at], found.maximum[at])
    return [int(found.t_us[at]), *(float(value) if abs(value) < float("inf") else None for value in values)]


def _shown_intake(one: Intake) -> dict[str, Any]:
    return {
        "name": one.name,
        "messages": one.messages,
        "signals": one.signals,
        "findings": [
            {**asdict(finding), "what": say(finding.what), "advice": say(finding.advice)} for finding in one.findings
        ],
        "losses": [say(loss) for loss in one.losses],
    }


def _shown_effect(effect: Effect) -> dict[str, Any]:
    return {
        "changes": [_shown_change(one) for one in effect.changes[:SHOWN_CHANNELS]],
        "channels": [_shown_difference(one) for one in effect.channels[:SHOWN_CHANNELS]],
        "counts": {
            kind: sum(one.kind == kind for one in effect.channels) for kind in ("changed", "gone", "renamed", "new")
        },
        "renames": [list(pair) for pair in effect.renames],
        "session": effect.session,
    }


def _shown_change(change: Change) -> dict[str, Any]:
    details = [
        [field, *(say(NOTHING) if value == NOTHING and field != "name" else value for value in (before, after))]
        for field, before, after in change.details
    ]
    return {**asdict(change), "details": details, "effect": say(change.effect)}


def _shown_difference(one: Difference) -> dict[str, Any]:
    shown = asdict(one)
    shown["examples"] = [{**asdict(example), "payload": example.payload.hex()} for example in one.examples]
    return shown
