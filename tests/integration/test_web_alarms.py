"""Alarms at the page: pushed, acknowledged, shelved; rules edited, tried, and run over a stored session."""

import asyncio
import contextlib
import time

import httpx
import pytest
from tests.integration.test_web_access import Site, with_site
from tests.integration.web_live import FS, START_UTC_US, Server, run, until

from ved.db.alarmrules import list_rules, put_rule
from ved.db.alarms import list_alarms
from ved.db.database import Database
from ved.db.edits import list_edits
from ved.db.sessions import save_sessions
from ved.db.vehicles import ensure_vehicle
from ved.model.alarmrule import Rule
from ved.model.session import Session, SessionPart
from ved.watch.role import run_watch
from ved.watch.settings import WatchSettings

FAST = Rule("fast", "above", "Too fast", "Trop vite", "critical", "Motor.speed", limit=100.0, off_delay_ms=0)
VALUES = {
    "kind": "above",
    "title_en": "Too <b>fast</b>",
    "title_fr": "Trop vite",
    "severity": "critical",
    "channel": "Motor.speed",
    "limit": 50,
}


@contextlib.asynccontextmanager
async def watching(server: Server):
    stop = asyncio.Event()
    task = asyncio.create_task(
        run_watch(WatchSettings(server.settings.data, server.settings.db_url), lambda _: None, stop)
    )
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(task, 10)


def alarms_of(page) -> list[dict]:
    return [one["alarm"] for one in page.texts if one["type"] == "alarm"]


def test_an_alarm_comes_to_the_page_and_is_acknowledged_and_shelved_there(tmp_path):
    async def go(server: Server) -> None:
        ensure_vehicle(server.db, FS)
        put_rule(server.db, "fs", FAST, "test")
        async with server.running(), server.page() as page, watching(server):
            server.send_clock()
            await page.watch("Motor.speed")
            await until(lambda: page.is_history_done)
            server.send([0, 20_000], [1, 150])
            await until(lambda: bool(alarms_of(page)))
            (alarm,) = alarms_of(page)
            assert (alarm["rule"], alarm["severity"], alarm["value"], alarm["unit"]) == ("fast", "critical", 150, "rpm")
            assert (alarm["utc_raised_us"], alarm["utc_cleared_us"]) == (START_UTC_US + 20_000, None)

            async with httpx.AsyncClient(base_url=server.url, headers=server.headers) as client:
                origin = {"Origin": server.url}
                answer = await client.post(f"/api/alarms/{alarm['id']}/acknowledge", headers=origin)
                assert answer.status_code == 204
                me = (await client.get("/api/me")).json()["name"]
                await until(lambda: alarms_of(page)[-1]["acked_by"] == me)
                shelve = "/api/vehicles/fs/rules/fast/shelve"
                assert (await client.post(shelve, json={"minutes": 5}, headers=origin)).status_code == 204
                await until(lambda: alarms_of(page)[-1]["shelved_until_utc_us"] is not None)
                (listed,) = (await client.get("/api/vehicles/fs/rules")).json()
                assert listed["shelved_until_utc_us"] > time.time_ns() // 1000
                server.send([40_000], [1])
                await until(lambda: not alarms_of(page)[-1]["is_open"])
                await until(lambda: bool(list_alarms(server.db, "fs", (0, 1 << 60))))
                path = "/api/vehicles/fs/alarms"
                await until(lambda: not list_alarms(server.db, "fs", (0, 1 << 60))[0].is_active)
                (one,) = (await client.get(path)).json()
                assert one == alarms_of(page)[-1]
                assert (await client.get(f"{path}/open")).json() == []
                later = {"from_utc_us": START_UTC_US + 50_000}
                assert (await client.get(path, params=later)).json() == []
                kept = (await client.get(f"/api/alarms/{one['id']}/samples")).json()
                # What came after it is there as well when watch had it before it kept them.
                assert kept["Motor.speed"]["utc_us"][:2] == [START_UTC_US, START_UTC_US + 20_000]

    run(tmp_path, go)


def test_the_rules_run_over_a_stored_session(tmp_path):
    async def go(server: Server) -> None:
        ensure_vehicle(server.db, FS)
        put_rule(server.db, "fs", FAST, "test")
        put_rule(server.db, "fs", Rule("odd", "above", "o", "o", channel="No.Such", limit=1.0), "test")
        server.send_clock()
        server.send(range(0, 60_000_000, 100_000), [150 if at == 300 else 1 for at in range(600)])
        server.commit()
        part = SessionPart(b"1" * 16, 0, 60_000_000)
        row = Session("s1", "fs", START_UTC_US, START_UTC_US + 60_000_000, is_open=False, parts=(part,))
        save_sessions(server.db, [row])
        async with server.running(), httpx.AsyncClient(base_url=server.url, headers=server.headers) as client:
            found = (await client.get("/api/sessions/s1/alarms/check")).json()
            assert (await client.get("/api/sessions/s2/alarms/check")).status_code == 404
        (alarm,) = found["alarms"]
        assert (alarm["rule"], alarm["utc_raised_us"], alarm["value"]) == ("fast", START_UTC_US + 30_000_000, 150)
        assert alarm["utc_cleared_us"] == START_UTC_US + 30_100_000
        assert found["idle"] == {"odd": "no DBC has the channel No.Such"}
        assert found["frames"] == 600

    run(tmp_path, go)


