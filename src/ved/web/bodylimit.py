"""No request brings more than it may: what is larger is refused before it is read."""

import re
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ved.web.answers import denied

MAX_BODY_BYTES: Final = 1 << 20
"""Four times the largest content that the page keeps (a workbook)."""

_OWN_LIMIT: Final = re.compile(r"/api/vehicles/[^/]+/dbc/(preview|assign)")
"""These take files, and count for themselves."""


class BodyLimit:
    """Bodies of MAX_BODY_BYTES at most, whether a length is declared or not; else 413."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on, or refuse it."""
        if scope["type"] != "http" or _OWN_LIMIT.fullmatch(scope["path"]):
            await self._app(scope, receive, send)
            return
        declared = Headers(scope=scope).get("content-length", "")
        if declared.isdecimal() and int(declared) > MAX_BODY_BYTES:
            await _refuse(scope, receive, send)
            return
        taken = 0
        has_begun = False

        async def bounded() -> Message:
            """What came; once it is too much, the client is gone for all that reads on."""
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            return {"type": "http.disconnect"} if taken > MAX_BODY_BYTES else message

        async def answer(message: Message) -> None:
            nonlocal has_begun
            if taken <= MAX_BODY_BYTES or has_begun:
                has_begun = True
                await send(message)

        await self._app(scope, bounded, answer)
        if taken > MAX_BODY_BYTES and not has_begun:
            await _refuse(scope, receive, send)


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    text = f"more than {MAX_BODY_BYTES >> 20} MiB; nothing that is asked for here is so large"
    await denied(413, "too_large", text)(scope, receive, send)
