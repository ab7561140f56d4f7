"""Who may see what: the real server on a real socket, asked with and without a cookie."""

import asyncio
import contextlib
import html
import json
import re
import socket
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from ved.db.database import Database
from ved.db.people import create_signin_token
from ved.db.vehicles import ensure_vehicle
from ved.errors import StorageError, UserError
from ved.model.vehicle import ChannelTexts, ChartPanel, MapChannels, Vehicle, VehicleBus
from ved.web.app import make_app
from ved.web.auth import Auth, load_secret
from ved.web.guard import OPEN_PATHS, POLICY
from ved.web.hub import Hub
from ved.web.role import listen, run_web
from ved.web.settings import WebSettings
from ved.web.state import WebState

DBC = """VERSION ""
BU_: X
BO_ 256 Motor: 8 X
 SG_ speed : 0|16@1- (0.5,0) [0|9000] "rpm" X
 SG_ mode : 16|2@1+ (1,0) [0|3] "" X
VAL_ 256 mode 0 "off" 1 "<b>on</b>" ;
"""
FS = Vehicle(
    "fs",
    "Formula",
    "Formule",
    (VehicleBus(0, "main", 500_000, "can0", ("t.dbc",), (DBC,)),),
    MapChannels("Motor.speed", "Motor.speed"),
    (ChartPanel("Speed", "Vitesse", ("Motor.speed",)),),
    texts=(ChannelTexts("Motor.speed", "Motor speed", "Régime"),),
)


class Site:
    """A running server and its address."""

    def __init__(self, settings: WebSettings, port: int) -> None:
        self.settings = settings
        self.url = f"http://127.0.0.1:{port}"
        self.socket_url = f"ws://127.0.0.1:{port}/api/live"

    def token(self, role="admin"):
        db = Database(self.settings.db_url)
        try:
            return create_signin_token(db, role)
        finally:
            db.close()

    @contextlib.asynccontextmanager
    async def client(self, *, signed_in=True):
        async with httpx.AsyncClient(base_url=self.url, timeout=60) as client:
            if signed_in:
                answer = await client.get("/signin", params={"token": self.token()})
                assert answer.status_code == 303
            yield client


