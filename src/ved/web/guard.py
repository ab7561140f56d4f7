"""The guard before all routes: who may come in, and the headers on every answer."""

from typing import Final
from urllib.parse import parse_qs

from fastapi import Response
from fastapi.responses import HTMLResponse, PlainTextResponse
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ved.web.answers import denied
from ved.web.auth import Auth, is_own_origin
from ved.web.guests import may_guest
from ved.web.signin_page import SIGNED_OUT, signin_page

OPEN_PATHS: Final = frozenset({"/healthz", "/signin", "/signin.css", "/join", "/icon.svg"})
FOXGLOVE_PATH: Final = "/foxglove"
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
    "Referrer-Policy": "same-origin",  # with "no-referrer" a form would be sent from the origin "null"
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
LOAD_AGAIN: Final = (
    '<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0;url=/"><title>ved</title>\n'
)


class Guard:
    """Denies by default: all but OPEN_PATHS needs a valid cookie (/metrics: or its token).

    A guest gets what a guest may have (guests.py) and nothing else. Whatever may change something, and every WebSocket,
    needs the page's own origin; /foxglove takes a program's token in place of cookie and origin.
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
        tool = tool_token(scope) if is_socket else ""
        if tool:
            # A program brings its token itself: there is no cookie that another page could make use of.
            user = await self._auth.user_of_tool(tool)
            refused = denied(401, "signed_out", "the token is not valid") if user is None else None
            scope.setdefault("state", {})["user"] = user
        elif (is_socket or scope["method"] not in ("GET", "HEAD")) and not is_own_origin(headers, scope["scheme"]):
            refused = denied(403, "wrong_origin", "this request did not come from the page itself")
        elif scope["path"] not in OPEN_PATHS or is_socket:
            user = await self._auth.user_of(headers)
            if user is None and not (scope["path"] == METRICS_PATH and self._auth.may_scrape(headers)):
                refused = _signed_out(scope["path"], headers)
            elif user is not None and user.scope is not None:
                method = "SOCKET" if is_socket else scope["method"]
                if not may_guest(user.scope, method, scope["path"]):
                    refused = denied(403, "guest", "a guest link opens one session and nothing else")
            scope.setdefault("state", {})["user"] = user
        if refused is None:
            await self._app(scope, receive, send if is_socket else _with_safe_headers(send))
        elif is_socket:
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        else:
            await refused(scope, receive, _with_safe_headers(send))


def tool_token(scope: Scope) -> str:
    """The token that a program brings to /foxglove; empty without one, and everywhere else."""
    if scope["path"] != FOXGLOVE_PATH:
        return ""
    query: bytes = scope["query_string"]
    return parse_qs(query.decode("latin-1")).get("token", [""])[0]


def _signed_out(path: str, headers: Headers) -> Response:
    if path.startswith("/api/"):
        return denied(401, "signed_out", "sign in first")
    if path == "/" and headers.get("sec-fetch-site") == "cross-site":
        # A sign-in link followed from another site (a chat, a mail): the browser keeps the SameSite=Strict cookie back
        # through the whole redirect. Loaded again by this very page, it is sent.
        return HTMLResponse(LOAD_AGAIN, 401)
    if path == "/":
        return signin_page(401)
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
