"""Refusals in one shape, and the check of a person's role."""

from collections.abc import Callable
from typing import Annotated, Any, Final

from fastapi import Depends, Header, HTTPException, Request, Response
from fastapi.responses import JSONResponse

from ved.db.people import User
from ved.web.language import say

RANKS: Final = {"viewer": 0, "engineer": 1, "admin": 2}


def denied(status: int, code: str, text: str) -> Response:
    """An error answer: a code for programs, one line for people."""
    return JSONResponse({"error": {"code": code, "message": say(text)}}, status)


def who_asks(request: Request) -> User:
    """Who the guard found: a person, or a guest."""
    user: User = request.state.user
    return user


Asking = Annotated[User, Depends(who_asks)]
"""Who asks, a guest too: whoever takes it shows a guest no more than guests.py says."""


def is_new(if_none_match: Annotated[str, Header()] = "") -> bool:
    """True where what is put must not be there yet (`If-None-Match: *`)."""
    return if_none_match.strip() == "*"


IsNew = Annotated[bool, Depends(is_new)]


def needs(role: str) -> Any:
    """A dependency that gives the signed-in user, and refuses (403) one whose role is below `role`."""
    return Depends(_CHECKS[role])


def _check(role: str) -> Callable[[User], User]:
    def check(user: Asking) -> User:
        if RANKS.get(user.role, -1) < RANKS[role]:
            raise HTTPException(403, {"code": "wrong_role", "message": f"this needs the role {role}"})
        return user

    return check


_CHECKS: Final = {role: _check(role) for role in RANKS}
