"""Alarms, their rules, and what people say about them."""

import asyncio
from typing import Annotated, Any, Final

from fastapi import Body, FastAPI, Query, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from ved.analysis.alarms.binding import bind
from ved.analysis.alarms.trial import MAX_HOLD_MS, Forced, try_rule
from ved.api.alarmcheck import check_parts
from ved.api.parts import PartLoader
from ved.db.alarmrules import SUBJECT, list_rules, put_rule, remove_rule
from ved.db.alarms import (
    MAX_LISTED,
    Shelf,
    acknowledge,
    count_alarms,
    get_alarm,
    kept_samples,
    list_alarms,
    list_shelves,
    open_alarms,
    shelve,
)
from ved.db.edits import list_edits
from ved.db.people import User
from ved.db.sessions import find_session, list_sessions
from ved.errors import UserError
from ved.model.alarmrule import Rule, rule_from, rule_values
from ved.model.channel import Channel
from ved.model.maths import MATHS_MESSAGE
from ved.web.alarms import alarm_values, check_values, samples_values
from ved.web.answers import IsNew, denied, needs
from ved.web.clock import utc_us
from ved.web.language import say
from ved.web.state import WebState

LATEST_US: Final = 1 << 60
MAX_SHELF_MINUTES: Final = 7 * 24 * 60
MAX_RULES: Final = 500
MAX_SESSIONS: Final = 100
Name = Annotated[str, StringConstraints(max_length=64)]
Key = Annotated[str, StringConstraints(max_length=64)]
UtcUs = Annotated[int, Query(ge=0, le=LATEST_US)]
RuleIn = Annotated[dict[str, Any], Body(max_length=30)]
Viewer = Annotated[User, needs("viewer")]
Engineer = Annotated[User, needs("engineer")]
Number = Annotated[float, Field(allow_inf_nan=False)]


class ShelfIn(BaseModel):
    """How long nobody wants to hear of a rule; 0: from now on again."""

    model_config = ConfigDict(extra="forbid")

    minutes: int = Field(ge=0, le=MAX_SHELF_MINUTES)


class TrialIn(BaseModel):
    """A rule and the values that are forced through it; null: no sample."""

    model_config = ConfigDict(extra="forbid")

    rule: dict[str, Any]
    rest: dict[str, Number | None] = Field(default={}, max_length=32)
    values: dict[str, Number | None] = Field(default={}, max_length=32)
    hold_ms: int = Field(default=1000, ge=0, le=MAX_HOLD_MS)


def add_alarms(app: FastAPI, state: WebState) -> None:
    """Alarms of a vehicle: list, acknowledge, the samples around one; the rules over a stored session."""
    checking = asyncio.Semaphore(1)

    @app.get("/api/vehicles/{name}/alarms")
    async def alarms(
        name: Name,
        _user: Viewer,
        from_utc_us: UtcUs = 0,
        to_utc_us: UtcUs = LATEST_US,
        limit: Annotated[int, Query(ge=1, le=MAX_LISTED)] = 200,
    ) -> list[dict[str, Any]]:
        rows = await asyncio.to_thread(list_alarms, state.db, name, (from_utc_us, to_utc_us), limit)
        return [alarm_values(row) for row in rows]

    @app.get("/api/vehicles/{name}/alarms/open")
    async def still_open(name: Name, _user: Viewer) -> list[dict[str, Any]]:
        return [alarm_values(row) for row in await asyncio.to_thread(open_alarms, state.db, name)]

    @app.get("/api/vehicles/{name}/alarms/sessions")
    async def sessions(name: Name, _user: Viewer) -> list[dict[str, Any]]:
        found = (await asyncio.to_thread(list_sessions, state.db, name))[: -MAX_SESSIONS - 1 : -1]
        spans = [(one.utc_from_us, one.utc_to_us) for one in found]
        counts = await asyncio.to_thread(count_alarms, state.db, name, spans)
        return [
            {
                "id": one.id,
                "utc_from_us": one.utc_from_us,
                "utc_to_us": one.utc_to_us,
                "is_open": one.is_open,
                "alarms": count,
            }
            for one, count in zip(found, counts, strict=True)
        ]

    @app.post("/api/alarms/{alarm}/acknowledge", status_code=204, response_model=None)
    async def acknowledged(alarm: Key, user: Engineer) -> Response:
        if await asyncio.to_thread(get_alarm, state.db, alarm) is None and not _is_fresh(alarm):
            return denied(404, "unknown_alarm", "no alarm has this id")
        await asyncio.to_thread(acknowledge, state.db, alarm, user.name, utc_us())
        return Response(status_code=204)

    @app.get("/api/alarms/{alarm}/samples", response_model=None)
    async def samples(alarm: Key, _user: Viewer) -> dict[str, Any] | Response:
        found = await asyncio.to_thread(get_alarm, state.db, alarm)
        if found is None:
            return denied(404, "unknown_alarm", "no alarm has this id")
        return samples_values(found, await asyncio.to_thread(kept_samples, state.db, alarm))

    @app.get("/api/sessions/{session}/alarms/check", response_model=None)
    async def check(session: Key, _user: Viewer) -> dict[str, Any] | Response:
        found = await asyncio.to_thread(find_session, state.db, session)
        if found is None:
            return denied(404, "unknown_session", "no session has this id")

        def run() -> dict[str, Any]:
            state.lake.refresh()
            parts = PartLoader(state.db, state.lake, found.vehicle).load(found)
            return check_values(check_parts(state.lake, parts, list_rules(state.db, found.vehicle)))

        async with checking:
            return await asyncio.to_thread(run)


