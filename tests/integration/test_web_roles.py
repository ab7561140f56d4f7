"""Deny by default: every route and every WebSocket message, asked by everybody, against one table."""

import asyncio
import contextlib
import json
import re

import httpx
import pytest
from sqlalchemy import update
from tests.integration.test_web_sessions import fill
from tests.integration.web_live import Server, run
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from ved.codec.live import LiveKind, decode_message
from ved.db.database import Database
from ved.db.people import create_signin_token
from ved.db.tables import sessions
from ved.web import foxglove, messages
from ved.web.app import make_app
from ved.web.auth import Auth
from ved.web.foxglove import SUBPROTOCOLS
from ved.web.hub import Hub
from ved.web.state import WebState

ROLES = ("none", "guest", "viewer", "engineer", "admin")
LEAST = {
    "none": "GET /healthz; GET /signin.css; GET /signin; POST /signin; GET /join; POST /join",
    "guest": """GET /; GET /api/me; POST /api/signout; GET /api/vehicles; GET /api/vehicles/{name}
        GET /api/sessions/{session}; GET /api/sessions/{session}/laps; GET /api/sessions/{session}/channels
        GET /api/sessions/{session}/series; SOCKET /api/live""",
    "viewer": """GET /api/openapi.json; GET /metrics; GET /api/health
        GET /api/vehicles/{name}/alarms; GET /api/vehicles/{name}/alarms/open; GET /api/vehicles/{name}/alarms/sessions
        GET /api/alarms/{alarm}/samples; GET /api/sessions/{session}/alarms/check; GET /api/vehicles/{name}/rules
        PATCH /api/me; PUT /api/me/password; POST /api/me/tool-token; POST /api/me/signout-everywhere
        GET /api/vehicles/{name}/dbc; GET /api/vehicles/{name}/dbc/files/{digest}; GET /api/vehicles/{name}/dbc/compare
        GET /api/vehicles/{name}/dbc/series; GET /api/vehicles/{vehicle}/sessions; GET /api/sessions/{session}/export
        GET /api/tracks; GET /api/vehicles/{vehicle}/maths; POST /api/vehicles/{vehicle}/maths/check
        GET /api/vehicles/{name}/ledger; GET /api/workbooks; POST /api/workbooks; GET /api/workbooks/{key}
        PUT /api/workbooks/{key}; DELETE /api/workbooks/{key}; GET /api/preferences; PUT /api/preferences
        GET /api/vehicles/{vehicle}/notes; POST /api/vehicles/{vehicle}/notes; DELETE /api/notes/{note}
        SOCKET /api/vehicles/{name}/trace; SOCKET /foxglove""",
    "engineer": """PUT /api/vehicles/{name}/rules/{rule}; DELETE /api/vehicles/{name}/rules/{rule}
        POST /api/vehicles/{name}/rules/{rule}/shelve; POST /api/vehicles/{name}/rules/try
        POST /api/vehicles/{name}/dbc/preview; POST /api/vehicles/{name}/dbc/assign; PATCH /api/sessions/{session}
        POST /api/sessions/{session}/split; POST /api/sessions/{session}/merge; POST /api/tracks
        PUT /api/tracks/{track}; DELETE /api/tracks/{track}; PUT /api/vehicles/{vehicle}/maths/{name}
        DELETE /api/vehicles/{vehicle}/maths/{name}; GET /api/vehicles/{name}/rules/{rule}/changes
        POST /api/alarms/{alarm}/acknowledge
        GET /api/notifications; POST /api/notifications/test; GET /api/invitations
        POST /api/invitations; DELETE /api/invitations/{invitation}""",
    "admin": """GET /api/people; PATCH /api/people/{person}; DELETE /api/people/{person}
        POST /api/people/{person}/signout; GET /api/edits""",
}
TABLE = {one.strip(): least for least, lines in LEAST.items() for one in re.split(r"[;\n]", lines)}
LAST = ("POST /api/signout", "POST /api/me/signout-everywhere")
NUMBERS = {"person": "999999", "invitation": "999999", "note": "999999"}


