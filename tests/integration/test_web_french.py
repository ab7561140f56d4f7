"""The REST API answers in French whoever asks for it, and in English everybody else, whatever it refuses."""

import ast
import base64
import contextlib
from collections.abc import Iterator

import httpx
from tests.integration.web_live import DBC, E1, FS, START_UTC_US, Server, run
from tests.unit.web_sentences import ROOT

from ved.db.maths import put_maths
from ved.db.people import create_signin_token
from ved.db.sessions import save_sessions
from ved.db.vehicles import ensure_vehicle
from ved.model.maths import MathsDef
from ved.model.session import Session, SessionPart
from ved.web.words.french import french

BROWSER = "fr-FR,fr;q=0.9,en;q=0.8"
END_UTC_US = START_UTC_US + 10_000_000
RULE = {"kind": "above", "title_en": "A", "title_fr": "A", "channel": "Motor.speed", "limit": 3}
HARD_TO_REACH = {"too_many", "too_many_rules", "too_many_workbooks", "too_often"}
"""Refusals after hundreds of requests."""


def files(text: str, name: str = "new.dbc") -> dict[str, object]:
    return {"bus": "main", "files": [{"name": name, "base64": base64.b64encode(text.encode()).decode()}]}


ADMIN = [
    ("GET", "/api/vehicles/none", None),
    ("GET", "/api/vehicles/none/rules", None),
    ("GET", "/api/vehicles/none/ledger?from_utc_us=0&to_utc_us=9", None),
    ("GET", "/api/vehicles/fs/ledger?from_utc_us=9&to_utc_us=9", None),
    ("GET", "/api/alarms/none/samples", None),
    ("POST", "/api/alarms/none/acknowledge", None),
    ("GET", "/api/sessions/none/alarms/check", None),
    ("PUT", "/api/vehicles/fs/rules/a", {**RULE, "limit": "much"}),
    ("PUT", "/api/vehicles/fs/rules/a", {**RULE, "channel": "Motor.none"}),
    ("POST", "/api/vehicles/fs/rules/try", {"rule": {}}),
    ("DELETE", "/api/vehicles/fs/rules/none", None),
    ("POST", "/api/vehicles/fs/maths/check", {"expression": "Spee +"}),
    ("PUT", "/api/vehicles/none/maths/A", {"expression": "Motor.speed"}),
    ("DELETE", "/api/vehicles/fs/maths/None", None),
    ("POST", "/api/vehicles/fs/dbc/preview", files("BO_ 1 A 8")),
    ("POST", "/api/vehicles/fs/dbc/preview", {"bus": "none", "files": []}),
    ("POST", "/api/vehicles/fs/dbc/preview", {"bus": 3, "files": []}),
    ("POST", "/api/vehicles/fs/dbc/preview", b"x" * (17 << 20)),
    ("POST", "/api/vehicles/none/dbc/assign", files("x")),
    ("GET", "/api/vehicles/fs/dbc/files/abc", None),
    ("GET", "/api/vehicles/fs/dbc/compare?session=none&before=now&after=now", None),
    ("GET", "/api/sessions/none", None),
    ("PATCH", "/api/sessions/one", {"track": "none"}),
    ("POST", "/api/sessions/one/split", {"utc_us": START_UTC_US}),
    ("POST", "/api/sessions/one/merge", {"session": "one"}),
    ("POST", "/api/sessions/one/merge", {"session": "none"}),
    ("GET", "/api/sessions/one/series?channel=Nope", None),
    ("GET", "/api/sessions/one/export?format=ods", None),
    ("DELETE", "/api/tracks/none", None),
    ("DELETE", "/api/people/99", None),
    ("PATCH", "/api/people/1", {"role": "viewer"}),
    ("DELETE", "/api/invitations/99", None),
    ("POST", "/api/invitations", {"role": "guest", "session": "none"}),
    ("GET", "/api/workbooks/" + "0" * 32, None),
    ("DELETE", "/api/notes/99", None),
    ("POST", "/api/notifications/test", None),
    ("PUT", "/api/preferences", b"x" * (2 << 20)),
]
BODIES = [
    ("PUT", "/api/vehicles/fs/maths/A", {"expression": ""}),
    ("PUT", "/api/vehicles/fs/maths/A", {"expression": "1", "colour": 1}),
    ("PUT", "/api/vehicles/fs/maths/A", b"{"),
    ("POST", "/api/sessions/one/split", {"utc_us": "now"}),
    ("POST", "/api/invitations", {"role": "king"}),
    ("POST", "/api/tracks", {"name": "x", "lines": []}),
]
VIEWER = [
    ("GET", "/api/people", None),
    ("POST", "/api/sessions/one/split", {"utc_us": 1}),
    ("PUT", "/api/me/password", {"password": "long enough"}),
    ("PATCH", "/api/me", {"name": "Ada"}),
]


