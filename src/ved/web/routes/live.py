"""The WebSocket of the live page."""

import asyncio

from fastapi import FastAPI, WebSocket

from ved.db.people import User
from ved.web.state import WebState
from ved.web.viewer import Viewer


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