def test_rules_are_edited_by_engineers_and_every_edit_is_noted(tmp_path):
    async def test(site: Site) -> None:
        path = "/api/vehicles/fs/rules"
        origin = {"Origin": site.url}
        async with site.client() as me:
            assert (await me.put(f"{path}/fast", json=VALUES, headers=origin)).status_code == 204
            changed = {**VALUES, "limit": 60, "guard": {"channel": "Motor.mode", "equals": 1}}
            assert (await me.put(f"{path}/fast", json=changed, headers=origin)).status_code == 204
            taken = await me.put(f"{path}/fast", json=VALUES, headers={**origin, "If-None-Match": "*"})
            assert (taken.status_code, taken.json()["error"]["code"]) == (409, "rule_exists")
            (listed,) = (await me.get(path)).json()
            assert listed["rule"] == {"id": "fast", **changed}
            assert listed["idle"] == ""
            name = (await me.get("/api/me")).json()["name"]
            noted = (await me.get(f"{path}/fast/changes")).json()
            assert [(one["who"], one["before"] is None, one["after"]["limit"]) for one in noted] == [
                (name, True, 50),
                (name, False, 60),
            ]
            assert (await me.delete(f"{path}/fast", headers=origin)).status_code == 204
            assert (await me.delete(f"{path}/fast", headers=origin)).status_code == 404
            assert (await me.get(path)).json() == []
        async with site.client(signed_in=False) as viewer:
            await viewer.get("/signin", params={"token": site.token("viewer")})
            for attempt in (
                viewer.put(f"{path}/fast", json=VALUES, headers=origin),
                viewer.delete(f"{path}/fast", headers=origin),
                viewer.post(f"{path}/fast/shelve", json={"minutes": 1}, headers=origin),
                viewer.post(f"{path}/try", json={"rule": {"id": "fast", **VALUES}}, headers=origin),
                viewer.post("/api/alarms/0123456789abcdef/acknowledge", headers=origin),
                viewer.get(f"{path}/fast/changes"),
            ):
                assert (await attempt).status_code == 403
            assert (await viewer.get(path)).status_code == 200

    with_site(tmp_path, test)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"limit": "x"}, "'limit' must be a number"),
        ({"channel": "No.Such"}, "no DBC has the channel No.Such"),
        ({"kind": "expression", "channel": "", "limit": None, "expression": "Motor.speed >"}, "position"),
        ({"other": 1}, "unknown key 'other'"),
        ({"mask": 3}, "has no key 'mask'"),
    ],
)
def test_what_is_no_rule_is_refused(tmp_path, change, told):
    async def test(site: Site) -> None:
        async with site.client() as me:
            path = "/api/vehicles/fs/rules/fast"
            answer = await me.put(path, json={**VALUES, **change}, headers={"Origin": site.url})
            assert answer.status_code == 422
            assert told in answer.json()["error"]["message"]
            assert list_rules_of(site) == []

    with_site(tmp_path, test)


def list_rules_of(site: Site) -> list[Rule]:

    db = Database(site.settings.db_url)
    try:
        assert list_edits(db, "alarm", "fs/fast") == []
        return list_rules(db, "fs")
    finally:
        db.close()


def test_a_rule_is_tried_with_forced_values(tmp_path):
    async def test(site: Site) -> None:
        async with site.client() as me:

            async def tried(rule: dict, **forced) -> list[tuple[float, bool]]:
                body = {"rule": {"id": "fast", **VALUES, **rule}, **forced}
                answer = await me.post("/api/vehicles/fs/rules/try", json=body, headers={"Origin": site.url})
                assert answer.status_code == 200, answer.text
                return [(one["t_ms"], one["is_raised"]) for one in answer.json()["steps"]]

            forced = {"rest": {"Motor.speed": 10}, "values": {"Motor.speed": 80}}
            assert await tried({}, **forced, hold_ms=10) == [(0, True), (510, False)]
            assert await tried({"on_delay_ms": 200}, **forced, hold_ms=150) == []
            assert await tried({"on_delay_ms": 200}, **forced, hold_ms=300) == [(200, True), (800, False)]
            guard = {"guard": {"channel": "Motor.mode", "equals": 1}}
            assert await tried(guard, **forced) == []
            forced["rest"]["Motor.mode"] = 1
            assert await tried(guard, **forced) == [(0, True), (1500, False)]
            silent = {"kind": "no_data", "limit": None, "for_ms": 100}
            assert await tried(silent, rest={"Motor.speed": 1}, values={"Motor.speed": None}) == [
                (90, True),
                (1500, False),
            ]

    with_site(tmp_path, test)
