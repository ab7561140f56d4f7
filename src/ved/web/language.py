"""In which language a request wants to be answered: English, or French where it says so (`Accept-Language`)."""

import re
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, Final, Literal

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from ved.web.words.french import french

Language = Literal["en", "fr"]
MAX_HEADER_CHARS: Final = 1000
_WANTED: Final = re.compile(
    r"([a-z]{1,8}|\*)(?:-[a-z0-9]{1,8}){0,8}(?:[ \t]*;[ \t]*q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?))?"
)
_TOLD: Final = ("message", "reason")
_language: ContextVar[Language] = ContextVar("language", default="en")


class Languages:
    """Notes the language of each request for whatever answers it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        before = _language.set(language_of(",".join(Headers(scope=scope).getlist("accept-language"))))
        try:
            await self._app(scope, receive, send)
        finally:
            _language.reset(before)


def language_of(header: str) -> Language:
    """The one that an `Accept-Language` likes better (RFC 9110, 12.5.4); of two that it likes alike, the first."""
    likes: dict[str, float] = {}
    for wanted in header[:MAX_HEADER_CHARS].lower().split(","):
        found = _WANTED.fullmatch(wanted.strip())
        if found:
            likes[found[1]] = max(likes.get(found[1], 0.0), float(found[2] or 1))
    others = likes.pop("*", 0.0)
    if likes.get("fr", others) == likes.get("en", others) > 0:
        return "fr" if [one for one in likes if one in ("en", "fr")][:1] == ["fr"] else "en"
    return "fr" if likes.get("fr", others) > likes.get("en", others) else "en"


def say(text: str) -> str:
    """A sentence for the request that is being answered."""
    return french(text) if _language.get() == "fr" else text


def told(values: Mapping[str, Any]) -> dict[str, Any]:
    """An error's values for the request that is being answered: those for people are said, those for programs stay."""
    return {key: say(value) if key in _TOLD and isinstance(value, str) else value for key, value in values.items()}
