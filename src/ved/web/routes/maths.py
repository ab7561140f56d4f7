"""The maths channels of a vehicle: listed, tried, changed."""

from typing import Annotated, Any

from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, ConfigDict, StringConstraints

from ved.analysis.maths.functions import FUNCTIONS, RUNNING
from ved.analysis.maths.program import compile_expression
from ved.analysis.maths.syntax import LONGEST_TEXT, ExpressionError
from ved.api.history import History
from ved.api.maths import maths_of
from ved.api.registry import load_registry
from ved.db.maths import SUBJECT, list_maths, put_maths, remove_maths
from ved.db.people import User
from ved.db.vehicles import get_vehicle
from ved.errors import UserError
from ved.model.channel import Channel
from ved.model.maths import MATHS_NAME, MathsDef
from ved.web.answers import IsNew, needs
from ved.web.language import told
from ved.web.routes.sessions import Id, answer
from ved.web.state import WebState

Name = Annotated[str, StringConstraints(pattern=rf"^{MATHS_NAME.pattern}$")]


class MathsBody(BaseModel):
    """An expression, the unit of its result (empty: as it comes out), and what it is."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    expression: Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_TEXT)]
    unit: Annotated[str, StringConstraints(max_length=20)] = ""
    comment: Annotated[str, StringConstraints(max_length=200)] = ""


def add_maths(app: FastAPI, state: WebState) -> None:
    """Everybody may look and try; engineers change, and every change is kept with who made it."""
    desk = _Desk(state)

    @app.get("/api/vehicles/{vehicle}/maths")
    async def maths(vehicle: Id) -> dict[str, Any]:
        return await answer(desk.every, vehicle)

    @app.post("/api/vehicles/{vehicle}/maths/check")
    async def check(vehicle: Id, body: MathsBody, name: str = "") -> dict[str, Any]:
        """What the expression would give; or where it is wrong (`position`: the character, counted from 1)."""
        return await answer(desk.check, vehicle, name, body)

    @app.put("/api/vehicles/{vehicle}/maths/{name}")
    async def put(
        vehicle: Id, name: Name, body: MathsBody, user: Annotated[User, needs("engineer")], is_new: IsNew
    ) -> dict[str, Any]:
        return await answer(desk.put, vehicle, name, body, user.name, is_new=is_new)

    @app.delete("/api/vehicles/{vehicle}/maths/{name}")
    async def remove(vehicle: Id, name: Name, user: Annotated[User, needs("engineer")]) -> dict[str, bool]:
        await answer(desk.remove, vehicle, name, user.name)
        return {"ok": True}


class _Desk:
    """What the routes do; blocking."""

    def __init__(self, state: WebState) -> None:
        self._db, self._history = state.db, History(state.lake, state.db)

    def every(self, vehicle: str) -> dict[str, Any]:
        decoded, aliases = self._decoded(vehicle), load_registry(self._db, vehicle).aliases
        made = maths_of(self._db, vehicle, decoded, aliases)
        units = {one.signal: one for one in made.channels}
        return {
            "channels": [
                {
                    "name": one.name,
                    "channel": one.channel,
                    "expression": one.expression,
                    "unit": one.unit,
                    "comment": one.comment,
                    "result": None
                    if one.name not in units
                    else {"unit": units[one.name].unit, "kind": units[one.name].kind},
                    "error": None if one.name not in made.errors else told(_error(made.errors[one.name])),
                }
                for one in list_maths(self._db, vehicle)
            ],
            "functions": sorted(
                [
                    name
                    for name in (*FUNCTIONS, *RUNNING)
                    if name.isidentifier() and name not in ("neg", "and", "or", "not")
                ]
            ),
        }

    def check(self, vehicle: str, name: str, body: MathsBody) -> dict[str, Any]:
        known = [one for one in self._channels(vehicle) if one.name != MathsDef(name, "").channel]
        aliases = load_registry(self._db, vehicle).aliases
        try:
            program = compile_expression(body.expression, known, body.unit or None, aliases)
        except ExpressionError as error:
            raise HTTPException(400, {"code": "bad_expression", **_error(error)}) from None
        return {
            "unit": program.unit,
            "kind": program.kind,
            "inputs": list(program.inputs),
            "needs_laps": program.needs_laps,
        }

    def put(self, vehicle: str, name: str, body: MathsBody, who: str, *, is_new: bool) -> dict[str, Any]:
        if get_vehicle(self._db, vehicle) is None:
            raise KeyError(f"vehicle {vehicle}")
        checked = self.check(vehicle, name, body)
        definition = MathsDef(name, body.expression, body.unit, body.comment)
        if not put_maths(self._db, vehicle, definition, who, is_new=is_new):
            raise UserError(f"a maths channel {name} is there already: give this one another name")
        return checked

    def remove(self, vehicle: str, name: str, who: str) -> None:
        if not remove_maths(self._db, vehicle, name, who):
            raise KeyError(f"{SUBJECT} channel {name}")

    def _channels(self, vehicle: str) -> list[Channel]:
        self._history.forget_maths(vehicle)
        return self._history.channels(vehicle)

    def _decoded(self, vehicle: str) -> list[Channel]:
        return [one for one in self._channels(vehicle) if not one.name.startswith("Maths.")]


def _error(error: ExpressionError) -> dict[str, Any]:
    return {"message": str(error), "position": error.position, "reason": error.reason}
