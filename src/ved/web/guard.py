"""The guard before all routes: who may come in, and the headers on every answer."""

from typing import Final

from fastapi import Response
from fastapi.responses import HTMLResponse, PlainTextResponse
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ved.web.answers import denied
from ved.web.auth import Auth, is_own_origin

OPEN_PATHS: Final = frozenset({"/healthz", "/signin"})
METRICS_PATH: Final = "/metrics"
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; worker-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
SAFE_HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
SIGNED_OUT: Final = (
    "You are not signed in. Open the sign-in link that `ved serve` printed, or make a new one with `ved signin`.\n"
    "Vous n'êtes pas connecté. Ouvrez le lien de connexion affiché par `ved serve`, ou créez-en un avec `ved signin`.\n"
)
LOAD_AGAIN: Final = (
    '<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0;url=/"><title>ved</title>\n'
)


class Guard:
    """Denies by default: all but OPEN_PATHS needs a valid cookie (/metrics: or its token).

    POST and WebSocket need the page's own origin.
    """

    def __init__(self, app: ASGIApp, auth: Auth) -> None:
        self._app = app
        self._auth = auth

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through with its user in the state, or refuse it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        is_socket = scope["type"] == "websocket"
        refused: Response | None = None
        if (is_socket or scope["method"] not in ("GET", "HEAD")) and not is_own_origin(headers, scope["scheme"]):
            refused = denied(403, "wrong_origin", "this request did not come from the page itself")
        elif scope["path"] not in OPEN_PATHS or is_socket:
            user = await self._auth.user_of(headers)
            if user is None and not (scope["path"] == METRICS_PATH and self._auth.may_scrape(headers)):
                refused = _signed_out(scope["path"], headers)
            scope.setdefault("state", {})["user"] = user
        if refused is None:
            await self._app(scope, receive, send if is_socket else _with_safe_headers(send))
        elif is_socket:
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        else:
            await refused(scope, receive, _with_safe_headers(send))


def _signed_out(path: str, headers: Headers) -> Response:
    if path.startswith("/api/"):
        return denied(401, "signed_out", "sign in first")
    if path == "/" and headers.get("sec-fetch-site") == "cross-site":
        # A sign-in link followed from another site (a chat, a mail): the browser keeps the SameSite=Strict cookie back
        # through the whole redirect. Loaded again by this very page, it is sent.
        return HTMLResponse(LOAD_AGAIN, 401)
    return PlainTextResponse(SIGNED_OUT, 401)


def _with_safe_headers(send: Send) -> Send:
    async def safe_send(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in SAFE_HEADERS.items():
                headers[name] = value
            headers.setdefault("Cache-Control", "no-store")
        await send(message)

    return safe_send