@contextlib.asynccontextmanager
async def client_of(server: Server, *, cookie: str = "", origin: str = ""):
    headers = {"Origin": origin or server.url, **({"Cookie": cookie} if cookie else {})}
    async with httpx.AsyncClient(base_url=server.url, headers=headers, timeout=60) as client:
        yield client


async def ask(client: httpx.AsyncClient, request: tuple[str, str, object], language: str | None) -> httpx.Response:
    method, path, body = request
    headers = {"Accept-Language": language or "", "Content-Type": "application/json"}
    if language is None:
        del headers["Accept-Language"]
    given = {"content": body} if isinstance(body, bytes) else {} if body is None else {"json": body}
    return await client.request(method, path, headers=headers, **given)


async def compare(client: httpx.AsyncClient, requests: list[tuple[str, str, object]], told: set[str]) -> None:
    """Each request is refused in the language that is asked for, else in English; nothing else differs."""
    for request in requests:
        plain = await ask(client, request, None)
        english, other = [await ask(client, request, language) for language in ("en-GB,en;q=0.9", BROWSER)]
        assert plain.status_code in range(400, 500), (request[:2], plain.text[:200])
        assert (english.status_code, english.content) == (plain.status_code, plain.content), request[:2]
        assert other.status_code == plain.status_code
        before, after = plain.json()["error"], other.json()["error"]
        assert after["message"] != before["message"], request[:2]
        assert after == {**before, **{key: french(before[key]) for key in ("message", "reason") if key in before}}
        told.add(before["code"])


def codes_in_the_source() -> Iterator[str]:
    for path in (ROOT / "web").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                if node.func.id == "denied" and len(node.args) > 1 and isinstance(node.args[1], ast.Constant):
                    yield str(node.args[1].value)
                if node.func.id == "HTTPException" and len(node.args) > 1 and isinstance(node.args[1], ast.Dict):
                    yield str(ast.literal_eval(node.args[1].values[0]))


def prepare(server: Server) -> None:
    ensure_vehicle(server.db, FS)
    part = SessionPart(E1, 0, 10_000_000)
    save_sessions(server.db, [Session("one", "fs", START_UTC_US, END_UTC_US, False, (part,))])


def test_every_refusal_comes_in_the_language_that_is_asked_for(tmp_path):
    async def go(server: Server) -> None:
        prepare(server)
        told: set[str] = set()
        async with server.running():
            async with client_of(server, cookie=server.headers["Cookie"]) as admin:
                await compare(admin, ADMIN, told)
                rule = {**RULE, "channel": "Motor.speed", "limit": 5}
                assert (await admin.put("/api/vehicles/fs/rules/taken", json=rule)).status_code == 204
                admin.headers["If-None-Match"] = "*"
                await compare(admin, [("PUT", "/api/vehicles/fs/rules/taken", rule)], told)
                del admin.headers["If-None-Match"]
                book: dict[str, object] = {"vehicle": "fs", "name": "x", "content": {}}
                made = (await admin.post("/api/workbooks", json=book)).json()["id"]
                await compare(admin, [("PUT", f"/api/workbooks/{made}", {**book, "replaces_utc_us": 1})], told)
                assert (await admin.patch("/api/me", json={"name": "Ada"})).status_code == 200
                assert (await admin.put("/api/me/password", json={"password": "long enough"})).status_code == 204
                wrong = {"password": "long enough", "current": "another one"}
                await compare(admin, [("PUT", "/api/me/password", wrong)], told)
                link = (await admin.post("/api/invitations", json={"role": "guest", "session": "one"})).json()["url"]
            async with client_of(server) as viewer:
                await viewer.get("/signin", params={"token": create_signin_token(server.db, "viewer")})
                await compare(viewer, VIEWER, told)
            async with client_of(server) as guest:
                await guest.post("/join", data={"token": link.partition("token=")[2]})
                await compare(guest, [("GET", "/api/people", None)], told)
            async with client_of(server) as nobody, client_of(server, origin="http://elsewhere") as stranger:
                await compare(nobody, [("GET", "/api/me", None)], told)
                await compare(stranger, [("POST", "/api/signout", None)], told)
        assert told | HARD_TO_REACH >= set(codes_in_the_source())

    run(tmp_path, go)


