"""The WebSockets of the live page."""

import asyncio
import contextlib
from typing import Final

from fastapi import FastAPI, WebSocket
from starlette.websockets import WebSocketDisconnect, WebSocketDisconnected

from ved.db.people import User
from ved.errors import StorageError
from ved.web.foxglove import SUBPROTOCOLS
from ved.web.foxglove_viewer import FoxgloveViewer
from ved.web.guard import FOXGLOVE_PATH, tool_token
from ved.web.limits import MAX_NAME_CHARS
from ved.web.state import WebState
from ved.web.trace import send_trace
from ved.web.viewer import CLOSE_S, Viewer

POLICY_VIOLATION: Final = 1008
MAX_FOXGLOVES: Final = 8
CHECK_S: Final = 3.0
"""How often it is asked whether the person may still be here."""


def add_live(app: FastAPI, state: WebState) -> None:
    """One task serves one viewer."""

    @app.websocket("/api/live")
    async def live(socket: WebSocket) -> None:
        await socket.accept()
        user: User = socket.state.user
        task = asyncio.create_task(Viewer(socket, state.hub, user).run(state.closing))
        await serve_while_signed_in(state, socket, task)

    @app.websocket("/api/vehicles/{name}/trace")
    async def trace(socket: WebSocket, name: str) -> None:
        if len(name) > MAX_NAME_CHARS or not await state.hub.is_vehicle(name):
            await socket.close(POLICY_VIOLATION)
            return
        await socket.accept()
        task = asyncio.create_task(send_trace(socket, state.hub.traces, state.hub.feed_of(name), state.closing))
        await serve_while_signed_in(state, socket, task)

    @app.websocket(FOXGLOVE_PATH)
    async def foxglove(socket: WebSocket) -> None:
        known = [one for one in socket.scope["subprotocols"] if one in SUBPROTOCOLS]
        if not known or len(state.hub.taps) >= MAX_FOXGLOVES:
            await socket.close(POLICY_VIOLATION)
            return
        await socket.accept(known[0])
        task = asyncio.create_task(FoxgloveViewer(socket, state.hub, state.db).run(state.closing))
        await serve_while_signed_in(state, socket, task)


async def serve_while_signed_in(state: WebState, socket: WebSocket, task: "asyncio.Task[None]") -> None:
    """Let `task` serve the socket until it ends, or the person is signed out, has another role, or may no longer."""
    state.viewers.add(task)
    watching = asyncio.create_task(_wait_signed_out(state, socket))
    try:
        await asyncio.wait((task, watching), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        else:
            watching.result()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            with contextlib.suppress(TimeoutError, WebSocketDisconnect, WebSocketDisconnected):
                async with asyncio.timeout(CLOSE_S):
                    await socket.close(POLICY_VIOLATION)
    finally:
        task.cancel()
        watching.cancel()
        state.viewers.discard(task)


async def _wait_signed_out(state: WebState, socket: WebSocket) -> None:
    user: User = socket.state.user
    while True:
        await asyncio.sleep(CHECK_S)
        try:
            now = await state.auth.user_of_tool(tool_token(socket.scope) or "")
            now = now or await state.auth.user_of(socket.headers)
        except StorageError:
            continue  # live does not hang on the database; asked again until it answers (the follower says so)
        if now is None or (now.id, now.role, now.scope) != (user.id, user.role, user.scope):
            return
