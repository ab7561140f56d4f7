"""The web application: routes, and the guard before all of them."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final

from fastapi import FastAPI, Request, Response, WebSocket
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse
from pydantic import StringConstraints
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ved.analysis.positions import find_map_channels
from ved.codec.live import LIVE_VERSION
from ved.db.database import Database
from ved.db.people import User
from ved.db.vehicles import VehicleRow, get_vehicle, list_vehicles
from ved.model.vehicle import MapChannels
from ved.web import messages
from ved.web.auth import SESSION_S, Auth, is_own_origin
from ved.web.clock import monotonic_us
from ved.web.hub import Hub, epoch_text
from ved.web.page import PageFiles
from ved.web.vehicle import VehicleFeed
from ved.web.viewer import Viewer

OPEN_PATHS: Final = frozenset({"/healthz", "/signin"})
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
LINK_USED: Final = (
    "This sign-in link was used already or has expired. Make a new one with `ved signin`.\n"
    "Ce lien de connexion a déjà servi ou a expiré. Créez-en un nouveau avec `ved signin`.\n"
)
Name = Annotated[str, StringConstraints(max_length=64)]


@dataclass(slots=True)
class WebState:
    """What the routes share. `closing` ends the viewers; `viewers` are the tasks that serve one each."""

    db: Database
    auth: Auth
    hub: Hub
    page_dir: Path
    closing: asyncio.Event = field(default_factory=asyncio.Event)
    viewers: set[asyncio.Task[None]] = field(default_factory=set)


class Guard:
    """Denies by default: all but OPEN_PATHS needs a valid cookie; POST and WebSocket need the page's own origin."""

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
            refused = _denied(403, "wrong_origin", "this request did not come from the page itself")
        elif scope["path"] not in OPEN_PATHS or is_socket:
            user = await self._auth.user_of(headers)
            if user is None:
                refused = _signed_out(scope["path"], headers)
            scope.setdefault("state", {})["user"] = user
        if refused is None:
            await self._app(scope, receive, send if is_socket else _with_safe_headers(send))
        elif is_socket:
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        else:
            await refused(scope, receive, _with_safe_headers(send))


def make_app(state: WebState) -> FastAPI:
    """The application on a state that the role keeps alive."""
    app = FastAPI(
        title="ved", version=str(LIVE_VERSION), docs_url=None, redoc_url=None, openapi_url="/api/openapi.json"
    )
    _add_people(app, state)
    _add_vehicles(app, state)

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

    app.mount("/", PageFiles(state.page_dir))
    app.add_middleware(Guard, auth=state.auth)
    return app


def _add_people(app: FastAPI, state: WebState) -> None:
    @app.get("/healthz")
    async def healthz() -> dict[str, Any]:
        return {"ok": True, "version": LIVE_VERSION}

    @app.get("/signin", response_class=RedirectResponse)
    async def signin(request: Request, token: str = "") -> Response:
        user = await state.auth.redeem(token)
        if user is None:
            # A link that is clicked twice by the person whom it signed in is no reason to stop them.
            if await state.auth.user_of(request.headers) is not None:
                return RedirectResponse("/", 303)
            return PlainTextResponse(LINK_USED, 403)
        response = RedirectResponse("/", 303)
        response.set_cookie(
            state.auth.cookie_name,
            state.auth.cookie_for(user),
            max_age=SESSION_S,
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return response

    @app.get("/api/me")
    async def me(request: Request) -> dict[str, str]:
        user: User = request.state.user
        return {"name": user.name, "role": user.role}

    @app.post("/api/signout", status_code=204)
    async def signout() -> Response:
        response = Response(status_code=204)
        response.delete_cookie(state.auth.cookie_name, httponly=True, samesite="strict")
        return response


def _add_vehicles(app: FastAPI, state: WebState) -> None:
    @app.get("/api/vehicles")
    async def vehicles() -> list[dict[str, Any]]:
        rows = {row.name: row for row in await asyncio.to_thread(list_vehicles, state.db)}
        feeds = state.hub.feeds()
        for name, feed in feeds.items():
            if feed.epochs:
                rows.setdefault(name, VehicleRow(name, name, name, None, ()))
        return [_vehicle_line(row, feeds.get(name)) for name, row in sorted(rows.items())]

    @app.get("/api/vehicles/{name}", response_model=None)
    async def vehicle(name: Name) -> dict[str, Any] | Response:
        row = await asyncio.to_thread(get_vehicle, state.db, name)
        if row is None:
            if not await state.hub.is_vehicle(name):
                return _denied(404, "unknown_vehicle", "no vehicle has this name")
            row = VehicleRow(name, name, name, None, ())
        channels = await state.hub.channels(name)
        return {
            "name": row.name,
            "title_en": row.title_en,
            "title_fr": row.title_fr,
            "channels": [messages.listed_channel(one) for one in channels],
            "map": _map_of(row.map or find_map_channels(channels)),
            "charts": [
                {"title_en": one.title_en, "title_fr": one.title_fr, "channels": list(one.channels)}
                for one in row.charts
            ],
        }


def _vehicle_line(row: VehicleRow, feed: VehicleFeed | None) -> dict[str, Any]:
    return {
        "name": row.name,
        "title_en": row.title_en,
        "title_fr": row.title_fr,
        "link": "unknown" if feed is None else feed.link,
        "age_ms": None if feed is None else feed.age_ms(monotonic_us()),
        "epoch": None if feed is None else epoch_text(feed),
    }


def _map_of(found: MapChannels | None) -> dict[str, str] | None:
    if found is None:
        return None
    return {"latitude": found.latitude, "longitude": found.longitude, "valid": found.valid}


def _denied(status: int, code: str, text: str) -> Response:
    return JSONResponse({"error": {"code": code, "message": text}}, status)


def _signed_out(path: str, headers: Headers) -> Response:
    if path.startswith("/api/"):
        return _denied(401, "signed_out", "sign in first")
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