def test_what_is_wrong_with_a_body_comes_in_the_language_that_is_asked_for(tmp_path):
    async def go(server: Server) -> None:
        prepare(server)
        async with server.running(), client_of(server, cookie=server.headers["Cookie"]) as admin:
            for request in BODIES:
                plain, other = await ask(admin, request, None), await ask(admin, request, BROWSER)
                assert (plain.status_code, other.status_code) == (422, 422)
                for before, after in zip(plain.json()["detail"], other.json()["detail"], strict=True):
                    assert after["msg"] != before["msg"]
                    assert after == {**before, "msg": french(before["msg"])}

    run(tmp_path, go)


def test_findings_changes_errors_and_idle_rules_come_in_the_language_that_is_asked_for(tmp_path):
    async def go(server: Server) -> None:
        prepare(server)
        put_maths(server.db, "fs", MathsDef("Wrong", "Motor.speed + Motor.none", ""), "ada")
        text = f'{DBC} SG_ zero : 0|8@1+ (0,0) [0|0] "" X\nVAL_ 3 x 1 "a" ;\n'
        table = "id,message,signal,start,length,minimum,maximum\n7,Long name,S,0,8,0,0\n7,,T,x,8,,\n"
        async with server.running(), client_of(server, cookie=server.headers["Cookie"]) as admin:
            rule = {**RULE, "channel": "Motor.none", "is_enabled": False}
            assert (await admin.put("/api/vehicles/fs/rules/idle", json=rule)).status_code == 204

            async def both(method: str, path: str, body: object = None) -> tuple[object, object]:
                answers = [await ask(admin, (method, path, body), language) for language in (None, BROWSER)]
                assert [one.status_code for one in answers] == [200, 200], answers[0].text
                return answers[0].json(), answers[1].json()

            for given in (files(text), files(table, "new.csv")):
                english, other = await both("POST", "/api/vehicles/fs/dbc/preview", given)
                for one in english["taken"]:
                    assert one["findings"] or one["losses"]
                    one["losses"] = [french(loss) for loss in one["losses"]]
                    for finding in one["findings"]:
                        finding.update(what=french(finding["what"]), advice=french(finding["advice"]))
                for change in english["changes"]:
                    assert french(change["effect"]) != change["effect"]
                    change["effect"] = french(change["effect"])
                assert other == english
            assert "a l’échelle 0" in str((await both("POST", "/api/vehicles/fs/dbc/preview", files(text)))[1])

            english, other = await both("GET", "/api/vehicles/fs/maths")
            wrong = {key: french(value) for key, value in english["channels"][0]["error"].items() if key != "position"}
            assert other["channels"][0]["error"] == {**english["channels"][0]["error"], **wrong}
            assert wrong["message"].startswith(
                "position 15\xa0: voie « Motor.none »".replace("« ", "«\xa0").replace(" »", "\xa0»")
            )

            english, other = await both("GET", "/api/vehicles/fs/rules")
            assert (english[0]["idle"], other[0]["idle"]) == ("switched off", "désactivée")
            trial = {"rule": {**RULE, "id": "a", "channel": "Motor.none"}}
            english, other = await both("POST", "/api/vehicles/fs/rules/try", trial)
            assert other["idle"] == "aucun DBC n’a la voie Motor.none"
            english, other = await both("GET", "/api/sessions/one/alarms/check")
            assert (english["idle"], other["idle"]) == ({"idle": "switched off"}, {"idle": "désactivée"})

    run(tmp_path, go)
