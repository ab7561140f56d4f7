"""A body that is too large is refused before it is in memory, whoever sends it."""

import asyncio

from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse
from tests.integration.test_web_sessions import as_
from tests.integration.web_live import FS, Server, run

from ved.db.vehicles import ensure_vehicle
from ved.web.bodylimit import MAX_BODY_BYTES, BodyLimit

PIECE = b" " * (64 << 10)


async def endless(pieces: int):
    """A body without a declared length."""
    for _ in range(pieces):
        yield PIECE


def test_bodies_are_refused_with_and_without_a_declared_length(tmp_path):
    async def go(server: Server) -> None:
        ensure_vehicle(server.db, FS)
        async with server.running(), as_(server, "viewer") as viewer:
            path, as_json = "/api/vehicles/fs/notes", {"Content-Type": "application/json"}
            declared = await viewer.post(path, content=b'"' + b"x" * MAX_BODY_BYTES + b'"', headers=as_json)
            assert (declared.status_code, declared.json()["error"]["code"]) == (413, "too_large")
            cut = await viewer.post(path, content=endless(20), headers=as_json)
            assert (cut.status_code, cut.json()["error"]["code"]) == (413, "too_large")
            small = await viewer.post(path, json={"utc_us": 1, "text": "x" * 100})
            assert small.status_code == 201

    run(tmp_path, go)


def test_no_more_than_the_limit_reaches_a_handler():
    taken: list[int] = []
    sent: list[dict] = []

    async def app(scope, receive, send) -> None:
        try:
            async for part in Request(scope, receive).stream():
                taken.append(len(part))  # noqa: PERF401 - it ends in the middle
        except ClientDisconnect:
            taken.append(0)
        await PlainTextResponse("done")(scope, receive, send)

    async def receive() -> dict:
        assert sum(taken) <= MAX_BODY_BYTES, "the handler was given too much"
        return {"type": "http.request", "body": PIECE, "more_body": True}

    async def send(message: dict) -> None:
        sent.append(message)

    asyncio.run(BodyLimit(app)({"type": "http", "path": "/x", "method": "POST", "headers": []}, receive, send))
    assert taken[-1] == 0
    assert sum(taken) == MAX_BODY_BYTES
    assert [one.get("status") for one in sent] == [413, None]