def known_routes(folder) -> set[str]:
    """All routes that the application has, as the table writes them."""
    db = Database("sqlite://")
    app = make_app(WebState(db, Auth(db, b"x"), Hub(db, None, None), None, folder))
    db.close()
    found = set()
    for route in app.routes:
        methods = getattr(route, "methods", None) or {"SOCKET" if "WebSocket" in type(route).__name__ else "GET"}
        found |= {f"{method} {route.path or '/'}" for method in methods - {"HEAD"}}
    return found


def test_every_route_stands_in_the_table(tmp_path):
    assert known_routes(tmp_path) == set(TABLE)


def filled(path: str, session: str, vehicle: str) -> str:
    values = {"session": session, "name": vehicle, "vehicle": vehicle, **NUMBERS}
    return re.sub(r"\{(\w+)\}", lambda found: values.get(found[1], "x"), path)


async def guest_link(server: Server, admin: httpx.AsyncClient, session: str, **allowed) -> str:
    made = await admin.post("/api/invitations", json={"role": "guest", "session": session, **allowed})
    assert made.status_code == 201, made.text
    assert made.json()["qr"].startswith("data:image/svg+xml")
    return made.json()["url"].split("token=")[1]


@contextlib.asynccontextmanager
async def client_of(server: Server, role: str, link: str = ""):
    async with httpx.AsyncClient(base_url=server.url, headers={"Origin": server.url}, timeout=60) as client:
        if role == "guest":
            assert (await client.post("/join", data={"token": link})).status_code == 303
        elif role != "none":
            await client.get("/signin", params={"token": create_signin_token(server.db, role)})
        yield client


def cookie_of(client: httpx.AsyncClient) -> dict[str, str]:
    return {"Cookie": "; ".join(f"{name}={value}" for name, value in client.cookies.items())}


def test_every_route_with_every_role(tmp_path):
    async def go(server: Server) -> None:
        fill(server)
        async with server.running(), client_of(server, "admin") as boss:
            (line,) = (await boss.get("/api/vehicles/fs/sessions")).json()
            link = await guest_link(server, boss, line["id"])
            for rank, role in enumerate(ROLES):
                async with client_of(server, role, link) as client:
                    for one in sorted((one for one in TABLE if "SOCKET" not in one), key=lambda one: one in LAST):
                        if one == LAST[1] and role == "guest":
                            async with client_of(server, role, link) as again:
                                await expect(again, one, rank, line["id"])
                            continue
                        if one == LAST[1] and role != "none":
                            await client.get("/signin", params={"token": create_signin_token(server.db, role)})
                        await expect(client, one, rank, line["id"])

    wrong = []

    async def expect(client, one: str, rank: int, session: str) -> None:
        method, path = one.split(" ")
        body = {} if method in ("POST", "PUT", "PATCH") and path.startswith("/api") else None
        answer = await client.request(method, filled(path, session, "fs"), json=body)
        said = (one, ROLES[rank], answer.status_code, answer.text[:200])
        if rank >= ROLES.index(TABLE[one]):
            is_right = TABLE[one] == "none" or answer.status_code not in (401, 403)
        else:
            is_right = answer.status_code == (401 if rank == 0 else 403)
        if not is_right or answer.status_code >= 500 or "content-security-policy" not in answer.headers:
            wrong.append(said)

    run(tmp_path, go)
    assert wrong == []


async def look_back(server: Server, guest, session: dict, channel: str, until_utc_us: int | None = None) -> None:
    """A run that is over: its own time, whatever the car does now, and no news of the car."""
    url = server.url.replace("http", "ws") + "/api/live"
    async with connect(url, additional_headers=cookie_of(guest), origin=server.url) as live:
        wish = {"channels": [channel], "rate_hz": 10, "window_s": session["duration_s"] + 60}
        await live.send(json.dumps(WATCH | wish | {"until_utc_us": until_utc_us}))
        told, got = [], 0
        while True:
            data = await live.recv()
            if isinstance(data, str):
                told.append(json.loads(data))
                assert told[-1]["type"] in ("welcome", "watching")
                continue
            message = decode_message(data)
            assert message.header.kind is LiveKind.HISTORY
            for column in message.columns:
                got += len(column.t_utc_us)
                assert session["utc_from_us"] <= column.t_utc_us[0] <= column.t_utc_us[-1] <= session["utc_to_us"]
            if message.header.is_last_history:
                break
        assert got > 10
        assert told[-1]["edge_utc_us"] == session["utc_to_us"]


