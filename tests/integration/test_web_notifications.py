"""What the page may see and do about notifications, by role."""

import httpx
from tests.integration.web_live import Server, run

from ved.db.notifications import Draft, add_notifications, note_failure, take_tests, write_targets
from ved.db.people import create_signin_token


def test_engineers_see_failures_and_ask_for_a_test(tmp_path) -> None:
    async def go(server: Server) -> None:
        async with server.running():
            origin = {"Origin": server.url}

            def client() -> httpx.AsyncClient:
                return httpx.AsyncClient(base_url=server.url, headers=origin)

            async with client() as viewer, client() as engineer:
                for one, role in ((viewer, "viewer"), (engineer, "engineer")):
                    await one.get("/signin", params={"token": create_signin_token(server.db, role)})
                assert (await viewer.get("/api/notifications")).status_code == 403
                assert (await viewer.post("/api/notifications/test")).status_code == 403
                assert (await engineer.post("/api/notifications/test")).json()["error"]["code"] == "no_targets"

                write_targets(server.db, ["webhook hooks.example.org"])
                with server.db.engine.begin() as connection:
                    add_notifications(connection, [Draft(5, "webhook hooks.example.org", "fs: Hot", "text")])
                note_failure(server.db, 1, "hooks.example.org: answered 503", again_utc_us=9, utc_us=6)
                got = (await engineer.get("/api/notifications")).json()
                assert got["targets"] == ["webhook hooks.example.org"]
                (one,) = got["newest"]
                assert (one["state"], one["attempts"], one["error"]) == (
                    "waiting",
                    1,
                    "hooks.example.org: answered 503",
                )

                assert (await engineer.post("/api/notifications/test")).status_code == 202
                assert (await engineer.post("/api/notifications/test")).status_code == 429
                assert (
                    await engineer.post("/api/notifications/test", headers={"Origin": "http://x"})
                ).status_code == 403
                with server.db.engine.begin() as connection:
                    assert take_tests(connection) == ["engineer"]

    run(tmp_path, go)
