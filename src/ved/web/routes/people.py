"""Sign in, sign out, who am I."""

from typing import Any, Final

from fastapi import FastAPI, Request, Response
from fastapi.responses import PlainTextResponse, RedirectResponse

from ved.codec.live import LIVE_VERSION
from ved.db.people import User
from ved.web.auth import SESSION_S
from ved.web.state import WebState

LINK_USED: Final = (
    "This sign-in link was used already or has expired. Make a new one with `ved signin`.\n"
    "Ce lien de connexion a déjà servi ou a expiré. Créez-en un nouveau avec `ved signin`.\n"
)


def add_people(app: FastAPI, state: WebState) -> None:
    """Who is there: sign in, sign out."""

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