WATCH = {
    "type": "watch",
    "id": 1,
    "vehicle": "fs",
    "channels": ["VehicleMotion.VehicleSpeed"],
    "rate_hz": 1,
    "window_s": 1,
}
SOCKETS = {
    "/api/live": {"watch": WATCH, "unwatch": {"type": "unwatch", "id": 1}},
    "/foxglove": {
        "subscribe": {"op": "subscribe", "subscriptions": []},
        "unsubscribe": {"op": "unsubscribe", "subscriptionIds": []},
    },
    "/api/vehicles/fs/trace": {},
}


def test_every_message_of_every_socket_with_every_role(tmp_path):
    assert set(SOCKETS["/api/live"]) == set(messages._CLIENT.json_schema()["discriminator"]["mapping"])
    assert set(SOCKETS["/foxglove"]) == set(foxglove._CLIENT.json_schema()["discriminator"]["mapping"])
    least = {filled(one.split(" ")[1], "", "fs"): TABLE[one] for one in TABLE if "SOCKET" in one}
    assert set(least) == set(SOCKETS)

    async def go(server: Server) -> None:
        fill(server)
        async with server.running(), client_of(server, "admin") as boss:
            (line,) = (await boss.get("/api/vehicles/fs/sessions")).json()
            link = await guest_link(server, boss, line["id"])
            for rank, role in enumerate(ROLES):
                async with client_of(server, role, link) as client:
                    for path, told in SOCKETS.items():
                        url, headers = server.url.replace("http", "ws") + path, cookie_of(client)
                        opened = connect(
                            url, additional_headers=headers, origin=server.url, subprotocols=SUBPROTOCOLS[:1]
                        )
                        if rank < ROLES.index(least[path]):
                            with pytest.raises(InvalidStatus) as caught:
                                await opened
                            assert caught.value.response.status_code == 403
                            continue
                        async with opened as live:
                            said = json.loads(await live.recv())
                            await live.send(json.dumps(next(iter(told.values()), {})))
                            if path == "/api/live":
                                assert (await next_of(live, {"watching", "error"}))["type"] == "watching", role
                                await live.send(json.dumps(told["unwatch"]))
                            assert said.get("type", said.get("op")) in ("welcome", "serverInfo", "trace")

    run(tmp_path, go)


async def next_of(live, types: set[str]) -> dict:
    while True:
        data = await live.recv()
        if isinstance(data, str) and json.loads(data)["type"] in types:
            return json.loads(data)


