"""The WebSockets of the live page."""

import asyncio
from typing import Final

from fastapi import FastAPI, WebSocket

from ved.db.people import User
from ved.web.limits import MAX_NAME_CHARS
from ved.web.state import WebState
from ved.web.trace import send_trace
from ved.web.viewer import GOING_AWAY, Viewer

POLICY_VIOLATION: Final = 1008


def add_live(app: FastAPI, state: WebState) -> None:
    """One task serves one viewer."""

    @app.websocket("/api/live")
    async def live(socket: WebSocket) -> None:
        await socket.accept()
        user: User = socket.state.user
        task = asyncio.create_task(Viewer(socket, state.hub, user).run(state.closing))
        state.viewers.add(task)
        try:
            await task
        finally:
            task.cancel()
            state.viewers.discard(task)

    @app.websocket("/api/vehicles/{name}/trace")
    async def trace(socket: WebSocket, name: str) -> None:
        if len(name) > MAX_NAME_CHARS or not await state.hub.is_vehicle(name):
            await socket.close(POLICY_VIOLATION)
            return
        await socket.accept()
        task = asyncio.create_task(send_trace(socket, state.hub.traces, state.hub.feed_of(name)))
        state.viewers.add(task)
        ending = asyncio.create_task(state.closing.wait())
        try:
            await asyncio.wait((task, ending), return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                task.result()
            else:
                await socket.close(GOING_AWAY)
        finally:
            task.cancel()
            ending.cancel()
            state.viewers.discard(task)