def with_site(folder: Path, test: Callable[[Site], Awaitable[None]], proxies: tuple[str, ...] = ()) -> None:
    settings = WebSettings(
        data=folder / "data",
        db_url=f"sqlite:///{folder / 'db.sqlite'}",
        lake_url=str(folder / "lake"),
        host="127.0.0.1",
        port=0,
        secret_path=folder / "keys" / "web.secret",
        page_dir=folder / "page",
        proxies=proxies,
    )
    db = Database(settings.db_url)
    db.migrate()
    ensure_vehicle(db, FS)
    db.close()

    async def go() -> None:
        stop, ready = asyncio.Event(), asyncio.get_running_loop().create_future()
        task = asyncio.create_task(run_web(settings, ready.set_result, stop))
        await asyncio.wait((task, ready), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        try:
            await test(Site(settings, ready.result()["port"]))
        finally:
            stop.set()
            await asyncio.wait_for(task, 10)

    asyncio.run(go())


def cookie_of(client: httpx.AsyncClient) -> str:
    return "; ".join(f"{name}={value}" for name, value in client.cookies.items())


def routes_of(folder: Path) -> list[tuple[str, str]]:
    """(method, path) of all routes that the application knows, path parameters filled in."""
    db = Database("sqlite://")
    state = WebState(db, Auth(db, b"x"), Hub(db, None, None), None, folder)
    found = []
    for route in make_app(state).routes:
        path = re.sub(r"\{[^}]*\}", "fs", getattr(route, "path", ""))
        found += [(method, path or "/") for method in getattr(route, "methods", None) or {"GET"}]
    db.close()
    return found


def test_every_route_is_denied_without_a_cookie(tmp_path):
    routes = routes_of(tmp_path)
    assert ("GET", "/api/vehicles/fs") in routes
    assert ("POST", "/api/signout") in routes
    assert ("GET", "/api/live") in routes
    more = [
        ("GET", path) for path in ("/", "/index.html", "/assets/app.js", "/api/openapi.json", "/api", "/nothing", "//")
    ]

    async def check(site: Site) -> None:
        async with site.client(signed_in=False) as client:
            for method, path in [*routes, *more]:
                answer = await client.request(method, site.url + path, headers={"Origin": site.url})
                if path in OPEN_PATHS:
                    assert answer.status_code in (200, 403, 405), path
                    continue
                assert answer.status_code == 401, (method, path)
                assert "fs" not in answer.text
                assert answer.headers["content-security-policy"] == POLICY
                if path.startswith("/api/") and method != "HEAD":
                    assert answer.json()["error"]["code"] == "signed_out"

    with_site(tmp_path, check)


def test_a_link_signs_in_once(tmp_path):
    async def check(site: Site) -> None:
        token = site.token("viewer")
        async with site.client(signed_in=False) as client:
            answer = await client.get("/signin", params={"token": token})
            assert (answer.status_code, answer.headers["location"]) == (303, "/")
            cookie = answer.headers["set-cookie"].lower()
            assert "httponly" in cookie
            assert "samesite=strict" in cookie
            me = (await client.get("/api/me")).json()
            assert me.pop("id") > 0
            assert me == {"name": "viewer", "role": "viewer", "is_named": False, "has_password": False}
            assert (await client.get("/signin", params={"token": token})).status_code == 303
        async with site.client(signed_in=False) as stranger:
            for wrong in (token, "", "x" * 5000):
                answer = await stranger.get("/signin", params={"token": wrong})
                assert answer.status_code == 403
                assert "set-cookie" not in answer.headers

    with_site(tmp_path, check)


def test_a_refused_form_keeps_the_name_and_no_password(tmp_path):
    name = 'Zoé <b>"&'

    async def check(site: Site) -> None:
        origin = {"Origin": site.url}
        async with site.client() as client, site.client(signed_in=False) as stranger:
            made = (await client.post("/api/invitations", json={"role": "viewer"}, headers=origin)).json()
            token = re.search(r"token=([\w-]+)", json.dumps(made))[1]
            for path, more, status in (("/signin", {}, 403), ("/join", {"token": token}, 422)):
                answer = await stranger.post(path, data={**more, "name": name, "password": "too short"}, headers=origin)
                assert answer.status_code == status
                assert f'value="{html.escape(name)}"' in answer.text
                assert name not in answer.text
                assert "too short" not in answer.text

    with_site(tmp_path, check)


def test_a_link_followed_from_another_site_loads_the_page_again(tmp_path):
    async def check(site: Site) -> None:
        async with site.client(signed_in=False) as client:
            answer = await client.get("/", headers={"Sec-Fetch-Site": "cross-site"})
            assert answer.status_code == 401
            assert 'http-equiv="refresh"' in answer.text
            for path, origin in (("/", "same-origin"), ("/api/me", "cross-site"), ("/x", "cross-site")):
                answer = await client.get(path, headers={"Sec-Fetch-Site": origin})
                assert answer.status_code == 401
                assert "refresh" not in answer.text

    with_site(tmp_path, check)


def test_a_cookie_of_another_server_or_changed_by_hand_is_nothing(tmp_path):
    async def check(site: Site) -> None:
        async with site.client() as client:
            name, value = next(iter(client.cookies.items()))
        other = Auth(Database(site.settings.db_url), b"another secret")
        forged = await other.cookie_for(1)
        async with site.client(signed_in=False) as stranger:
            for bad in (forged, value[:-1], value + "x", "", "a.b.c"):
                answer = await stranger.get("/api/me", headers={"Cookie": f"{name}={bad}"})
                assert answer.status_code == 401

    with_site(tmp_path, check)


def test_signing_out(tmp_path):
    async def check(site: Site) -> None:
        async with site.client() as client:
            assert (await client.post("/api/signout")).status_code == 403
            wrong = await client.post("/api/signout", headers={"Origin": "http://evil.example"})
            assert wrong.json()["error"]["code"] == "wrong_origin"
            assert (await client.post("/api/signout", headers={"Origin": site.url})).status_code == 204
            assert (await client.get("/api/me")).status_code == 401

    with_site(tmp_path, check)


def test_vehicles(tmp_path):
    async def check(site: Site) -> None:
        async with site.client() as client:
            line = {"name": "fs", "title_en": "Formula", "title_fr": "Formule"}
            assert (await client.get("/api/vehicles")).json() == [
                {**line, "link": "unknown", "age_ms": None, "epoch": None}
            ]
            told = (await client.get("/api/vehicles/fs")).json()
            assert {key: told[key] for key in line} == line
            assert told["map"] == {"latitude": "Motor.speed", "longitude": "Motor.speed", "valid": ""}
            assert told["charts"] == [{"title_en": "Speed", "title_fr": "Vitesse", "channels": ["Motor.speed"]}]
            assert [one["name"] for one in told["channels"]] == ["Motor.speed", "Motor.mode"]
            speed, mode = told["channels"]
            assert (speed["unit"], speed["minimum"], speed["maximum"], speed["bus"]) == ("rpm", 0, 9000, 0)
            assert (speed["title_en"], speed["title_fr"], speed["unit_fr"]) == ("Motor speed", "Régime", "tr/min")
            assert (mode["title_fr"], mode["unit_en"], mode["former"]) == ("Motor · Mode", "", [])
            assert mode["choices"] == [[0, "off"], [1, "<b>on</b>"]]
            missing = await client.get("/api/vehicles/nobody")
            assert (missing.status_code, missing.json()["error"]["code"]) == (404, "unknown_vehicle")

    with_site(tmp_path, check)


def test_the_page_is_served_and_nothing_beside_it(tmp_path):
    async def check(site: Site) -> None:
        async with site.client() as client:
            answer = await client.get("/")
            assert answer.status_code == 200
            assert "make setup" in answer.text
            page = tmp_path / "page"
            (page / "assets").mkdir(parents=True)
            (page / "index.html").write_text("<!doctype html><title>page</title>")
            (page / "assets" / "app-1a2b.js").write_text("1")
            answer = await client.get("/")
            assert "page" in answer.text
            assert answer.headers["cache-control"] == "no-cache"
            assert answer.headers["content-security-policy"] == POLICY
            answer = await client.get("/assets/app-1a2b.js")
            assert answer.headers["content-type"].startswith("text/javascript")
            assert "immutable" in answer.headers["cache-control"]
            for path in ("/../db.sqlite", "/%2e%2e/db.sqlite", "/..%2fdb.sqlite", "/none.js"):
                answer = await client.get(path)
                assert answer.status_code == 404
                assert b"SQLite" not in answer.content

    with_site(tmp_path, check)


def test_the_socket_wants_cookie_and_origin(tmp_path):
    async def check(site: Site) -> None:
        async with site.client() as client:
            cookie = cookie_of(client)
        port = site.url.rsplit(":", 1)[1]
        refused = [
            ({"Cookie": cookie}, None),
            ({"Cookie": cookie}, "http://evil.example"),
            ({"Cookie": cookie}, f"https://127.0.0.1:{port}"),
            ({"Cookie": cookie}, f"http://127.0.0.1:{port}.evil.example"),
            ({"Cookie": cookie}, f"http://localhost:{port}"),
            ({}, site.url),
        ]
        for headers, origin in refused:
            with pytest.raises(InvalidStatus) as caught:
                await connect(site.socket_url, additional_headers=headers, origin=origin)
            assert caught.value.response.status_code == 403
        async with connect(site.socket_url, additional_headers={"Cookie": cookie}, origin=site.url) as live:
            welcome = json.loads(await live.recv())
            assert (welcome["type"], welcome["version"], welcome["user"]["role"]) == ("welcome", 1, "admin")

    with_site(tmp_path, check)


def test_bad_messages_are_answered_and_change_nothing(tmp_path):
    async def check(site: Site) -> None:
        async with site.client() as client:
            cookie = cookie_of(client)
        watch = {"type": "watch", "id": 0, "vehicle": "fs", "channels": [], "rate_hz": 1, "window_s": 1}
        async with connect(site.socket_url, additional_headers={"Cookie": cookie}, origin=site.url) as live:
            await live.recv()
            for bad in ("", "{", '{"type":"steer"}', b"\x00\x01", json.dumps({**watch, "rate_hz": 0})):
                await live.send(bad)
                assert json.loads(await live.recv())["code"] == "bad_message"
            await live.send(json.dumps({**watch, "vehicle": "nobody"}))
            answer = json.loads(await live.recv())
            assert (answer["code"], answer["id"]) == ("unknown_vehicle", 0)
            for k in range(17):
                await live.send(json.dumps({**watch, "id": k}))
            texts = []
            while not texts or texts[-1]["type"] != "error":
                data = await live.recv()
                if isinstance(data, str):
                    texts.append(json.loads(data))
            assert (texts[-1]["code"], texts[-1]["id"]) == ("too_many_subscriptions", 16)
            await live.send("x" * 200_000)
            await live.wait_closed()
            assert live.close_code == 1009

    with_site(tmp_path, check)


def test_stopping_closes_all_sockets_with_1001(tmp_path):
    sockets = []

    async def check(site: Site) -> None:
        async with site.client() as client:
            cookie = cookie_of(client)
        for _ in range(60):
            live = await connect(site.socket_url, additional_headers={"Cookie": cookie}, origin=site.url)
            await live.recv()
            sockets.append(live)

    with_site(tmp_path, check)
    assert [live.close_code for live in sockets] == [1001] * 60


def test_a_busy_port_is_said_in_one_line(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"{port}.*in use") as caught:
            listen("127.0.0.1", port)
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="web_host"):
        listen("no.such.host.invalid", 0)