def test_pages_and_guests_of_a_session_that_is_a_part_of_another_by_now_find_the_whole(tmp_path):
    async def go(server: Server) -> None:
        fill(server)
        async with server.running(), client_of(server, "engineer") as boss, client_of(server, "viewer") as viewer:
            (line,) = (await boss.get("/api/vehicles/fs/sessions")).json()
            cut = {"utc_us": (line["utc_from_us"] + line["utc_to_us"]) // 2}
            old = (await boss.post(f"/api/sessions/{line['id']}/split", json=cut)).json()["id"]
            async with client_of(server, "guest", await guest_link(server, boss, old)) as guest:
                assert (await guest.get(f"/api/sessions/{line['id']}")).status_code == 403
                await boss.post(f"/api/sessions/{old}/merge", json={"session": line["id"]})
                assert (await guest.get("/api/me")).json()["session"] == line["id"]
                for one in (viewer, guest):
                    shown = (await one.get(f"/api/sessions/{old}")).json()
                    assert (shown["id"], shown["utc_to_us"]) == (line["id"], line["utc_to_us"])
                    for path in (f"{line['id']}/laps", f"{old}/laps", f"{old}/channels"):
                        assert (await one.get(f"/api/sessions/{path}")).status_code == 200
                assert (await guest.get("/api/sessions/other")).status_code == 403
            changed = await boss.patch(f"/api/sessions/{old}", json={"name": "Whole"})
            assert (changed.json()["id"], changed.json()["name"]) == (line["id"], "Whole")
            checked = await boss.get(f"/api/sessions/{old}/alarms/check")
            assert checked.status_code == 200

    run(tmp_path, go)


def test_a_guest_sees_one_session_without_positions_and_notes(tmp_path):
    async def go(server: Server) -> None:
        fill(server)
        async with server.running(), client_of(server, "engineer") as boss:
            (line,) = (await boss.get("/api/vehicles/fs/sessions")).json()
            session = f"/api/sessions/{line['id']}"
            notes = {"name": "Run 1", "driver": "Zoé", "notes": "oversteer", "setup": "soft", "tags": ["secret"]}
            assert (await boss.patch(session, json=notes)).status_code == 200
            names = [one["name"] for one in (await boss.get(f"{session}/channels")).json()]
            places = [name for name in names if "gps" in name.lower()]
            assert places
            for name, expression in (("Where", "(latitude - 48) * 111320"), ("Farther", "where * 2")):  # by short names
                body = {"expression": expression}
                assert (await boss.put(f"/api/vehicles/fs/maths/{name}", json=body)).status_code == 200
                places.append(f"Maths.{name}")
            speed = next(name for name in names if name.startswith("VehicleMotion."))
            link = await guest_link(server, boss, line["id"])
            async with client_of(server, "guest", link) as guest:
                assert (await guest.get("/api/me")).json()["session"] == line["id"]
                shown = (await guest.get(session)).json()
                assert (shown["name"], shown["driver"], shown["notes"], shown["setup"]) == ("Run 1", "", "", "")
                assert (shown["tags"], shown["edits"], shown["track"]) == ([], [], None)
                listed = [one["name"] for one in (await guest.get(f"{session}/channels")).json()]
                told = (await guest.get("/api/vehicles/fs")).json()
                assert speed in listed
                assert told["map"] is None
                for text in (json.dumps(listed), json.dumps(told["channels"]), json.dumps(told["charts"])):
                    assert not any(place in text for place in places)
                assert (await guest.get(f"{session}/series", params={"channel": speed})).status_code == 200
                for place in places:
                    answer = await guest.get(f"{session}/series", params={"channel": [speed, place]})
                    assert answer.status_code == 403
                for other in ("/api/sessions/other", "/api/vehicles/pe", f"{session}/export", "/api/tracks"):
                    assert (await guest.get(other)).status_code == 403
                await look_live(server, boss, guest, line["id"], (speed, places[0]))
            async with client_of(server, "guest", await guest_link(
                server, boss, line["id"], shows_positions=True, shows_notes=True
            )) as guest:  # fmt: skip
                assert (await guest.get(session)).json()["driver"] == "Zoé"
                assert (await guest.get(f"{session}/series", params={"channel": places[0]})).status_code == 200

    async def look_live(server: Server, boss, guest, session: str, names: tuple[str, str]) -> None:
        told = (await boss.get(f"/api/sessions/{session}")).json()
        await look_back(server, guest, told, names[0])
        await look_back(server, guest, told, names[0], until_utc_us=told["utc_to_us"] + 30_000_000)
        with server.db.engine.begin() as connection:
            connection.execute(update(sessions).values(is_open=True))
        url = server.url.replace("http", "ws") + "/api/live"
        async with connect(url, additional_headers=cookie_of(guest), origin=server.url) as live:
            for vehicle, channel, answer in (
                ("fs", names[0], "watching"), ("fs", names[1], "error"), ("pe", names[0], "error"),
            ):  # fmt: skip
                await live.send(json.dumps({**WATCH, "vehicle": vehicle, "channels": [channel]}))
                told = await next_of(live, {"watching", "error"})
                assert (told["type"], told.get("code", "")) == (answer, "not_allowed" if answer == "error" else "")
            (link,) = (await boss.get("/api/invitations")).json()
            assert (link["session"], link["uses"], link["role"]) == (session, 1, "guest")
            assert (await boss.delete(f"/api/invitations/{link['id']}")).status_code == 204
            assert (await guest.get("/api/me")).status_code == 401
            async with asyncio.timeout(20):
                await live.wait_closed()
            assert live.close_code == 1008

    run(tmp_path, go)
