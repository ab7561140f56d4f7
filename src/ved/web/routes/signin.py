"""Coming in and going out: sign-in links, invitations, passwords."""

import asyncio
from typing import Annotated, Any, Final
from urllib.parse import parse_qs

from fastapi import Depends, FastAPI, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import StringConstraints, TypeAdapter, ValidationError

from ved.codec.live import LIVE_VERSION
from ved.db.invitations import find_invitation
from ved.errors import UserError
from ved.web import signin_page as pages
from ved.web.auth import MAX_TOKEN_CHARS, SESSION_S, Auth
from ved.web.clock import utc_us
from ved.web.passwords import TooOftenError
from ved.web.state import WebState

MAX_FORM_BYTES: Final = 4096
MIN_PASSWORD: Final = 10
MAX_PASSWORD: Final = 200

PersonName = Annotated[
    str, StringConstraints(min_length=1, max_length=60, strip_whitespace=True, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")
]
Password = Annotated[str, StringConstraints(min_length=MIN_PASSWORD, max_length=MAX_PASSWORD)]
_NAME: Final[TypeAdapter[str]] = TypeAdapter(PersonName)
_PASSWORD: Final[TypeAdapter[str]] = TypeAdapter(Password)


async def form_of(request: Request) -> dict[str, str]:
    """The fields of a plain form; nothing of one that is too long or none."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MAX_FORM_BYTES:
            return {}
    try:
        fields = parse_qs(body.decode("utf-8"), keep_blank_values=True, max_num_fields=8, errors="strict")
    except ValueError:
        return {}
    return {name: values[0] for name, values in fields.items()}


def address_of(request: Request) -> str:
    """Where the request comes from."""
    return "" if request.client is None else request.client.host


Form = Annotated[dict[str, str], Depends(form_of)]


def add_signin(app: FastAPI, state: WebState) -> None:
    """What is open to everybody, and signing out."""

    @app.get("/healthz")
    async def healthz() -> dict[str, Any]:
        return {"ok": True, "version": LIVE_VERSION}

    @app.get(pages.PATH, response_class=Response)
    async def style() -> Response:
        return Response(pages.STYLE, media_type="text/css")

    @app.get("/signin", response_class=RedirectResponse, status_code=303)
    async def signin(request: Request, token: str = "") -> Response:
        user = await state.auth.redeem(token)
        if user is None:
            # A link that is clicked twice by the person whom it signed in is no reason to stop them.
            if await state.auth.user_of(request.headers) is not None:
                return RedirectResponse("/", 303)
            return pages.refusal_page(403, pages.SIGNIN_OVER) if token else pages.signin_page(403)
        return await _let_in(state.auth, request, user.id)

    @app.post("/signin", response_class=RedirectResponse, status_code=303)
    async def log_in(request: Request, form: Form) -> Response:
        name, password = form.get("name", "").strip(), form.get("password", "")
        if len(password) > MAX_PASSWORD or not name:
            return pages.signin_page(403, pages.WRONG, name)
        try:
            user = await state.auth.log_in(name, password, address_of(request))
        except TooOftenError:
            return pages.signin_page(429, pages.TOO_OFTEN, name)
        if user is None:
            return pages.signin_page(403, pages.WRONG, name)
        return await _let_in(state.auth, request, user.id)

    @app.post("/api/signout", status_code=204, response_class=Response)
    async def signout(request: Request) -> Response:
        await state.auth.sign_out(request.headers)
        response = Response(status_code=204)
        response.delete_cookie(state.auth.cookie_name, httponly=True, samesite="strict")
        return response


def add_join(app: FastAPI, state: WebState) -> None:
    """What is open to whoever holds an invitation."""

    @app.get("/join", response_class=Response)
    async def invitation(token: str = "") -> Response:
        link = await asyncio.to_thread(find_invitation, state.db, token) if len(token) <= MAX_TOKEN_CHARS else None
        if link is None:
            return pages.refusal_page(403, pages.LINK_OVER)
        return pages.join_page(200, token, is_guest=link.scope is not None)

    @app.post("/join", response_class=RedirectResponse, status_code=303)
    async def join(request: Request, form: Form) -> Response:
        token = form.get("token", "")
        link = await asyncio.to_thread(find_invitation, state.db, token) if len(token) <= MAX_TOKEN_CHARS else None
        if link is None:
            return pages.refusal_page(403, pages.LINK_OVER)
        is_guest, written = link.scope is not None, form.get("name", "")
        try:
            name = "" if is_guest else _NAME.validate_python(written)
            password = _PASSWORD.validate_python(form["password"]) if form.get("password") and not is_guest else ""
            joined = await state.auth.join(token, name, password)
        except ValidationError:
            return pages.join_page(422, token, is_guest=False, wrong=pages.BAD_FORM, name=written)
        except UserError:
            return pages.join_page(409, token, is_guest=False, wrong=pages.NAME_TAKEN, name=written)
        if joined is None:
            return pages.refusal_page(403, pages.LINK_OVER)
        if joined[1] is not None:
            return await _let_in(state.auth, request, joined[1].id)
        return await _let_in(state.auth, request, 0, link.id, min(SESSION_S, link.expires_utc_s - utc_us() / 1e6))


async def _let_in(
    auth: Auth, request: Request, user_id: int, invitation_id: int = 0, ttl_s: float = SESSION_S
) -> Response:
    response = RedirectResponse("/", 303)
    response.set_cookie(
        auth.cookie_name,
        await auth.cookie_for(user_id, invitation_id, ttl_s),
        max_age=int(ttl_s),
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return response
