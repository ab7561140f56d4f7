"""Workbooks: saved, listed, shared, and nobody else's to change."""

import httpx
import pytest
from tests.integration.test_web_access import Site, with_site

DRAFT = {"vehicle": "fs", "name": "Mine <b>", "is_shared": False, "content": {"version": 1, "sheets": []}}


def test_a_workbook_is_saved_listed_shared_and_only_its_owners_to_change(tmp_path):
    async def test(site: Site) -> None:
        async with site.client() as me, site.client() as other:
            origin = {"Origin": site.url}
            made = await me.post("/api/workbooks", json=DRAFT, headers=origin)
            assert made.status_code == 201
            path = f"/api/workbooks/{made.json()['id']}"
            (line,) = (await me.get("/api/workbooks", params={"vehicle": "fs"})).json()
            assert (line["name"], line["is_mine"], line["is_shared"]) == ("Mine <b>", True, False)
            assert "owner_id" not in line
            assert (await me.get(path)).json()["content"] == DRAFT["content"]
            assert (await other.get("/api/workbooks", params={"vehicle": "fs"})).json() == []
            assert (await other.get(path)).status_code == 404
            shared = {**DRAFT, "is_shared": True, "content": {"version": 1, "sheets": [{"id": "a"}]}}
            assert (await me.put(path, json=shared, headers=origin)).status_code == 200
            (line,) = (await other.get("/api/workbooks", params={"vehicle": "fs"})).json()
            assert not line["is_mine"]
            assert (await other.get(path)).json()["content"] == shared["content"]
            assert (await other.put(path, json=DRAFT, headers=origin)).status_code == 404
            assert (await other.delete(path, headers=origin)).status_code == 404
            assert (await me.get("/api/workbooks", params={"vehicle": "pe"})).json() == []
            assert (await me.delete(path, headers=origin)).status_code == 204
            assert (await me.get(path)).status_code == 404

    with_site(tmp_path, test)


def test_a_change_made_from_an_older_one_is_refused_not_written_over_the_newer(tmp_path):
    async def test(site: Site) -> None:
        async with site.client() as me, site.client() as other:
            origin = {"Origin": site.url}
            made = (await me.post("/api/workbooks", json=DRAFT, headers=origin)).json()
            path = f"/api/workbooks/{made['id']}"
            assert (await me.get(path)).json()["changed_utc_us"] == made["changed_utc_us"]

            async def put(name: str, replaces: int | None) -> httpx.Response:
                return await me.put(path, json={**DRAFT, "name": name, "replaces_utc_us": replaces}, headers=origin)

            first = (await put("first", made["changed_utc_us"])).json()["changed_utc_us"]
            assert first > made["changed_utc_us"]
            late = await put("late", made["changed_utc_us"])
            assert (late.status_code, late.json()["error"]["code"]) == (409, "workbook_changed")
            line = (await me.get(path)).json()
            assert (line["name"], line["changed_utc_us"]) == ("first", first)
            assert (await put("whatever", None)).status_code == 200
            assert (await other.put(path, json={**DRAFT, "replaces_utc_us": 1}, headers=origin)).status_code == 404

    with_site(tmp_path, test)


def test_preferences_are_each_persons_own(tmp_path):
    async def test(site: Site) -> None:
        async with site.client() as me, site.client() as other:
            origin = {"Origin": site.url}
            assert (await me.get("/api/preferences")).json() == {}
            for units in ("mph", "m/s"):
                put = await me.put("/api/preferences", json={"speed": units}, headers=origin)
                assert put.status_code == 204
            assert (await me.get("/api/preferences")).json() == {"speed": "m/s"}
            assert (await other.get("/api/preferences")).json() == {}

    with_site(tmp_path, test)


@pytest.mark.parametrize(
    "wrong",
    [
        {**DRAFT, "name": " "},
        {**DRAFT, "content": []},
        {**DRAFT, "content": {"a": "x" * 300_000}},
        {**DRAFT, "other": 1},
    ],
)
def test_what_is_no_workbook_is_refused(tmp_path, wrong):
    async def test(site: Site) -> None:
        async with site.client() as me:
            answer = await me.post("/api/workbooks", json=wrong, headers={"Origin": site.url})
            assert answer.status_code == 422

    with_site(tmp_path, test)


def test_a_note_on_the_time_line_is_seen_by_all_and_taken_away_by_its_author_or_an_engineer(tmp_path):
    async def test(site: Site) -> None:
        async with site.client() as engineer, site.client(signed_in=False) as viewer:
            await viewer.get("/signin", params={"token": site.token("viewer")})
            origin = {"Origin": site.url}
            path = "/api/vehicles/fs/notes"
            for client, utc_us, text in ((engineer, 2_000, "pit stop <b>"), (viewer, 1_000, "smoke?")):
                made = await client.post(path, json={"utc_us": utc_us, "text": text}, headers=origin)
                assert made.status_code == 201
            seen = (await viewer.get(path)).json()
            assert [(one["text"], one["is_mine"]) for one in seen] == [("smoke?", True), ("pit stop <b>", False)]
            assert [one["text"] for one in (await viewer.get(path, params={"from_us": 1_500})).json()] == [
                "pit stop <b>"
            ]
            assert (await viewer.delete(f"/api/notes/{seen[1]['id']}", headers=origin)).status_code == 404
            assert (await engineer.delete(f"/api/notes/{seen[0]['id']}", headers=origin)).status_code == 204
            assert (await engineer.delete(f"/api/notes/{seen[1]['id']}", headers=origin)).status_code == 204
            assert (await viewer.get(path)).json() == []
            assert (await viewer.post(path, json={"utc_us": 1, "text": " "}, headers=origin)).status_code == 422

    with_site(tmp_path, test)
