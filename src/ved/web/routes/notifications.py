"""Notifications of alarms: where they go, what became of the newest, and a test."""

import asyncio
from typing import Annotated, Any, Final

from fastapi import FastAPI, Response

from ved.db.database import Database
from ved.db.notifications import Notification, ask_test, list_targets, newest_notifications
from ved.db.people import User
from ved.web.answers import denied, needs
from ved.web.clock import utc_us
from ved.web.language import say
from ved.web.state import WebState

TEST_EVERY_US: Final = 5_000_000
Engineer = Annotated[User, needs("engineer")]


def add_notifications(app: FastAPI, state: WebState) -> None:
    """What watch sends; web only asks for tests."""
    asked_us = -TEST_EVERY_US

    @app.get("/api/notifications")
    async def notifications(_user: Engineer) -> dict[str, Any]:
        targets, newest = await asyncio.to_thread(_read, state.db)
        return {"targets": targets, "newest": [_line(one) for one in newest]}

    @app.post("/api/notifications/test", status_code=202, response_model=None)
    async def test(user: Engineer) -> dict[str, Any] | Response:
        nonlocal asked_us
        targets, _ = await asyncio.to_thread(_read, state.db)
        if not targets:
            return denied(409, "no_targets", "notifications are off: set notify_webhook or notify_apprise")
        now_us = utc_us()
        if 0 <= now_us - asked_us < TEST_EVERY_US:
            return denied(429, "too_often", "a test was asked for a moment ago")
        asked_us = now_us
        await asyncio.to_thread(ask_test, state.db, user.name, now_us)
        return {"targets": targets}


def _read(db: Database) -> tuple[list[str], list[Notification]]:
    return list_targets(db), newest_notifications(db)


def _line(one: Notification) -> dict[str, Any]:
    return {
        "id": one.id,
        "utc_us": one.utc_us,
        "target": one.target,
        "title": one.title,
        "state": one.state,
        "attempts": one.attempts,
        "next_utc_us": one.next_utc_us,
        "error": say(one.error),
    }
