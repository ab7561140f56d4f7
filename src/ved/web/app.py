"""The web application: the groups of routes, and the guard before all of them."""

from typing import Final

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from ved.codec.live import LIVE_VERSION
from ved.web.bodylimit import BodyLimit
from ved.web.guard import Guard
from ved.web.language import Languages, say, told
from ved.web.page import PageFiles
from ved.web.routes.alarms import add_alarm_rules, add_alarms, add_rule_actions
from ved.web.routes.data import add_data
from ved.web.routes.dbc import add_dbc
from ved.web.routes.ledger import add_ledger
from ved.web.routes.live import add_live
from ved.web.routes.maths import add_maths
from ved.web.routes.metrics import add_metrics
from ved.web.routes.notifications import add_notifications
from ved.web.routes.people import add_invitations, add_me, add_people
from ved.web.routes.sessions import add_sessions
from ved.web.routes.signin import add_join, add_signin
from ved.web.routes.time_notes import add_time_notes
from ved.web.routes.tracks import add_tracks
from ved.web.routes.vehicles import add_vehicles
from ved.web.routes.workbooks import add_workbooks
from ved.web.state import WebState

ROUTES: Final = (
    add_alarms,
    add_alarm_rules,
    add_rule_actions,
    add_signin,
    add_join,
    add_me,
    add_people,
    add_invitations,
    add_vehicles,
    add_dbc,
    add_sessions,
    add_data,
    add_tracks,
    add_maths,
    add_ledger,
    add_metrics,
    add_notifications,
    add_workbooks,
    add_time_notes,
    add_live,
)


def make_app(state: WebState) -> FastAPI:
    """The application on a state that the role keeps alive."""
    app = FastAPI(
        title="ved", version=str(LIVE_VERSION), docs_url=None, redoc_url=None, openapi_url="/api/openapi.json"
    )
    for add in ROUTES:
        add(app, state)
    app.add_exception_handler(HTTPException, _refuse)
    app.add_exception_handler(RequestValidationError, _refuse_body)
    app.mount("/", PageFiles(state.page_dir))
    app.add_middleware(BodyLimit)
    app.add_middleware(Guard, auth=state.auth)
    app.add_middleware(Languages)  # the last one is asked first
    return app


def _refuse(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    detail: object = error.detail
    return JSONResponse(
        {"error": told(detail if isinstance(detail, dict) else {"code": "refused", "message": str(detail)})},
        error.status_code,
    )


def _refuse_body(_request: Request, error: Exception) -> Response:
    """As FastAPI does, in the language of the request."""
    assert isinstance(error, RequestValidationError)
    wrong = [{**one, "msg": say(one["msg"])} for one in error.errors()]
    return JSONResponse({"detail": jsonable_encoder(wrong)}, 422)