def test_the_secret_is_made_once_and_for_its_owner_alone(tmp_path):
    path = tmp_path / "keys" / "web.secret"
    secret = load_secret(path)
    assert load_secret(path) == secret
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_bytes(b"short")
    with pytest.raises(StorageError, match="sign"):
        load_secret(path)


@pytest.mark.parametrize(("proxies", "is_believed"), [(("127.0.0.0/8",), True), (("127.0.0.1",), True), ((), False),
                                                      (("172.16.0.0/12",), False)])  # fmt: skip
def test_only_the_named_proxies_say_how_people_came(tmp_path: Path, proxies: tuple[str, ...], is_believed: bool):
    """Behind Caddy the page's origin begins with https; somebody else who says so is not believed."""

    async def test(site: Site) -> None:
        said = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.7", "Host": "pit.example"}
        async with httpx.AsyncClient(base_url=site.url, timeout=60, headers=said) as client:
            answer = await client.get("/signin", params={"token": site.token()})
            assert ("secure" in answer.headers["set-cookie"].lower()) == is_believed
            client.headers["Cookie"] = answer.headers["set-cookie"].partition(";")[0]
            for scheme in ("http", "https"):
                answer = await client.put("/api/preferences", json={}, headers={"Origin": f"{scheme}://pit.example"})
                assert (answer.status_code != 403) == ((scheme == "https") == is_believed)

    with_site(tmp_path, test, proxies)
