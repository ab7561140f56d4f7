"""Workbooks and preferences of the signed-in person. The page alone knows what stands in them."""

import asyncio
import json
from dataclasses import asdict
from typing import Annotated, Any, Final

from fastapi import FastAPI, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from ved.db.people import User
from ved.db.workbooks import (
    WorkbookDraft,
    WorkbookLine,
    create_workbook,
    delete_workbook,
    list_workbooks,
    read_preferences,
    read_workbook,
    save_preferences,
    save_workbook,
)
from ved.web.answers import denied, needs
from ved.web.state import WebState

MAX_CONTENT_BYTES: Final = 256 * 1024
MAX_WORKBOOKS: Final = 100
MAX_PREFERENCES_BYTES: Final = 64 * 1024

Name = Annotated[str, StringConstraints(max_length=64)]
Title = Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True)]
Viewer = Annotated[User, needs("viewer")]
Key = Annotated[str, StringConstraints(pattern="^[0-9a-f]{32}$")]


def _at_most(limit: int) -> Any:
    def check(content: dict[str, Any]) -> dict[str, Any]:
        try:
            size = len(json.dumps(content, ensure_ascii=False, allow_nan=False).encode())
        except (ValueError, RecursionError) as error:
            raise ValueError("not plain JSON") from error
        if size > limit:
            raise ValueError(f"more than {limit} bytes")
        return content

    return AfterValidator(check)


class WorkbookIn(BaseModel):
    """What a person saves; `replaces_utc_us`: `changed_utc_us` of what it was made from (none: whatever is there)."""

    model_config = ConfigDict(extra="forbid")

    vehicle: Name
    name: Title
    is_shared: bool = False
    content: Annotated[dict[str, Any], _at_most(MAX_CONTENT_BYTES)]
    replaces_utc_us: Annotated[int, Field(ge=0, lt=2**63)] | None = None

    def draft(self) -> WorkbookDraft:
        """As the database takes it."""
        return WorkbookDraft(self.vehicle, self.name, self.is_shared, self.content)


def add_workbooks(app: FastAPI, state: WebState) -> None:
    """Workbooks: one's own and those that others share; preferences."""

    @app.get("/api/workbooks")
    async def workbooks(vehicle: Name, user: Viewer) -> list[dict[str, Any]]:
        return [_listed(line, user) for line in await asyncio.to_thread(list_workbooks, state.db, user.id, vehicle)]

    @app.post("/api/workbooks", status_code=201, response_model=None)
    async def create(given: WorkbookIn, user: Viewer) -> dict[str, Any] | Response:
        made = await asyncio.to_thread(create_workbook, state.db, user.id, given.draft(), MAX_WORKBOOKS)
        if made is None:
            return denied(409, "too_many_workbooks", f"at most {MAX_WORKBOOKS} workbooks for each person")
        return {"id": made[0], "changed_utc_us": made[1]}

    @app.get("/api/workbooks/{key}", response_model=None)
    async def workbook(key: Key, user: Viewer) -> dict[str, Any] | Response:
        found = await asyncio.to_thread(read_workbook, state.db, user.id, key)
        return _unknown() if found is None else {**_listed(found[0], user), "content": found[1]}

    @app.put("/api/workbooks/{key}", response_model=None)
    async def save(key: Key, given: WorkbookIn, user: Viewer) -> dict[str, int] | Response:
        draft, replaces = given.draft(), given.replaces_utc_us
        changed = await asyncio.to_thread(save_workbook, state.db, user.id, key, draft, replaces)
        if changed is not None:
            return {"changed_utc_us": changed}
        found = await asyncio.to_thread(read_workbook, state.db, user.id, key)
        if found is None or found[0].owner_id != user.id:
            return _unknown()
        return denied(409, "workbook_changed", "this workbook was changed meanwhile: read it again first")

    @app.delete("/api/workbooks/{key}", status_code=204, response_class=Response)
    async def remove(key: Key, user: Viewer) -> Response:
        is_gone = await asyncio.to_thread(delete_workbook, state.db, user.id, key)
        return Response(status_code=204) if is_gone else _unknown()

    @app.get("/api/preferences")
    async def preferences(user: Viewer) -> dict[str, Any]:
        return await asyncio.to_thread(read_preferences, state.db, user.id)

    @app.put("/api/preferences", status_code=204, response_class=Response)
    async def prefer(content: Annotated[dict[str, Any], _at_most(MAX_PREFERENCES_BYTES)], user: Viewer) -> Response:
        await asyncio.to_thread(save_preferences, state.db, user.id, content)
        return Response(status_code=204)


def _listed(line: WorkbookLine, user: User) -> dict[str, Any]:
    listed = asdict(line)
    is_mine = listed.pop("owner_id") == user.id
    return {**listed, "is_mine": is_mine}


def _unknown() -> Response:
    return denied(404, "unknown_workbook", "no workbook of yours, and none that is shared, has this id")
