"""Who am I, who is here, invitations and guest links, and what people changed."""

import asyncio
import time
from typing import Annotated, Any, Final, Literal

import segno
from fastapi import FastAPI, HTTPException, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from ved.db.edits import newest_edits
from ved.db.invitations import Invitation, create_invitation, list_invitations, revoke_invitation
from ved.db.people import (
    GuestScope,
    User,
    change_role,
    has_known_admin,
    list_users,
    remove_user,
    rename_user,
    sign_out_everywhere,
)
from ved.db.sessions import find_session
from ved.errors import UserError
from ved.web.answers import Asking, denied, needs
from ved.web.passwords import TooOftenError
from ved.web.routes.signin import MAX_PASSWORD, Password, PersonName, address_of
from ved.web.state import WebState

MOST_EDITS: Final = 200
MAX_INVITATIONS: Final = 200
Viewer = Annotated[User, needs("viewer")]
Engineer = Annotated[User, needs("engineer")]
Admin = Annotated[User, needs("admin")]
Number = Annotated[int, Path(ge=1, le=2**31 - 1)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NameIn(_Body):
    """What others read."""

    name: PersonName


class PasswordIn(_Body):
    """One's own new password (null: none from now on), and the one before."""

    password: Password | None
    current: Annotated[str, StringConstraints(max_length=MAX_PASSWORD)] = ""


class RoleIn(_Body):
    """Another role."""

    role: Literal["viewer", "engineer", "admin"]


class InvitationIn(_Body):
    """A link; a guest's names the one session that it opens."""

    role: Literal["guest", "viewer", "engineer", "admin"]
    hours: Annotated[int, Field(ge=1, le=24 * 90)] = 48
    is_reusable: bool = False
    session: Annotated[str, StringConstraints(max_length=32)] = ""
    shows_positions: bool = False
    shows_notes: bool = False


def add_me(app: FastAPI, state: WebState) -> None:
    """The person who asks."""

    @app.get("/api/me")
    async def me(user: Asking) -> dict[str, Any]:
        told = _me(user)
        if user.role == "admin" and not await asyncio.to_thread(has_known_admin, state.db):
            told["is_first_admin"] = True
        return told

    @app.patch("/api/me", response_model=None)
    async def rename(given: NameIn, user: Viewer) -> dict[str, Any] | Response:
        try:
            await asyncio.to_thread(rename_user, state.db, user, given.name)
        except UserError as error:
            return denied(409, "name_taken", str(error))
        return {**_me(user), "name": given.name, "is_named": True}

    @app.put("/api/me/password", status_code=204, response_class=Response)
    async def password(given: PasswordIn, request: Request, user: Viewer) -> Response:
        if not user.is_named:
            return denied(409, "no_name", "say your name first: one signs in with name and password")
        try:
            is_done = await state.auth.set_password(user, given.current, given.password or "", address_of(request))
        except TooOftenError as error:
            return denied(429, "too_often", str(error))
        return (
            Response(status_code=204) if is_done else denied(403, "wrong_password", "the current password is another")
        )

    @app.post("/api/me/tool-token", status_code=201)
    async def tool_token(user: Viewer) -> dict[str, str]:
        return {"token": await state.auth.tool_token(user)}

    @app.post("/api/me/signout-everywhere", status_code=204, response_class=Response)
    async def leave(user: Viewer) -> Response:
        await asyncio.to_thread(sign_out_everywhere, state.db, user.id, user.name)
        response = Response(status_code=204)
        response.delete_cookie(state.auth.cookie_name, httponly=True, samesite="strict")
        return response


def add_people(app: FastAPI, state: WebState) -> None:
    """Admins see everybody, and what was changed."""

    @app.get("/api/people")
    async def people(user: Admin) -> list[dict[str, Any]]:
        return [
            {"id": one.id, "name": one.name, "role": one.role, "has_password": one.has_password, "places": places,
             "is_me": one.id == user.id}
            for one, places in await asyncio.to_thread(list_users, state.db)
        ]  # fmt: skip

    @app.patch("/api/people/{person}", status_code=204, response_class=Response)
    async def change(person: Number, given: RoleIn, user: Admin) -> Response:
        return await _done(change_role, state.db, person, given.role, user.name)

    @app.delete("/api/people/{person}", status_code=204, response_class=Response)
    async def remove(person: Number, user: Admin) -> Response:
        return await _done(remove_user, state.db, person, user.name)

    @app.post("/api/people/{person}/signout", status_code=204, response_class=Response)
    async def signout(person: Number, user: Admin) -> Response:
        return await _done(sign_out_everywhere, state.db, person, user.name)

    @app.get("/api/edits")
    async def edits(_user: Admin) -> list[dict[str, Any]]:
        return [
            {"utc_us": one.utc_us, "who": one.who, "subject": one.subject, "key": one.key, "before": one.before,
             "after": one.after}
            for one in await asyncio.to_thread(newest_edits, state.db, MOST_EDITS)
        ]  # fmt: skip


def add_invitations(app: FastAPI, state: WebState) -> None:
    """Admins invite people; engineers give guest links."""

    @app.get("/api/invitations")
    async def invitations(user: Engineer) -> list[dict[str, Any]]:
        return [_shown(one) for one in await asyncio.to_thread(_visible, state, user)]

    @app.post("/api/invitations", status_code=201, response_model=None)
    async def invite(given: InvitationIn, request: Request, user: Engineer) -> dict[str, Any] | Response:
        if given.role != "guest" and user.role != "admin":
            return denied(403, "wrong_role", "this needs the role admin")
        if len(await asyncio.to_thread(list_invitations, state.db)) >= MAX_INVITATIONS:
            return denied(409, "too_many", f"at most {MAX_INVITATIONS} open links; revoke some")
        scope = await asyncio.to_thread(_scope, state, given) if given.role == "guest" else None
        expires_utc_s = time.time() + given.hours * 3600
        draft = Invitation(given.role, given.is_reusable or scope is not None, expires_utc_s, user.name, scope)
        number, token = await asyncio.to_thread(create_invitation, state.db, draft)
        # The guard has seen that this is the address of the page itself.
        url = f"{request.headers['origin']}/join?token={token}"
        qr = segno.make(url, error="m", micro=False).svg_data_uri(scale=4, border=4, dark="#000", light="#fff")
        return {"id": number, "url": url, "qr": qr}

    @app.delete("/api/invitations/{invitation}", status_code=204, response_class=Response)
    async def revoke(invitation: Number, user: Engineer) -> Response:
        if not any(one.id == invitation for one in await asyncio.to_thread(_visible, state, user)):
            return denied(404, "unknown_invitation", "no open link has this number")
        await asyncio.to_thread(revoke_invitation, state.db, invitation, user.name)
        return _empty()


def _visible(state: WebState, user: User) -> list[Invitation]:
    return [one for one in list_invitations(state.db) if user.role == "admin" or one.scope is not None]


def _scope(state: WebState, given: InvitationIn) -> GuestScope:
    found = find_session(state.db, given.session)
    if found is None:
        raise HTTPException(404, {"code": "unknown_session", "message": "no session has this id"})
    return GuestScope(found.id, found.vehicle, given.shows_positions, given.shows_notes)


async def _done(call: Any, *arguments: Any) -> Response:
    try:
        is_done = await asyncio.to_thread(call, *arguments)
    except UserError as error:
        return denied(409, "last_admin", str(error))
    return _empty() if is_done else denied(404, "unknown_person", "nobody has this number")


def _me(user: User) -> dict[str, Any]:
    told: dict[str, Any] = {
        "id": user.id,
        "name": user.name,
        "role": user.role,
        "is_named": user.is_named,
        "has_password": user.has_password,
    }
    if user.scope is not None:
        told["session"] = user.scope.session
    return told


def _shown(link: Invitation) -> dict[str, Any]:
    scope = link.scope
    return {
        "id": link.id,
        "role": link.role,
        "is_reusable": link.is_reusable,
        "uses": link.uses,
        "expires_utc_s": link.expires_utc_s,
        "author": link.author,
        "session": "" if scope is None else scope.session,
        "vehicle": "" if scope is None else scope.vehicle,
        "shows_positions": scope is not None and scope.shows_positions,
        "shows_notes": scope is not None and scope.shows_notes,
    }


def _empty() -> Response:
    return Response(status_code=204)