def add_alarm_rules(app: FastAPI, state: WebState) -> None:
    """The rules of a vehicle: list, edit; every edit is noted."""

    @app.get("/api/vehicles/{name}/rules", response_model=None)
    async def rules(name: Name, _user: Viewer) -> list[dict[str, Any]] | Response:
        if not await state.hub.is_vehicle(name):
            return denied(404, "unknown_vehicle", "no vehicle has this name")
        known = await asyncio.to_thread(list_rules, state.db, name)
        idle = bind(known, await _channels(state, name)).idle
        shelves = {shelf.rule: shelf for shelf in await asyncio.to_thread(list_shelves, state.db, name, utc_us())}
        return [_listed(rule, idle.get(rule.id, ""), shelves.get(rule.id)) for rule in known]

    @app.put("/api/vehicles/{name}/rules/{rule}", status_code=204, response_model=None)
    async def put(name: Name, rule: Key, values: RuleIn, user: Engineer, is_new: IsNew) -> Response:
        if not await state.hub.is_vehicle(name):
            return denied(404, "unknown_vehicle", "no vehicle has this name")
        try:
            new = rule_from({**values, "id": rule})
        except UserError as error:
            return denied(422, "bad_rule", str(error))
        why = bind([new], await _channels(state, name)).idle.get(new.id)
        if why is not None and new.is_enabled:
            return denied(422, "bad_rule", why)
        known = await asyncio.to_thread(list_rules, state.db, name)
        if len(known) >= MAX_RULES and all(one.id != new.id for one in known):
            return denied(422, "too_many_rules", f"a vehicle has at most {MAX_RULES} rules")
        if not await asyncio.to_thread(put_rule, state.db, name, new, user.name, is_new=is_new):
            return denied(409, "rule_exists", f"a rule with the id {rule} is there already: give this one another id")
        return Response(status_code=204)

    @app.delete("/api/vehicles/{name}/rules/{rule}", status_code=204, response_model=None)
    async def remove(name: Name, rule: Key, user: Engineer) -> Response:
        if not await asyncio.to_thread(remove_rule, state.db, name, rule, user.name):
            return denied(404, "unknown_rule", "the vehicle has no rule with this id")
        return Response(status_code=204)

    @app.get("/api/vehicles/{name}/rules/{rule}/changes")
    async def changes(name: Name, rule: Key, _user: Engineer) -> list[dict[str, Any]]:
        found = await asyncio.to_thread(list_edits, state.db, SUBJECT, f"{name}/{rule}")
        return [{"utc_us": one.utc_us, "who": one.who, "before": one.before, "after": one.after} for one in found]


def add_rule_actions(app: FastAPI, state: WebState) -> None:
    """What is done with a rule and does not change it."""

    @app.post("/api/vehicles/{name}/rules/{rule}/shelve", status_code=204)
    async def put_on_shelf(name: Name, rule: Key, shelf: ShelfIn, user: Engineer) -> Response:
        now_us = utc_us()
        row = Shelf(0, name, rule, now_us + shelf.minutes * 60_000_000, now_us, user.name)
        await asyncio.to_thread(shelve, state.db, row)
        return Response(status_code=204)

    @app.post("/api/vehicles/{name}/rules/try", response_model=None)
    async def attempt(name: Name, trial: TrialIn, _user: Engineer) -> dict[str, Any] | Response:
        if not await state.hub.is_vehicle(name):
            return denied(404, "unknown_vehicle", "no vehicle has this name")
        try:
            rule = rule_from(trial.rule)
        except UserError as error:
            return denied(422, "bad_rule", str(error))
        channels = await _channels(state, name)
        forced = Forced(trial.rest, trial.values, trial.hold_ms)
        found = await asyncio.to_thread(try_rule, rule, channels, forced)
        steps = [{"t_ms": one.t_ms, "is_raised": one.is_raised} for one in found.steps]
        return {"steps": steps, "idle": say(found.idle), "inputs": list(found.inputs), "end_ms": found.end_ms}


async def _channels(state: WebState, vehicle: str) -> list[Channel]:
    """The channels that rules can look at: maths channels are written as expressions."""
    return [one for one in await state.hub.channels(vehicle) if not one.name.startswith(f"{MATHS_MESSAGE}.")]


def _is_fresh(alarm: str) -> bool:
    """An alarm may be seen before watch has saved it: its id looks like one."""
    return len(alarm) == 16 and all(one in "0123456789abcdef" for one in alarm)


def _listed(rule: Rule, idle: str, shelf: Shelf | None) -> dict[str, Any]:
    return {
        "rule": rule_values(rule),
        "idle": say(idle),
        "shelved_until_utc_us": None if shelf is None else shelf.until_utc_us,
        "shelved_by": "" if shelf is None else shelf.who,
    }
